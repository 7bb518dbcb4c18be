"""The External job under RELION 3.1 itself: Import, External and Extract run by relion_pipeliner on simulated micrographs.

What is judged is what RELION makes of our files: the particles that it cuts out, the nodes, and what became of each job.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from machine import patience
from relion_project import (
    ABORTED,
    DIAMETER,
    DIAMETER_PX,
    FAILED,
    FINISHED,
    PIXEL_SIZE,
    SETTINGS,
    Image,
    Points,
    RelionProject,
    coordinates,
    executable,
    scene_with_corner,
    wait_for,
    write_mrc,
    write_mrc_of_integers,
    write_tiff,
)
from scipy.spatial import cKDTree

from relion_ganpick.synthesis.scene import make_scene

pytestmark = [pytest.mark.relion, pytest.mark.slow]

BOX, BACKGROUND_PX = 32, 24
# Name, (h, w), writer. RELION 3.1 reads no 16 bit floats (MRC mode 12).
MICROGRAPHS: dict[str, tuple[tuple[int, int], Callable[[Path, Image], None]]] = {
    "landscape.mrc": ((256, 384), write_mrc),
    "portrait.mrc": ((384, 256), write_mrc),
    "integers.mrc": ((256, 384), write_mrc_of_integers),
    "picture.tif": ((256, 384), write_tiff),
}
MANY = 40
ABORT_SECONDS = 2.0  # on a machine that has nothing else to do


@dataclass(frozen=True)
class Picked:
    """A project in which micrographs were imported, picked and extracted: its jobs, and where the particles are."""

    project: RelionProject
    truth: dict[str, Points]
    imported: str
    external: str
    extracted: str


@dataclass(frozen=True)
class Aborted:
    """What was seen of a run over many micrographs that was aborted, and its project."""

    project: RelionProject
    job: str
    seconds: float
    markers: list[str]
    status: int
    listed: list[str]
    written: dict[str, int]


@pytest.fixture(scope="module", autouse=True)
def pipeliner() -> None:
    """Skip without RELION's pipeliner, or fail where RELION is required."""
    if shutil.which("relion_pipeliner") is None:
        missing = "relion_pipeliner is not on PATH (Debian: apt-get install relion relion-gui)"
        if os.environ.get("GANPICK_REQUIRE_RELION"):
            pytest.fail(missing)
        pytest.skip(missing)


@pytest.fixture(scope="module")
def picked(pipeliner: None, tmp_path_factory: pytest.TempPathFactory) -> Picked:
    project = RelionProject.create(tmp_path_factory.mktemp("relion") / "project")
    truth = {}
    for file, (shape, write) in MICROGRAPHS.items():
        pixels, truth[file] = scene_with_corner(shape, seed=2)
        write(project.path / "Micrographs" / file, pixels)
    imported = project.import_micrographs("Micrographs/*", PIXEL_SIZE)
    # An empty field of the form makes an option without a value.
    external = project.add_external(imported, {"diameter": DIAMETER, "threshold": "", "overlays": 1}, threads=2)
    project.run(external)
    assert project.status(external) == FINISHED, project.text(f"{external}run.err")
    extracted = project.extract(imported, external, BOX, BACKGROUND_PX)
    assert project.status(extracted) == FINISHED, project.text(f"{extracted}run.err")
    return Picked(project, truth, imported, external, extracted)


@pytest.fixture(scope="module")
def aborted(pipeliner: None, tmp_path_factory: pytest.TempPathFactory) -> Aborted:
    project = RelionProject.create(tmp_path_factory.mktemp("relion") / "many")
    first = project.path / "Micrographs" / "mic000.mrc"
    write_mrc(first, make_scene((256, 320), DIAMETER_PX, np.random.default_rng(0), SETTINGS).pixels)
    for number in range(1, MANY):
        os.link(first, first.with_name(f"mic{number:03d}.mrc"))
    imported = project.import_micrographs("Micrographs/*.mrc", PIXEL_SIZE)
    job = project.add_external(imported, {"diameter": DIAMETER, "overlays": 0, "device": "cpu"})
    run = project.start(job)
    try:
        wait_for(lambda: "[ 2/" in project.text(f"{job}run.out"))
        (project.path / job / "RELION_JOB_ABORT_NOW").touch()
        seconds = wait_for((project.path / job / "RELION_JOB_EXIT_ABORTED").exists)
        project.pipeliner("--check_job_completion")
        status = project.status(job)
        wait_for(lambda: run.poll() is not None, 120)
    finally:
        run.kill()
        run.wait()
    return Aborted(project, job, seconds, project.markers(job), status, project.listed(job), project.written(job))


@pytest.mark.parametrize("file", MICROGRAPHS)
def test_mean_of_extracted_particles_shows_the_particle_in_the_middle(picked: Picked, file: str) -> None:
    mean = picked.project.particle_stack(picked.extracted, Path(file).stem).mean(axis=0)
    rows, columns = np.mgrid[:BOX, :BOX] - BOX // 2
    radius = np.hypot(rows, columns)
    inside, outside = radius < DIAMETER_PX / 3, radius > 0.6 * DIAMETER_PX
    contrast = mean[inside].mean() - mean[outside].mean()
    # Extract makes dark particles bright, and the noise around a single one 1.
    assert contrast > 1
    assert contrast > 5 * mean[outside].std()
    blob = np.where(radius < 0.75 * DIAMETER_PX, np.clip(mean - mean.max() / 3, 0, None), 0)
    centre = np.array([(blob * rows).sum(), (blob * columns).sum()]) / blob.sum()
    assert np.abs(centre).max() < 1, f"the mean's centre of mass is {centre} pixels (row, column) off the middle"


