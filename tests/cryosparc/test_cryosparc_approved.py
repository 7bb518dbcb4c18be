"""Particles that a user has kept: exposures of a CryoSPARC job are picked with what `ganpick adapt` learns from them, too."""

from __future__ import annotations

from pathlib import Path

import pytest
from approved_project import DIAMETER, NAMES, PARTICLES, PIXEL, SIDE, WEIGHTS, make_project
from cryosparc_project import login
from standin5 import Server5
from standin_world import PROJECT, SOURCE, World, exposure_dataset

from cryosparc_tool.main import main as cryosparc
from relion_ganpick.cli import main as ganpick

pytestmark = pytest.mark.cryosparc(5)
LEARN = ("--approved", PARTICLES, "--diameter", f"{DIAMETER:g}", "--j", "1")


def test_exposures_are_picked_with_what_the_command_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path / "project")
    login(monkeypatch, tmp_path / "config")
    monkeypatch.chdir(project)
    rows = [{"uid": 7 + k, "path": name, "shape": (SIDE, SIDE), "psize_A": PIXEL, "group": 1} for k, name in enumerate(NAMES)]
    world = World(project)
    world.add_source(exposure_dataset(rows))
    with Server5(world) as server:
        where = ("--url", server.url, "--project", PROJECT, "--job", SOURCE, "--dry_run", "--overlays", "0", "--page", "no")
        assert cryosparc([*where, *LEARN]) == 0
    assert "approved particles in 2 micrographs are found again" in capfd.readouterr().out
    assert ganpick(["adapt", "--in_mics", "micrographs.star", "--out", "shell", *LEARN]) == 0
    learned = project / "cryosparc_ganpick" / f"{PROJECT}_{SOURCE}_dry_run" / "approved" / WEIGHTS
    assert learned.read_bytes() == (project / "shell" / WEIGHTS).read_bytes()
