"""Diameters that are not given are found once for a CryoSPARC job, and kept for its resumption; what finds them is faked here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cryosparc_project import FakePicker
from standin5 import Server5
from standin_world import PROJECT, SOURCE

from cryosparc_tool.main import main
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.micrograph import Micrograph
from relion_ganpick.picking import auto_diameter, working_diameter
from relion_ganpick.picking.diameter_record import DIAMETER_FILE, WORKING_DIAMETER_FILE, DiameterEstimate
from relion_ganpick.picking.stream import Task

pytestmark = pytest.mark.cryosparc(5)
WORDS = ["--project", PROJECT, "--workspace", "W1", "--job", SOURCE, "--diameter", "auto"]


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    """Micrographs from which 30 A were estimated."""
    seen: list[Task] = []

    def estimate(_: Any, tasks: Iterator[Task], *__: Any) -> tuple[DiameterEstimate, list[str]]:
        seen.extend(tasks)
        assert all(task.path.is_file() for task in seen)
        return DiameterEstimate(30.0, 0.13, 60, 0.9, (24.0, 30.0, 36.0), (1.0, 2.0, 1.0)), [task.name for task in seen]

    monkeypatch.setattr(auto_diameter, "_estimate", estimate)
    return seen


def test_estimate_decides_the_job_and_is_kept(server: Server5, user: Path, looked_at: list[Task]) -> None:
    assert main(["--url", server.url, *WORDS]) == 0
    (job,) = server.world.external_jobs()
    assert [task.pixel_size for task in looked_at] == [2.5] * 3
    assert np.allclose(job.datasets["picked_particles"]["location/min_dist_A"], 15)
    folder = user / "cryosparc_ganpick" / f"{PROJECT}_{job.uid}"
    assert json.loads((folder / DIAMETER_FILE).read_text())["angstrom"] == 30
    assert json.loads((folder / "run.json").read_text())["pick"]["diameter"] == "auto"


def test_second_run_of_the_same_settings_estimates_nothing_again(
    server: Server5, user: Path, looked_at: list[Task], capsys: pytest.CaptureFixture[str]
) -> None:
    dry = ["--url", server.url, *WORDS, "--dry_run"]
    assert main(dry) == 0
    assert main([*dry, "--threshold", "0.9"]) == 0
    assert len(looked_at) == 3
    assert "diameter 30 A, as estimated before" in capsys.readouterr().out
    assert main([*dry, "--contrast", "bright"]) == 0
    assert len(looked_at) == 6


def test_resumed_job_takes_the_diameter_of_its_first_run(
    server: Server5, user: Path, looked_at: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any) -> None:
        raise GanpickError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("cryosparc_tool.session.save", breaks)
        assert main(["--url", server.url, *WORDS]) == 1
    (job,) = server.world.external_jobs()
    assert main(["--url", server.url, "--project", PROJECT, "--resume", job.uid]) == 0
    assert len(looked_at) == 3
    saved = server.world.external_jobs()[-1].datasets["picked_particles"]
    assert np.allclose(saved["location/min_dist_A"], 15)


@pytest.fixture
def tried_on(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Micrographs on which most particles were expected at the smallest diameter."""
    seen: list[str] = []

    def expect(_: Any, micrograph: Micrograph, assumed: Any) -> Any:
        seen.append(micrograph.name)
        return 150.0 - np.asarray(assumed)

    monkeypatch.setattr(FakePicker, "method", SimpleNamespace(follows_size=True))
    monkeypatch.setattr(working_diameter, "expected_particles", expect)
    return seen


def test_working_diameter_is_chosen_once_and_kept(
    server: Server5, user: Path, tried_on: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    dry = ["--url", server.url, *WORDS[:-1], "40", "--dry_run"]
    assert main(dry) == 0
    assert len(set(tried_on)) == 3
    n_tried = len(tried_on)
    (path,) = (user / "cryosparc_ganpick").glob(f"*/{WORKING_DIAMETER_FILE}")
    record = json.loads(path.read_text())
    assert (record["diameter"], record["angstrom"]) == (40, round(40 * float(np.exp(-working_diameter.WIDEST)), 1))
    assert main([*dry, "--threshold", "0.9"]) == 0
    assert len(tried_on) == n_tried
    assert f"working diameter {record['angstrom']:g} A, as chosen before" in capsys.readouterr().out
    assert main([*dry, "--contrast", "bright"]) == 0
    assert len(tried_on) == 2 * n_tried


def test_job_that_is_killed_while_diameters_are_found_is_left_alone(
    server: Server5, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    def expect(_: Any, micrograph: Micrograph, assumed: Any) -> Any:
        seen.append(micrograph.name)
        (job,) = server.world.external_jobs()
        job.status = "killed"
        return np.full(len(assumed), 2.0)

    monkeypatch.setattr(FakePicker, "method", SimpleNamespace(follows_size=True))
    monkeypatch.setattr(working_diameter, "expected_particles", expect)
    assert main(["--url", server.url, *WORDS[:-1], "40"]) == 1
    assert len(set(seen)) == 1
    assert server.world.external_jobs()[0].status == "killed"
    assert "is killed: somebody ended it in CryoSPARC" in capfd.readouterr().err


def test_what_is_done_is_kept_when_micrographs_that_could_not_decide_are_gone(
    server: Server5, project_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(FakePicker, "method", SimpleNamespace(follows_size=True))
    monkeypatch.setattr(working_diameter, "expected_particles", lambda _, __, assumed: np.full(len(assumed), 2.0))
    dry = ["--url", server.url, *WORDS[:-1], "40", "--dry_run", "--overlays", "0"]
    assert main(dry) == 0
    for path in project_folder.rglob("*.mrc"):
        path.unlink()
    assert main(dry) == 0
    printed = capsys.readouterr().out
    assert "picked again" not in printed
    assert printed.count("(finished before)") == 3


def test_a_working_diameter_that_is_given_is_not_chosen(server: Server5, user: Path, tried_on: list[str]) -> None:
    assert main(["--url", server.url, *WORDS[:-1], "40", "--working_diameter", "36", "--dry_run"]) == 0
    assert tried_on == []
