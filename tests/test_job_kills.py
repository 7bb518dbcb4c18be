"""Jobs that are killed at any moment: nobody ever sees half a file, and Continue ends where an undisturbed run does."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import starfile
from job_project import (
    FAILED,
    JOB,
    SUCCEEDED,
    WAS_ABORTED,
    arguments,
    end_of,
    listed,
    make_project,
    markers,
    prepare_job,
    run_here,
    run_job,
    snapshot,
    started_job,
    states,
    wait_for,
)
from machine import patience

from relion_ganpick.formats.pick_files import State, inspect_picks
from relion_ganpick.relion.markers import ABORT_NOW, SUCCESS

pytestmark = pytest.mark.slow

MANY, SHAPE = 50, (110, 140)
WORDS = arguments("--overlays", "3")
INTERRUPTIONS = 2
LISTS = {
    "autopick.star": ["coordinate_files"],
    "summary.star": ["optics", "micrographs"],
    "RELION_OUTPUT_NODES.star": ["output_nodes"],
}

Kill = Callable[[Path, "subprocess.Popen[bytes]"], None]


class Observer:
    """Looks at the job's folder again and again, as RELION and its user may, and keeps what it sees that is wrong."""

    def __init__(self, project: Path) -> None:
        self.job = project / JOB
        self.seen: dict[Path, tuple[int, int]] = {}
        self.wrong: list[str] = []
        self.checked = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Observer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.02):
            self._look()

    def _look(self) -> None:
        succeeded = (self.job / SUCCESS).exists()
        for path in [*self.job.rglob("mic*.star"), *self.job.rglob("mic*.json"), *(self.job / name for name in LISTS)]:
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            if self.seen.get(path) != (status.st_ino, status.st_mtime_ns):
                self.seen[path] = (status.st_ino, status.st_mtime_ns)
                self._check(path)
        if succeeded and not all((self.job / name).exists() for name in LISTS):
            self.wrong.append("SUCCESS came before the lists")

    def _check(self, path: Path) -> None:
        self.checked += 1
        if path.name in LISTS:
            text = path.read_text()
            if not text.endswith("\n\n") or list(starfile.read(path, always_dict=True)) != LISTS[path.name]:
                self.wrong.append(f"{path.name}: {text!r}")
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif inspect_picks(path).state is not State.OURS:
            self.wrong.append(f"{path.name}: {path.read_bytes()!r}")


def terminate(_: Path, process: subprocess.Popen[bytes]) -> None:
    process.terminate()


def kill_group(_: Path, process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)


def kill_watcher(_: Path, process: subprocess.Popen[bytes]) -> None:
    process.kill()


def abort(project: Path, _: subprocess.Popen[bytes]) -> None:
    (project / JOB / ABORT_NOW).touch()


