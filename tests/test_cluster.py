"""Runs over workers: the picks of one process whatever happens to the workers; real processes, killed at random."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from job_project import (
    DIAMETER,
    FAILED,
    JOB,
    SUCCEEDED,
    WAS_ABORTED,
    arguments,
    log,
    make_project,
    markers,
    run_here,
    snapshot,
    started_job,
    wait_for,
)

from relion_ganpick.cli import main
from relion_ganpick.commands.pick import FolderResults
from relion_ganpick.core.errors import GanpickError, WorkersError
from relion_ganpick.core.settings import PickSettings, RunSettings
from relion_ganpick.core.workers import Workers, gpu_numbers, parse_workers
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Task
from relion_ganpick.runs.clusters import open_workforce
from relion_ganpick.runs.run import make_run
from relion_ganpick.runs.source import FileSource

distributed = pytest.importorskip("distributed")

MICROGRAPHS = 12
FIXED = ["--device", "cpu", "--working_diameter", f"{DIAMETER:g}", "--page", "no"]
DRAWN = [*FIXED, "--overlays", "2"]
LOCAL_WORKERS = 2
CLOSE_SECONDS = 30


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two real processes that die and come back."""
    with mortal(LOCAL_WORKERS) as cluster:
        yield cluster


@contextlib.contextmanager
def mortal(n_workers: int) -> Iterator[Any]:
    """Processes that die and come back; each gets everything at once, and a death counts against all that it has."""
    import dask

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    how = {"allowed-failures": 0, "work-stealing": False, "worker-saturation": "inf"}
    settings = {f"distributed.scheduler.{name}": value for name, value in how.items()}
    with dask.config.set({**settings, "distributed.deploy.lost-worker-timeout": "60s"}):
        cluster = distributed.LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            memory_limit=0,
            dashboard_address=":0",
            scheduler_kwargs={"dashboard": False},
            worker_dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
        try:
            yield cluster
        finally:
            with contextlib.suppress(TimeoutError):  # where a worker dies at this moment, it may wait for ever
                cluster.close(timeout=CLOSE_SECONDS)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job that one process has carried out."""
    project = make_project(tmp_path_factory.mktemp("alone"), MICROGRAPHS)
    assert run_here(project, *arguments(*DRAWN)).status == 0
    return project


def copy_of(project: Path, target: Path) -> Path:
    """Copy a project with the times of its micrographs, and without what its job has done."""
    shutil.copytree(project, target)
    for path in (target / JOB).iterdir():
        if path.name != "job.star":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return target


def picked(job: Path) -> dict[str, bytes]:
    return {name: text for name, text in snapshot(job).items() if name.endswith((".star", ".png")) and name != "job.star"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("local:4", Workers("local", 4)),
        ("gpu", Workers("gpu")),
        ("slurm", Workers("slurm", 4)),
        ("pbs:12", Workers("pbs", 12)),
        ("scheduler-file:/a/b c.json", Workers("scheduler-file", place="/a/b c.json")),
        ("tcp://10.0.0.1:8786", Workers("address", place="tcp://10.0.0.1:8786")),
        ("node-1.site.org:8786", Workers("address", place="node-1.site.org:8786")),
    ],
)
def test_workers_are_named_in_these_ways(text: str, wanted: Workers) -> None:
    assert parse_workers(text) == wanted


@pytest.mark.parametrize("text", ["local", "local:0", "local:many", "slurm:-1", "condor", "4", "", "scheduler-file:", "gpu:2"])
def test_other_words_for_workers_are_refused(text: str) -> None:
    with pytest.raises(GanpickError, match=r"`workers`"):
        RunSettings(workers=text)


def test_gpus_are_written_as_in_relion() -> None:
    assert [gpu_numbers(text) for text in ("0", "0:1", "0,1", "1 0", "all")] == [[0], [0, 1], [0, 1], [0, 1], None]
    assert RunSettings(workers="gpu", gpu="1:3").device_name == "cuda:1"
    for settings in (
        {"cluster_config": "x.yaml"},
        {"worker_wait": 5.0},
        {"workers": "local:2", "cluster_config": "x"},
    ):
        with pytest.raises(GanpickError, match="give `workers`"):
            RunSettings(**settings)
    with pytest.raises(GanpickError, match="`gpu` first: give the numbers of GPUs"):
        RunSettings(gpu="first")


def test_workers_leave_the_files_of_one_process_though_they_are_killed_at_random(
    cluster: Any, alone: Path, tmp_path: Path
) -> None:
    project = copy_of(alone, tmp_path / "project")
    chance, over = random.Random(1), threading.Event()

    def kill() -> None:
        while not over.wait(0.2):
            done = len(list((project / JOB).rglob("*_autopick.star")))
            victims = [nanny.pid for nanny in cluster.workers.values() if nanny.pid and nanny.pid not in killed]
            if done >= 2 and victims and len(killed) < 2:
                killed.append(chance.choice(victims))
                os.kill(killed[-1], signal.SIGKILL)

    killed: list[int] = []
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        ended = run_here(project, *arguments(*DRAWN, "--workers", cluster.scheduler_address))
    finally:
        over.set()
        killer.join()
    assert (ended.status, killed != []) == (0, True), ended.err
    assert picked(project) == picked(alone)
    assert markers(project) == SUCCEEDED
    assert f"{MICROGRAPHS} micrographs picked, 0 failed" in ended.out
    assert not list((project / JOB).rglob("picker.json"))


def test_workers_of_this_machine_write_every_file_of_one_process_that_knows_the_set(alone: Path, tmp_path: Path) -> None:
    evidence = json.loads((alone / JOB / "evidence.json").read_text())
    assert sorted(evidence["micrographs"].values()) == [0] * 6 + [1] * 6  # each gets the filter learned from the other half
    project = copy_of(alone, tmp_path / "project")
    ended = run_here(project, *arguments(*DRAWN, "--workers", "local:2"))
    assert ended.status == 0, ended.err
    files = snapshot(project)
    assert sum("/mic" in name and name.endswith((".star", "_picks.json")) for name in files) == 3 * MICROGRAPHS
    assert files == snapshot(alone)


def test_continue_picks_only_what_is_missing(cluster: Any, alone: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(alone, project)
    missing = project / JOB / "Micrographs" / "mic05_autopick.star"
    missing.unlink()
    (project / JOB / ".ganpick" / "Micrographs" / "mic05_scores.star").unlink()
    ended = run_here(project, *arguments(*DRAWN, "--workers", cluster.scheduler_address))
    assert ended.status == 0, ended.err
    assert f"{MICROGRAPHS} micrographs picked ({MICROGRAPHS - 1} of them before)" in ended.out
    assert picked(project) == picked(alone)


def test_without_any_worker_the_job_fails_and_continue_goes_on(alone: Path, tmp_path: Path) -> None:
    project = copy_of(alone, tmp_path / "project")
    with distributed.LocalCluster(
        n_workers=0, dashboard_address=":0", scheduler_kwargs={"dashboard": False}, silence_logs=logging.CRITICAL
    ) as empty:
        words = ["--workers", empty.scheduler_address, "--worker_wait", "1"]
        ended = run_here(project, *arguments(*FIXED, *words))
    assert ended.status == 5
    assert markers(project) == FAILED
    assert "no worker for 1 seconds" in ended.err
    assert run_here(project, *arguments(*DRAWN)).status == 0
    assert picked(project) == picked(alone)


def test_a_scheduler_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relion_ganpick.runs.clusters.FIND_SECONDS", 0.5)
    project = make_project(tmp_path, 1)
    ended = run_here(project, *arguments(*FIXED, "--workers", "127.0.0.1:1"))
    assert ended.status == 5
    assert "--workers 127.0.0.1:1: no Dask scheduler answers there" in ended.err
    ended = run_here(project, *arguments(*FIXED, "--workers", "scheduler-file:nonesuch.json"))
    assert "--workers scheduler-file:nonesuch.json: no such file" in ended.err


@dataclass(frozen=True)
class DeadlyDoor:
    """Files a micrograph, but for one, which ends the worker."""

    inner: Any
    deadly: bool

    def results(self, picker: Picker) -> Any:
        if self.deadly:
            os._exit(9)
        return self.inner.results(picker)


class DeadlyResults(FolderResults):
    """Results of which one is deadly."""

    def door(self, index: int) -> Any:
        return DeadlyDoor(super().door(index), index == 1)


def run_with_a_deadly_one(alone: Path, out: Path, workers: str) -> tuple[tuple[int, int], list[bool]]:
    """Pick four micrographs, the second of which kills its worker; counts picked and failed, and which have coordinates."""
    files = sorted((alone / "Micrographs").glob("*.mrc"))[:4]
    targets = {path: out / f"{path.stem}_autopick.star" for path in files}
    picker = Picker(PickSettings(DIAMETER), "cpu")
    source = FileSource([Task(path.name, path) for path in files])
    how = RunSettings(device="cpu", workers=workers, overlays=0, page=False)
    summary = make_run(source, picker, DeadlyResults(out, targets, picker), how, out).carry_out()
    return (summary.micrographs, summary.failures), [path.is_file() for path in targets.values()]


@pytest.mark.parametrize("n_workers", [1, LOCAL_WORKERS])
def test_a_micrograph_that_kills_three_workers_is_reported_and_those_that_wait_beside_it_are_picked(
    alone: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, n_workers: int
) -> None:
    with mortal(n_workers) as cluster, caplog.at_level(logging.INFO):
        assert run_with_a_deadly_one(alone, tmp_path, cluster.scheduler_address) == ((3, 1), [True, False, True, True])
    assert "mic01.mrc: its worker died 3 times while it was picked" in caplog.text


def test_processes_of_its_own_that_die_are_started_again(
    alone: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relion_ganpick.runs.spread.REVIVE_SECONDS", 1.0)  # asks for others long before the nanny is ready
    with caplog.at_level(logging.INFO):
        assert run_with_a_deadly_one(alone, tmp_path, "local:1") == ((3, 1), [True, False, True, True])
    assert "mic01.mrc: its worker died 3 times while it was picked" in caplog.text


def test_a_process_whose_nanny_gave_up_is_replaced_and_one_that_is_started_again_is_left_alone(tmp_path: Path) -> None:
    with open_workforce(parse_workers("local:2"), RunSettings(device="cpu", workers="local:2"), tmp_path) as force:
        wait_for(lambda: force.count()[0] == 2, "both processes", 60)
        first, second = force.cluster.workers.values()
        force.cluster.sync(first.close)
        os.kill(second.pid, signal.SIGKILL)
        wait_for(lambda: force.count()[0] == 0, "the end of both", 60)
        force.revive()
        wait_for(lambda: force.count()[0] == 2, "two others", 60)
        assert first not in force.cluster.workers.values()
        assert second in force.cluster.workers.values()
        assert force.client.submit(os.getpid).result(60) != os.getpid()


def test_pick_command_writes_the_same_with_processes_of_its_own(alone: Path, tmp_path: Path) -> None:
    files = [str(path) for path in sorted((alone / "Micrographs").glob("*.mrc"))[:3]]
    words = ["pick", *files, "--diameter", f"{DIAMETER:g}", *FIXED, "--overlays", "1"]
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    assert main([*words, "--out", str(tmp_path / "two"), "--workers", "local:1"]) == 0
    one, two = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*_*.star")}
        for folder in (tmp_path / "one", tmp_path / "two")
    )
    assert len(one) == 6  # coordinates and scores of three
    assert one == two
    pictures = [(tmp_path / name / "overlays" / "mic00.png").read_bytes() for name in ("one", "two")]
    assert pictures[0] == pictures[1]
    lists = [(tmp_path / name / "summary.star").read_bytes() for name in ("one", "two")]
    assert lists[0] == lists[1]


def test_an_abort_ends_job_and_workers_within_two_seconds(alone: Path, tmp_path: Path) -> None:
    project = copy_of(alone, tmp_path / "project")
    with started_job(project, arguments(*FIXED, "--workers", "local:1")) as process:
        wait_for(lambda: "1 worker of 1" in log(project, "run.out"), "a worker", 240)
        (project / JOB / "RELION_JOB_ABORT_NOW").touch()
        began = time.monotonic()
        process.wait(60)
        lasted = time.monotonic() - began
    assert markers(project) == WAS_ABORTED
    assert lasted < 2 * BUSY, lasted
    wait_for(lambda: not left_of(project), "the end of all workers", 10)


BUSY = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
"""By how much a machine with more to do than it has cores is slower."""


def left_of(project: Path) -> list[str]:
    """Processes that still work in a project."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if place.resolve() == project.resolve():
                found.append(place.parent.name)
        except OSError:
            continue
    return found


def test_missing_dask_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    ended = run_here(make_project(tmp_path, 1), *arguments(*FIXED, "--workers", "local:2"))
    assert "--workers needs Dask: pip install 'relion-ganpick[cluster]'" in ended.err
    assert markers(tmp_path) == FAILED


def test_errors_of_workers_have_a_code_of_their_own() -> None:
    assert WorkersError("x").exit_code == 5
