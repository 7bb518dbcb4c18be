"""A RELION 3.1 job that is corrected on the page: Continue keeps the corrections, Extract cuts out what is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import starfile
from inspect_job import Page
from relion_project import DIAMETER, FINISHED, PIXEL_SIZE, RelionProject, scene_with_corner, write_mrc

from relion_ganpick.formats.pick_files import read_picks

pytestmark = [pytest.mark.relion, pytest.mark.slow]

BOX, BACKGROUND_PX = 32, 24
SHAPE = (256, 320)
NAMES = ("mic0", "mic1", "mic2")
THRESHOLD = 0.95
PLACE = (200, 120)  # where nobody has picked: particles lie in the first rows and columns only


@dataclass(frozen=True)
class Job:
    """A finished External job with the project that RELION runs it in."""

    project: RelionProject
    imported: str
    folder: str

    @property
    def path(self) -> Path:
        return self.project.path / self.folder


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    project = RelionProject.create(tmp_path_factory.mktemp("relion") / "project")
    for seed, name in enumerate(NAMES):
        write_mrc(project.path / "Micrographs" / f"{name}.mrc", scene_with_corner(SHAPE, seed)[0])
    imported = project.import_micrographs("Micrographs/*.mrc", PIXEL_SIZE)
    external = project.add_external(imported, {"diameter": DIAMETER, "overlays": 0, "threshold": THRESHOLD})
    project.run(external)
    assert project.status(external) == FINISHED, project.text(f"{external}run.err")
    return Job(project, imported, external)


def save(page: Page) -> None:
    from selenium.webdriver.common.by import By

    page.click("save")
    page.driver.find_element(By.CSS_SELECTOR, "#ask button.main").click()
    page.wait("/Saved|Not saved/.test(document.getElementById('message').textContent)")
    page.settle()
    assert page.text("message").startswith("Saved"), page.text("message")


def test_relion_knows_reports_and_summary_as_the_jobs_outputs(job: Job) -> None:
    nodes = job.project.pipeline()["pipeline_nodes"].set_index("rlnPipeLineNodeName")["rlnPipeLineNodeType"]
    assert {name: int(nodes[job.folder + name]) for name in ("coords_suffix_autopick.star", "summary.star", "logfile.pdf")} == {
        "coords_suffix_autopick.star": 2,
        "summary.star": 1,
        "logfile.pdf": 13,
    }
    assert (job.path / "report.html").is_file()


def test_relion_extracts_from_the_micrographs_of_the_summary(job: Job) -> None:
    extracted = job.project.extract(f"{job.folder}summary.star", job.folder, BOX, BACKGROUND_PX)
    assert job.project.status(extracted) == FINISHED, job.project.text(f"{extracted}run.err")
    summary = starfile.read(job.path / "summary.star", always_dict=True)["micrographs"]
    assert len(job.project.particles(extracted)) == summary["rlnGroupNrParticles"].sum() > 20


def test_corrections_are_kept_by_continue_and_used_by_extract(job: Job, page: Page, serve: Callable[..., str]) -> None:
    """One pick by hand, one deleted, one micrograph rejected, one left as it is."""
    files = {name: job.path / "Micrographs" / f"{name}_autopick.star" for name in NAMES}
    before = {name: read_picks(path) for name, path in files.items()}
    page.open(serve(job.path))
    x, y = int(before["mic0"].x[0]), int(before["mic0"].y[0])
    page.mouse("picture", x, y).perform()
    page.settle()
    page.press("d")
    page.press("e")
    page.mouse("picture", *PLACE).click().perform()
    page.wait("ganpick.done.length === 2")
    page.go(1)
    page.press("x")
    save(page)
    edited = {name: path.read_bytes() for name, path in files.items()}

    job.project.run(job.folder)  # Continue
    assert job.project.status(job.folder) == FINISHED, job.project.text(f"{job.folder}run.err")
    assert {name: path.read_bytes() for name, path in files.items()} == edited
    assert job.project.text(f"{job.folder}run.out").count("edited since: kept") == 2
    summary = starfile.read(job.path / "summary.star", always_dict=True)["micrographs"]
    assert list(summary["rlnGroupNrParticles"]) == [len(before["mic0"]), 0, len(before["mic2"])]

    extracted = job.project.extract(job.imported, job.folder, BOX, BACKGROUND_PX)
    assert job.project.status(extracted) == FINISHED, job.project.text(f"{extracted}run.err")
    first = job.project.particles(extracted, "Micrographs/mic0.mrc")
    places = first[["rlnCoordinateX", "rlnCoordinateY"]].to_numpy(float)
    assert (np.hypot(*(places - PLACE).T).min()) <= 2
    assert (np.hypot(*(places - (x, y)).T).min()) > 4
    assert len(first) == len(before["mic0"])
    assert not len(job.project.particles(extracted, "Micrographs/mic1.mrc"))
    assert len(job.project.particles(extracted, "Micrographs/mic2.mrc")) == len(before["mic2"])
