"""*Continue* again and again, as a schedule does while the microscope runs: what is old is not looked at again."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

import pytest
from job_project import JOB, MICROGRAPHS_STAR, Ended, arguments, make_project, run_here

from relion_ganpick.runs import reports

FIRST, N = 20, 21
WORDS = ("--page", "yes", "--overlays", "4", "--device", "cpu")
PUT_OFF = "report.html does not show the newest 1 yet: Continue makes it anew 5 minutes after the last time"


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job that has picked all micrographs but the last."""
    project = make_project(tmp_path_factory.mktemp("begun"), N)
    lists = project / MICROGRAPHS_STAR
    whole = lists.read_text()
    lists.write_text(re.sub(rf"^.*mic{FIRST:02d}\.mrc.*\n", "", whole, flags=re.MULTILINE))
    assert run_here(project, *arguments(*WORDS)).status == 0
    lists.write_text(whole)
    return project


@pytest.fixture
def project(begun: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(begun, tmp_path / "project"))


def again(project: Path) -> tuple[Ended, set[str]]:
    """Continue; tells what it said, and which pictures and reports are new or were made anew."""
    shown = [*(project / JOB / "overlays").rglob("*.png"), project / JOB / "report.html", project / JOB / "logfile.pdf"]
    before = {path: path.stat().st_mtime_ns for path in shown}
    ended = run_here(project, *arguments(*WORDS))
    assert ended.status == 0, ended.err
    now = {*shown, *(project / JOB / "overlays").rglob("*.png")}
    return ended, {path.name for path in now if before.get(path) != path.stat().st_mtime_ns}


def make_older(project: Path, seconds: float) -> None:
    """Let the reports be that much older, and everything that they show as well."""
    for path in (project / JOB).rglob("*"):
        if path.is_file():
            then = path.stat().st_mtime_ns - int(seconds * 1e9)
            os.utime(path, ns=(then, then))


def test_a_new_micrograph_is_drawn_and_nothing_else(project: Path) -> None:
    ended, made = again(project)
    assert f"{N} micrographs picked ({FIRST} of them before)" in ended.out
    assert PUT_OFF in ended.out
    assert made == {f"mic{FIRST:02d}.png"}  # the last is always among the chosen; four older ones have pictures already


def test_reports_are_made_anew_when_they_are_five_minutes_old(project: Path) -> None:
    again(project)
    make_older(project, reports.PUT_OFF_SECONDS + 1)
    ended, made = again(project)
    assert made == {"report.html", "logfile.pdf"}
    assert PUT_OFF not in ended.out
    assert f'"mic{FIRST:02d}"' in (project / JOB / "report.html").read_text()
    assert again(project)[1] == set()


def test_reports_are_made_anew_at_once_where_much_is_new(project: Path) -> None:
    for k in (3, 4, 5):
        (project / JOB / f"Micrographs/mic{k:02d}_autopick.star").unlink()
        (project / JOB / f".ganpick/Micrographs/mic{k:02d}_scores.star").unlink()
    assert {"report.html", "logfile.pdf"} <= again(project)[1]


def test_pictures_that_were_deleted_are_drawn_again(project: Path) -> None:
    shutil.rmtree(project / JOB / "overlays")
    (project / JOB / "overlays").mkdir()
    ended, made = again(project)
    assert len([name for name in made if name.endswith(".png")]) == 4, ended.out


def test_reports_from_the_future_are_not_waited_for() -> None:
    now = time.time()
    assert reports._put_off(now, 1, 20)
    assert not reports._put_off(now + 3600, 1, 20)
    assert not reports._put_off(now, 3, 20)
    assert not reports._put_off(now - reports.PUT_OFF_SECONDS, 1, 20)
