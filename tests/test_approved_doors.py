"""Particles that a user has kept: the External job and the command learn the same from them, and pick the same with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from approved_project import DIAMETER, LEARNED, NAMES, PARTICLES, WEIGHTS, make_project
from job_project import JOB, Ended, run_here

from relion_ganpick.cli import main
from relion_ganpick.formats.pick_files import read_picks


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("approved") / "project")


@pytest.fixture(scope="module")
def ended(project: Path) -> Ended:
    """An External job that has learned."""
    words = ("--diameter", f"{DIAMETER:g}", "--overlays", "0", "--page", "no", "--j", "1", "--approved", PARTICLES)
    return run_here(project, "--o", JOB, "--in_mics", "micrographs.star", *words)


@pytest.fixture(scope="module")
def shell(project: Path, ended: Ended) -> Path:
    """A folder in which the command has learned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        words = ["--approved", PARTICLES, "--diameter", f"{DIAMETER:g}", "--j", "1"]
        assert main(["adapt", "--in_mics", "micrographs.star", "--out", "shell", *words]) == 0
    return project / "shell"


def test_job_picks_with_what_it_has_learned(project: Path, ended: Ended) -> None:
    assert ended.status == 0, ended.err
    assert f"approved particles in {LEARNED} micrographs are found again" in ended.out
    assert (project / JOB / "approved" / WEIGHTS).is_file()


def test_command_learns_the_same(project: Path, shell: Path) -> None:
    job = project / JOB / "approved"
    assert (shell / WEIGHTS).read_bytes() == (job / WEIGHTS).read_bytes()
    ours, theirs = (json.loads((folder / WEIGHTS).with_suffix(".json").read_text()) for folder in (shell, job))
    assert ours == theirs


def test_its_model_picks_what_the_job_has_picked(project: Path, shell: Path, tmp_path: Path) -> None:
    """Given as a model to another job on the same micrographs."""
    other = Path(shutil.copytree(project, tmp_path / "project"))
    shutil.rmtree(other / JOB)
    working = json.loads((project / JOB / "working_diameter.json").read_text())["angstrom"]
    model = ("--model", str(shell / WEIGHTS), "--working_diameter", f"{working:g}")
    words = ("--diameter", f"{DIAMETER:g}", "--overlays", "0", "--page", "no", "--j", "1", *model)
    assert run_here(other, "--o", JOB, "--in_mics", "micrographs.star", *words).status == 0
    for name in NAMES:
        path = Path(JOB) / name.replace(".mrc", "_autopick.star")
        ours, theirs = read_picks(other / path), read_picks(project / path)
        assert len(theirs) > 5
        np.testing.assert_array_equal(ours.xy, theirs.xy)