KILLS: dict[str, tuple[Kill, list[str]]] = {
    "SIGTERM": (terminate, FAILED),
    "SIGKILL of the group": (kill_group, []),
    "SIGKILL of the watching process": (kill_watcher, []),
    "abort": (abort, WAS_ABORTED),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Project of 50 micrographs; its job is yet to be run."""
    return make_project(tmp_path_factory.mktemp("project"), MANY, SHAPE)


@pytest.fixture(scope="module")
def undisturbed(project: Path) -> dict[str, bytes]:
    """What a job leaves that nobody disturbs."""
    prepare_job(project)
    with Observer(project) as observer:
        ended = run_job(project, *WORDS)
    assert (ended.status, ended.err, markers(project)) == (0, "", SUCCEEDED)
    assert observer.wrong == []
    assert observer.checked >= MANY
    files = snapshot(project)
    shutil.rmtree(project / JOB)
    assert len([name for name in files if name.endswith("_autopick.star")]) == MANY + 1
    assert len([name for name in files if name.endswith(".png")]) == 3
    return files


def interrupt(project: Path, kill: Kill, random_numbers: random.Random) -> None:
    """Start the job and kill it when a random number of further coordinate files is there, or before, or a little later."""
    already = len(states(project))
    more = random_numbers.randint(0, (MANY - already) // 4)
    with started_job(project, WORDS) as process:
        if more:
            wait_for(lambda: len(states(project)) >= already + more or process.poll() is not None, "coordinate files")
        else:
            time.sleep(random_numbers.uniform(0.1, 1.0))
        time.sleep(random_numbers.uniform(0, 0.03))
        kill(project, process)
        process.wait(patience(10))


@pytest.mark.parametrize("kind", KILLS)
def test_killed_jobs_end_as_an_undisturbed_one(project: Path, undisturbed: dict[str, bytes], kind: str) -> None:
    kill, marker = KILLS[kind]
    random_numbers = random.Random(kind)
    shutil.rmtree(project / JOB, ignore_errors=True)
    prepare_job(project)
    with Observer(project) as observer:
        for _ in range(INTERRUPTIONS):
            interrupt(project, kill, random_numbers)
            assert markers(project) == marker
            if marker and states(project):
                assert {f"{JOB}{name}" for name in states(project)} == {coordinates for _, coordinates in listed(project)}
            prepare_job(project)
        assert 0 < len(states(project)) < MANY
        with started_job(project, WORDS) as process:
            ended = end_of(process, project)
    assert (ended.status, markers(project)) == (0, SUCCEEDED), ended.err
    assert observer.wrong == []
    files = snapshot(project)
    assert sorted(files) == sorted(undisturbed)
    assert [name for name in files if files[name] != undisturbed[name]] == []
    assert observer.checked >= MANY


class KilledError(BaseException):
    """What a kill would be in another process."""


@pytest.mark.parametrize("before", ["mic01_picks.json", "mic01_scores.star", "mic01_autopick.star"])
def test_kill_before_any_file_of_a_micrograph_loses_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    project = make_project(tmp_path, 3, SHAPE)
    words = arguments()
    assert run_here(project, *words).status == 0
    undisturbed = snapshot(project)
    shutil.rmtree(project / JOB)
    prepare_job(project)
    rename = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if target.name == before:
            raise KilledError
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KilledError):
            run_here(project, *words)
    prepare_job(project)
    assert run_here(project, *words).status == 0
    assert snapshot(project) == undisturbed


def test_picks_for_pipelines_that_were_deleted_come_back(tmp_path: Path) -> None:
    project = make_project(tmp_path, 1, SHAPE)
    assert run_here(project, *arguments()).status == 0
    (project / JOB / "Micrographs/mic00_picks.json").unlink()
    assert run_here(project, *arguments("--threshold", "0.7")).status == 0
    content = json.loads((project / JOB / "Micrographs/mic00_picks.json").read_text())
    assert content["threshold"] == 0.7


@pytest.mark.parametrize("delay", [0, 0.01, 0.03, 0.1, 0.3])
def test_signal_in_the_first_moments_leaves_a_marker(tmp_path: Path, delay: float) -> None:
    project = make_project(tmp_path, 1)
    with started_job(project, WORDS) as process:
        wait_for(lambda: (project / JOB / ".ganpick/lock").exists() or process.poll() is not None, "the lock")
        time.sleep(delay)
        process.terminate()
        ended = end_of(process, project, 10)
    assert (ended.status, markers(project)) == (1, FAILED)
    assert "Traceback" not in ended.err


def test_a_stop_is_one_whatever_an_import_makes_of_it(tmp_path: Path) -> None:
    program = """
import os, signal, sys, time
from relion_ganpick.relion import main, signals
def imports(folder, options):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    except signals.StoppedError as stopped:
        raise ImportError("an extension could not be loaded") from stopped
main.carry_out = imports
sys.exit(main.main(sys.argv[1:]))
"""
    project = make_project(tmp_path, 1)
    ended = run_job(project, *WORDS, program=program)
    assert (ended.status, markers(project)) == (1, FAILED)
    assert ended.err == "relion_ganpick: stopped by SIGTERM\n"
