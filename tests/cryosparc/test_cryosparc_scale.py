"""5,000 exposures with 500 picks each: memory and time that are spent outside picking.

It takes half a minute, so that a thousand are taken unless GANPICK_SCALE_EXPOSURES=5000 is set, as .ci/run does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cryosparc_project import PIXEL_SIZE
from standin_world import PROJECT, SOURCE, World, exposure_dataset

pytestmark = [pytest.mark.cryosparc(5), pytest.mark.slow]
CHECKOUT = Path(__file__).resolve().parents[2]
N_EXPOSURES, N_PICKS = int(os.environ.get("GANPICK_SCALE_EXPOSURES", "1000")), 500
SHAPE = (4092, 5760)
MOST_BYTES = 2 * 2**30
MOST_SECONDS = 600

WORKER = """
import resource, sys, time
sys.path[:0] = sys.argv.pop(1).split(":")
import numpy as np
import cryosparc_project as project
import relion_ganpick.runs.run as run
import cryosparc_tool.data.power as power
from cryosparc_tool.main import main
from cryosparc_tool.data.power import RatedPicks
from relion_ganpick.picking.stream import Result

def stream(tasks, *_):
    rng = np.random.default_rng(1)
    for task in tasks:
        x, y = np.rint(rng.uniform(0, 5759, 500)), np.rint(rng.uniform(0, 4091, 500))
        yield Result(task, RatedPicks(x, y, np.round(rng.uniform(0.5, 1, 500), 4), np.ones(500)), shape=(4092, 5760))

run.stream, power.RatingPicker = stream, project.FakePicker
began = time.monotonic()
status = main()
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "seconds", time.monotonic() - began)
sys.exit(status)
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Exposures whose files are links to one and the same small file: nobody reads them."""
    project = tmp_path / "project"
    (project / "J40").mkdir(parents=True)
    (project / "any.mrc").write_bytes(b"not read")
    rows = []
    for index in range(N_EXPOSURES):
        name = f"J40/{index:012d}_FoilHole_2404_Data_1201_22_20260101_fractions_patch_aligned_doseweighted.mrc"
        (project / name).symlink_to(project / "any.mrc")
        rows.append({"uid": 10**12 + index, "path": name, "shape": SHAPE, "psize_A": PIXEL_SIZE, "group": 1})
    world = World(project)
    world.add_source(exposure_dataset(rows))
    return world


def test_2_5_million_picks_need_little_memory_and_time(world: World, user: Path) -> None:
    from standin5 import Server5

    with Server5(world) as server:
        words = ["--url", server.url, "--project", PROJECT, "--workspace", "W1", "--job", SOURCE, "--diameter", "180",
                 "--overlays", "0", "--threshold", "0.5"]  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", WORKER, f"{Path(__file__).parent}:{CHECKOUT}", *words],
            cwd=user, capture_output=True, text=True, timeout=1200, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    _, peak, _, seconds = done.stdout.splitlines()[-1].split()
    print(f"peak {int(peak) / 2**20:.0f} MiB, {float(seconds):.0f} s")
    assert int(peak) < MOST_BYTES
    assert float(seconds) < MOST_SECONDS
    (job,) = world.external_jobs()
    assert job.status == "completed"
    saved = job.datasets["picked_particles"]
    assert len(saved) == N_EXPOSURES * N_PICKS
    counts = np.unique(saved["location/micrograph_uid"], return_counts=True)[1]
    assert (counts == N_PICKS).all()
