"""A real SLURM, in which dask-jobqueue submits the workers of a job."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import slurm_here
from job_project import (
    DIAMETER,
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

pytest.importorskip("dask_jobqueue")
pytestmark = pytest.mark.slow

MICROGRAPHS, WORKERS = 200, 3
FIXED = ["--device", "cpu", "--working_diameter", f"{DIAMETER:g}", "--overlays", "0", "--page", "no"]
QUEUE = """
jobqueue:
  slurm:
    cores: 1
    processes: 1
    memory: 1GB
    queue: here
    walltime: "00:30:00"
    interface: lo
"""


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    missing = slurm_here.missing()
    if missing or os.geteuid():
        reason = f"SLURM cannot be started: {', '.join(missing) or 'not root'} (Debian: apt-get install slurm-wlm munge)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with slurm_here.slurm(tmp_path_factory.mktemp("slurm") / "here") as environment:
        yield environment


@pytest.fixture
def project(tmp_path: Path, queue: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, queue[name])
    made = make_project(tmp_path / "project", MICROGRAPHS)
    (made / "slurm.yaml").write_text(QUEUE)
    return made


def on_slurm(n: int) -> list[str]:
    return arguments(*FIXED, "--workers", f"slurm:{n}", "--cluster_config", "slurm.yaml")


def stars(project: Path) -> dict[str, bytes]:
    return {name: text for name, text in snapshot(project).items() if name.endswith(".star")}


def n_done(project: Path) -> int:
    return len(list((project / JOB).rglob("mic*_autopick.star")))


def test_a_job_of_200_micrographs_loses_a_worker_in_the_middle_and_leaves_the_files_of_one_process(
    project: Path, queue: dict[str, str], tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(project, alone)
    cancelled: list[str] = []

    def cancel_one() -> None:
        wait_for(lambda: n_done(project) >= MICROGRAPHS // 4 and len(slurm_here.jobs(queue)) > 1, "a quarter", 900)
        cancelled.append(slurm_here.jobs(queue)[0])
        subprocess.run(["scancel", cancelled[0]], env=queue, check=True)
        assert n_done(project) < MICROGRAPHS

    canceller = threading.Thread(target=cancel_one)
    canceller.start()
    ended = run_here(project, *on_slurm(WORKERS))
    canceller.join()
    assert ended.status == 0, ended.err
    assert cancelled
    assert "workers are left; the micrographs of those lost go to others" in ended.err
    assert f"{MICROGRAPHS} micrographs picked, 0 failed" in ended.out
    assert markers(project) == SUCCEEDED
    wait_for(lambda: not slurm_here.jobs(queue), "the end of all jobs", 60)
    assert run_here(alone, *arguments(*FIXED)).status == 0
    assert stars(project) == stars(alone)


def test_an_abort_takes_the_jobs_of_the_queue_along(project: Path, queue: dict[str, str]) -> None:
    with started_job(project, on_slurm(2)) as process:
        wait_for(lambda: n_done(project) > 0, "the first picks", 300)
        assert slurm_here.jobs(queue)
        (project / JOB / "RELION_JOB_ABORT_NOW").touch()
        process.wait(60)
    assert markers(project) == WAS_ABORTED
    wait_for(lambda: not slurm_here.jobs(queue), "the end of all jobs", 30)
    assert "micrographs are finished and kept; press Continue to go on" in log(project, "run.err")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a cluster that was never made
def test_a_configuration_that_cannot_be_used_is_named(project: Path) -> None:
    (project / "slurm.yaml").write_text("jobqueue:\n  pbs:\n    cores: 1\n")
    ended = run_here(project, *on_slurm(1))
    assert "--cluster_config slurm.yaml: says nothing of jobqueue: slurm" in ended.err
    (project / "slurm.yaml").write_text("jobqueue:\n  slurm:\n    cores: 1\n")
    ended = run_here(project, *on_slurm(1))
    assert "slurm.yaml: You must specify how much" in ended.err