@pytest.mark.parametrize("file", MICROGRAPHS)
def test_neither_axis_is_flipped_or_swapped(picked: Picked, file: str) -> None:
    (height, width), truth = MICROGRAPHS[file][0], picked.truth[file]
    picks = coordinates(picked.project.particles(picked.extracted, f"Micrographs/{file}"))
    assert share_near(truth, picks) > 0.5
    assert share_near(picks, truth) > 0.5
    # They lie in one corner, so that none of the mistakes could have given the same.
    for mistaken in ([width - 1, 0] - picks * [1, -1], [0, height - 1] - picks * [-1, 1], picks[:, ::-1]):
        assert share_near(truth, mistaken) < 0.5


def share_near(points: Points, others: Points) -> float:
    """Share of the first points that have one of the others within a quarter of a diameter."""
    return float(np.mean(cKDTree(others).query(points)[0] < DIAMETER_PX / 4))


def test_extract_takes_every_pick(picked: Picked) -> None:
    total = 0
    for file in MICROGRAPHS:
        picks = picked.project.picks(picked.external, Path(file).stem)
        table = picked.project.particles(picked.extracted, f"Micrographs/{file}")
        np.testing.assert_array_equal(coordinates(table), picks)
        assert table["rlnAutopickFigureOfMerit"].between(0, 1).all()
        assert len(picked.project.particle_stack(picked.extracted, Path(file).stem)) == len(picks) > 9
        total += len(picks)
    assert len(picked.project.particles(picked.extracted)) == total


def test_command_of_the_form_is_understood(picked: Picked) -> None:
    project, job = picked.project, picked.external
    given = f"{executable()} --o {job} --in_mics {picked.imported} --diameter {DIAMETER} --threshold  --overlays 1 --j 2"
    # RELION adds the last option because "relion_" stands in the executable's name.
    assert f"{given}  --pipeline_control {job}" in project.text(f"{job}note.txt")
    assert "note: --threshold has no value: its default is used" in project.text(f"{job}run.out")
    assert "2 threads" in project.text(f"{job}run.out")
    assert project.text(f"{job}run.err") == ""
    assert project.markers(job) == ["RELION_JOB_EXIT_SUCCESS"]


def test_picks_are_registered_as_coordinates(picked: Picked) -> None:
    node = f"{picked.external}coords_suffix_autopick.star"
    pipeline = picked.project.pipeline()
    assert [node, 2] in pipeline["pipeline_nodes"].to_numpy().tolist()
    assert (picked.project.path / ".Nodes" / "2" / node).exists()
    assert [picked.imported, picked.external] in pipeline["pipeline_input_edges"].to_numpy().tolist()
    assert [picked.external, node] in pipeline["pipeline_output_edges"].to_numpy().tolist()
    assert [node, picked.extracted] in pipeline["pipeline_input_edges"].to_numpy().tolist()


def test_extract_takes_picks_of_a_job_with_an_alias(picked: Picked) -> None:
    project = picked.project
    job = project.run(project.add_external(picked.imported, {"diameter": DIAMETER, "overlays": 0}, alias="globules"))
    assert [job, "External/globules/", 99, FINISHED] in project.pipeline()["pipeline_processes"].to_numpy().tolist()
    assert (project.path / "External" / "globules" / "coords_suffix_autopick.star").is_file()
    assert (project.path / ".Nodes" / "2" / "External" / "globules" / "coords_suffix_autopick.star").exists()
    extracted = project.extract(picked.imported, job, BOX, BACKGROUND_PX)
    assert project.status(extracted) == FINISHED
    np.testing.assert_array_equal(coordinates(project.particles(extracted)), coordinates(project.particles(picked.extracted)))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"threshold": 0.5}, "the particle diameter is missing: give --diameter"),
        ({"diamter": 180}, "unknown option --diamter: did you mean --diameter?"),
        ({"diameter": 180, "model": "absent"}, "no model 'absent'"),
    ],
    ids=["no diameter", "wrong option", "no such model"],
)
def test_failure_shows_as_failed_and_says_why(picked: Picked, parameters: dict[str, object], message: str) -> None:
    project = picked.project
    job = project.run(project.add_external(picked.imported, parameters))
    assert project.status(job) == FAILED
    assert project.markers(job) == ["RELION_JOB_EXIT_FAILURE"]
    assert message in project.text(f"{job}run.err")
    assert "Traceback" not in project.text(f"{job}run.err")


def test_abort_takes_effect_within_seconds(aborted: Aborted) -> None:
    assert aborted.seconds < patience(ABORT_SECONDS)
    assert aborted.markers == ["RELION_JOB_EXIT_ABORTED"]
    assert aborted.status == ABORTED


def test_abort_leaves_lists_of_what_is_finished(aborted: Aborted) -> None:
    assert 2 <= len(aborted.listed) < MANY
    assert aborted.listed == list(aborted.written)
    error = aborted.project.text(f"{aborted.job}run.err")
    assert "abort requested" in error
    assert f"{len(aborted.listed)} micrographs are finished and kept" in error


def test_continue_after_abort_picks_only_what_is_missing(aborted: Aborted) -> None:
    project = aborted.project
    job = project.run(aborted.job)
    assert project.status(job) == FINISHED
    assert project.markers(job) == ["RELION_JOB_EXIT_SUCCESS"]
    now = project.written(job)
    assert len(now) == MANY
    assert {name: now[name] for name in aborted.written} == aborted.written
    assert project.listed(job) == list(now)
    assert f"for each of {MANY - len(aborted.written)} new ones" in project.text(f"{job}run.out")
