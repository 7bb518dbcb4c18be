"""Every door is the same run: the External job, `ganpick pick` and CryoSPARC find the same picks and draw the same pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import mrcfile
import numpy as np
import pandas as pd
import pytest
from cryosparc_project import login
from job_project import DIAMETER, JOB, PIXEL_SIZE, SHAPE, make_project, prepare_job, run_here
from numpy.typing import NDArray
from standin5 import Server5
from standin_world import PROJECT, SOURCE, World, exposure_dataset

from cryosparc_tool import pick_exposures
from relion_ganpick.cli import main
from relion_ganpick.formats.pick_files import read_picks

pytestmark = [pytest.mark.cryosparc(5), pytest.mark.filterwarnings("ignore::ResourceWarning")]
NAMES = [f"Micrographs/mic{index:02d}.mrc" for index in range(3)]
Table = NDArray[np.float64]


@pytest.fixture(params=["dark", "bright"])
def contrast(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def project(tmp_path: Path, contrast: str) -> Path:
    """Three simulated micrographs in a RELION project, inverted where particles are to be bright."""
    folder = make_project(tmp_path / "relion", len(NAMES))
    if contrast == "bright":
        for name in NAMES:
            with mrcfile.open(folder / name, "r+") as mrc:
                mrc.data[:] = -mrc.data
    return folder


@pytest.fixture
def server(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server5]:
    login(monkeypatch, tmp_path / "config")
    world = World(project)
    rows = [{"uid": 1 + k, "path": name, "shape": SHAPE, "psize_A": PIXEL_SIZE, "group": 1} for k, name in enumerate(NAMES)]
    world.add_source(exposure_dataset(rows))
    with Server5(world) as running:
        yield running


def by_star(path: Path) -> Table:
    picks = read_picks(path)
    return np.stack([picks.x, picks.y, picks.score], axis=1)


def test_all_doors_find_the_same_picks_and_draw_the_same_pictures(
    project: Path, server: Server5, tmp_path: Path, contrast: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_job(project)
    words = ["--diameter", f"{DIAMETER:g}", "--contrast", contrast, "--device", "cpu"]
    assert run_here(project, "--o", JOB, "--in_mics", "micrographs.star", *words).status == 0
    out = tmp_path / "picks"
    files = [str(project / name) for name in NAMES]
    assert main(["pick", *files, "--angpix", f"{PIXEL_SIZE:g}", "--out", str(out), *words]) == 0
    monkeypatch.chdir(tmp_path)
    options = {"workspace": "W1", "job": SOURCE, "diameter": DIAMETER, "contrast": contrast, "device": "cpu"}
    result = pick_exposures(url=server.url, project=PROJECT, **options)
    pushed = pd.read_csv(result.folder / "picks.csv")

    for uid, name in enumerate(NAMES, 1):
        stem = Path(name).stem
        job = by_star(project / f"{JOB}Micrographs/{stem}_autopick.star")
        assert len(job) > 10
        np.testing.assert_array_equal(by_star(out / f"{stem}_autopick.star"), job)
        rows = pushed[pushed.micrograph == name][["x", "y", "score"]].to_numpy(float)
        np.testing.assert_array_equal(rows, job)

        drawn = cv2.imread(str(project / f"{JOB}overlays/Micrographs/{stem}.png"))
        assert drawn is not None
        np.testing.assert_array_equal(cv2.imread(str(out / "overlays" / f"{stem}.png")), drawn)
        np.testing.assert_array_equal(cv2.imread(str(result.folder / "overlays" / f"{uid}_{stem}.png")), drawn)
