"""Simulated micrographs in a stand-in project, the real picker, and the saved dataset read back with the client."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import starfile
from cryosparc_project import login
from numpy.typing import NDArray
from standin5 import Server5
from standin47 import Server47
from standin_world import EMAIL, LICENSE, PASSWORD, PROJECT, SOURCE, World, exposure_dataset

from relion_ganpick.core.evaluate import match
from relion_ganpick.relion.project import ProjectSettings, write_project

pytestmark = [pytest.mark.cryosparc, pytest.mark.filterwarnings("ignore::ResourceWarning")]
CHECKOUT = Path(__file__).resolve().parents[2]
SETTINGS = ProjectSettings(n=3, width=440, height=360, angpix=5.06, diameter=120.0, seed=4, clean=True)
FIRST_UID = 4711


@dataclass(frozen=True)
class Picked:
    """What both programs have found on the same files.

    Attributes
    ----------
    server
        Address of the stand-in.
    project
        Folder of the micrographs, with the truth.
    """

    server: str
    project: Path


@pytest.fixture(scope="module")
def picked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Picked]:
    """Run cryosparc_ganpick and relion_ganpick, each as a user would, on one simulated project."""
    from cryosparc_tool.server.versions import client_version

    root = tmp_path_factory.mktemp("end_to_end")
    project = root / "project"
    rows = []
    for index, (path, _) in enumerate(write_project(SETTINGS, project)):
        name = str(path.relative_to(project))
        shape = (SETTINGS.height, SETTINGS.width)
        rows.append({"uid": FIRST_UID + index, "path": name, "shape": shape, "psize_A": SETTINGS.angpix, "group": 1})
    world = World(project)
    world.add_source(exposure_dataset(rows))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CRYOSPARC_")}
    environment |= {"CRYOSPARC_EMAIL": EMAIL, "CRYOSPARC_PASSWORD": PASSWORD, "CRYOSPARC_LICENSE_ID": LICENSE}
    environment |= {"XDG_CONFIG_HOME": str(root), "GANPICK_PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    server = Server5(world) if client_version().major == 5 else Server47(world)
    with server:
        call("cryosparc_ganpick", root, environment, "--url", server.url, "--project", PROJECT, "--workspace", "W1",
             "--job", SOURCE, "--diameter", str(SETTINGS.diameter))  # fmt: skip
        call("relion_ganpick", project, environment, "--o", "External/job001/", "--in_mics", "micrographs.star",
             "--diameter", str(SETTINGS.diameter), "--j", "1")  # fmt: skip
        yield Picked(server.url, project)


def call(name: str, folder: Path, environment: dict[str, str], *words: str) -> None:
    done = subprocess.run(
        [CHECKOUT / "bin" / name, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def saved(picked: Picked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, NDArray[np.float64]]:
    """(n, 3) x, y in pixels and score of each micrograph, read back from the server with the client."""
    from cryosparc.tools import CryoSPARC

    from cryosparc_tool.server.versions import client_version

    login(monkeypatch, tmp_path)
    if client_version().major == 5:
        client = CryoSPARC(picked.server, host=None, base_port=None, email=EMAIL, password=PASSWORD)
    else:
        base = int(picked.server.rpartition(":")[2])
        client = CryoSPARC(license=LICENSE, host="127.0.0.1", base_port=base, email=EMAIL, password=PASSWORD)
    job = client.find_job(PROJECT, "J43")
    assert job.status == "completed"
    picks = job.load_output("picked_particles", slots=["location", "pick_stats"])
    found = {}
    for index in range(SETTINGS.n):
        mine = picks.query({"location/micrograph_uid": FIRST_UID + index})
        height, width = mine["location/micrograph_shape"][0]
        columns = (
            mine["location/center_x_frac"] * width,
            mine["location/center_y_frac"] * height,
            mine["pick_stats/ncc_score"],
            mine["pick_stats/power"],
        )
        found[f"mic{index + 1:03d}"] = np.stack([np.asarray(each, float) for each in columns], axis=1)
    return found


def test_picks_lie_within_a_quarter_diameter_of_the_truth(picked: Picked, saved: dict[str, NDArray[np.float64]]) -> None:
    hits = n_picks = n_truth = 0
    for stem, picks in saved.items():
        truth = pd.read_csv(picked.project / "truth" / f"{stem}.csv")[["x", "y"]].to_numpy()
        hit = match(picks[:, :2], truth, SETTINGS.diameter_px / 4)
        hits, n_picks, n_truth = hits + int(hit.sum()), n_picks + len(picks), n_truth + len(truth)
    assert n_truth > 30
    assert hits >= 0.9 * n_picks, f"{hits} of {n_picks} picks are right"
    assert hits >= 0.7 * n_truth, f"{hits} of {n_truth} particles are found"


def test_picks_equal_those_of_the_relion_job(picked: Picked, saved: dict[str, NDArray[np.float64]]) -> None:
    for stem, picks in saved.items():
        table = starfile.read(picked.project / "External/job001/Micrographs" / f"{stem}_autopick.star")
        theirs = table[["rlnCoordinateX", "rlnCoordinateY", "rlnAutopickFigureOfMerit"]].to_numpy(float)
        assert len(theirs) == len(picks)
        assert np.allclose(picks[:, :3], theirs, atol=1e-4)


def test_power_is_around_one_and_differs(saved: dict[str, NDArray[np.float64]]) -> None:
    power = np.concatenate([picks[:, 3] for picks in saved.values()])
    assert 0.5 < np.median(power) < 4
    assert power.std() > 0.01


def test_reports_are_in_the_jobs_folder(picked: Picked) -> None:
    """Uploaded to the server, and a folder on this machine that can be inspected as a RELION job's."""
    from relion_ganpick.inspect.job import find_job

    (attached,) = picked.project.glob("J*/report.html")
    (local,) = (picked.project.parent / "cryosparc_ganpick").glob(f"{PROJECT}_J*")
    assert attached.read_bytes() == (local / "report.html").read_bytes()
    assert (attached.parent / "logfile.pdf").read_bytes().startswith(b"%PDF")
    job = find_job(local)
    assert (len(job.names), job.diameter) == (SETTINGS.n, SETTINGS.diameter)
    assert all(job.micrograph(index).is_file() for index in range(SETTINGS.n))
    ours = starfile.read(job.coordinates[0], always_dict=True)[""]
    relion = starfile.read(picked.project / "External/job001" / f"Micrographs/{job.coordinates[0].name.partition('_')[2]}")
    np.testing.assert_array_equal(ours["rlnCoordinateX"], relion["rlnCoordinateX"])
