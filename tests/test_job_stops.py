"""How an External job ends early: signals, an abort, a killed worker, a second process beside it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from job_project import (
    FAILED,
    JOB,
    MICROGRAPHS_STAR,
    PROGRAM,
    SUCCEEDED,
    WAS_ABORTED,
    child_of,
    end_of,
    job_words,
    listed,
    log,
    make_project,
    markers,
    prepare_job,
    run_here,
    started_job,
    states,
    wait_for,
    write_star,
)
from machine import patience

from relion_ganpick.core.files import TEMPORARY
from relion_ganpick.relion.markers import ABORT_NOW

MANY = 40


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Project whose job runs for some seconds."""
    return make_project(tmp_path_factory.mktemp("large"), MANY)


@pytest.fixture
def running(large: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """Project and process of a job that has finished two micrographs of many, and runs on."""
    shutil.rmtree(large / JOB)
    prepare_job(large)
    with started_job(large, job_words()) as process:
        wait_for(lambda: "[ 2/40]" in log(large, "run.out") or process.poll() is not None, "two lines in run.out")
        assert process.poll() is None, log(large, "run.err")
        yield large, process


def finished_part_is_declared(project: Path) -> bool:
    names = {name for name, _ in listed(project)}
    files = {name.replace("_autopick.star", ".mrc") for name in states(project)}
    nodes = (project / JOB / "RELION_OUTPUT_NODES.star").read_text()
    return names == files and 2 <= len(names) < MANY and f"{JOB}autopick.star" in nodes


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("whole_group", [False, True])
def test_signal_ends_the_job_with_one_marker(
    running: tuple[Path, subprocess.Popen[bytes]], number: signal.Signals, whole_group: bool
) -> None:
    project, process = running
    worker = child_of(process.pid)
    os.killpg(process.pid, number) if whole_group else process.send_signal(number)
    while process.poll() is None:  # an impatient queue says it again and again
        process.send_signal(number)
        time.sleep(0.002)
    ended = end_of(process, project, seconds=5)
    assert (ended.status, markers(project)) == (1, FAILED)
    assert f"stopped by {number.name}" in ended.err or f"the worker was killed by {number.name}" in ended.err
    assert "press Continue to go on" in ended.err
    assert finished_part_is_declared(project)
    assert worker is not None
    assert not Path(f"/proc/{worker}").exists()


def test_abort_ends_the_job_within_two_seconds(running: tuple[Path, subprocess.Popen[bytes]]) -> None:
    project, process = running
    began = time.monotonic()
    (project / JOB / ABORT_NOW).touch()
    ended = end_of(process, project, seconds=10)
    assert time.monotonic() - began < patience(2)
    assert (ended.status, markers(project)) == (1, WAS_ABORTED)
    assert "abort requested" in ended.err
    assert finished_part_is_declared(project)


def test_killed_worker_fails_the_job(running: tuple[Path, subprocess.Popen[bytes]]) -> None:
    project, process = running
    worker = child_of(process.pid)
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    ended = end_of(process, project, seconds=5)
    assert (ended.status, markers(project)) == (1, FAILED)
    assert "the worker was killed by SIGKILL: out of memory?" in ended.err
    assert finished_part_is_declared(project)


def test_second_process_leaves_the_first_ones_job_alone(running: tuple[Path, subprocess.Popen[bytes]]) -> None:
    project, process = running
    process.send_signal(signal.SIGSTOP)
    worker = child_of(process.pid)
    assert worker is not None
    os.kill(worker, signal.SIGSTOP)
    second = run_here(project, *job_words())
    assert second.status == 1
    assert second.err.startswith(f"relion_ganpick: {JOB}: another relion_ganpick is running in this folder")
    assert markers(project) == []
    os.kill(worker, signal.SIGCONT)
    process.send_signal(signal.SIGCONT)
    ended = end_of(process, project)
    assert (ended.status, markers(project)) == (0, SUCCEEDED)
    assert len(listed(project)) == MANY


def test_ignored_interrupt_does_not_stop_the_job(tmp_path: Path) -> None:
    project = make_project(tmp_path, 3)
    ignore = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    with started_job(project, job_words(), program=ignore + PROGRAM) as process:
        wait_for(lambda: child_of(process.pid) is not None, "the worker")
        os.killpg(process.pid, signal.SIGINT)
        ended = end_of(process, project)
    assert (ended.status, markers(project)) == (0, SUCCEEDED)


def test_half_written_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    project = make_project(tmp_path, 2)
    left = [
        project / JOB / folder / f"{TEMPORARY}12-mic00_autopick.star" for folder in ("", "Micrographs", ".ganpick/Micrographs")
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("data_\n\nloo")
    assert run_here(project, *job_words()).status == 0
    assert not any(path.exists() for path in left)


def test_new_micrographs_star_may_name_them_all_again(tmp_path: Path) -> None:
    project = make_project(tmp_path, 2)
    names = [f"Micrographs/mic{k:02d}.mrc" for k in range(2)]
    write_star(project / MICROGRAPHS_STAR, names * 3)
    ended = run_here(project, *job_words())
    assert "2 micrographs picked, 0 failed" in ended.out
    assert [name for name, _ in listed(project)] == names
