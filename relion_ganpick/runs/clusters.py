"""Open what does the work elsewhere: processes of this machine, jobs of a queue, or a Dask that runs already."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import site
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import relion_ganpick
from relion_ganpick.core.errors import DeviceError, GanpickError, WorkersError
from relion_ganpick.core.settings import RunSettings
from relion_ganpick.core.workers import ADDRESS, GPU, LOCAL, SCHEDULER_FILE, Workers, gpu_numbers

HINT = "`workers` needs Dask: pip install 'relion-ganpick[cluster]'"
FAILURES_BEFORE_LAST = 2  # a micrograph whose worker dies for the third time is reported
CLOSE_SECONDS = 5.0
LOST_JOB, LOST_PROCESS = "2s", "720h"  # until Dask gives it up; the nanny of a process of ours starts it again, however slowly
ENDED = ("closed", "failed")
FIND_SECONDS = 20.0
JOBQUEUE_SECONDS, START_SECONDS = 60, 300  # until a job's worker must have started: its default is short for a busy disk

SETTINGS = {
    "distributed.scheduler.allowed-failures": 0,  # the run counts by itself, see `runs.spread`
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.scheduler.work-stealing": False,
    "distributed.worker.daemon": True,
}


class Workforce:
    """Workers and the line to them.

    Attributes
    ----------
    client
        Dask's.
    cluster
        Dask's; None where a Dask that runs already is used.
    devices
        Device of each worker, see `runs.remote.Order`.
    wanted
        Number of workers that were asked for; 0 where others decide.
    revivable
        Whether others can be asked for in place of those that ended: jobs of a queue, or processes of this machine. A GPU that
        is lost does not come back.
    """

    def __init__(self, client: Any, cluster: Any, devices: tuple[str, ...], wanted: int, kind: str) -> None:
        self.client, self.cluster, self.devices, self.wanted = client, cluster, devices, wanted
        self.revivable, self._kind = cluster is not None and kind != GPU, kind

    def count(self) -> tuple[int, int]:
        """Count workers and their threads."""
        threads = self.client.nthreads()
        return len(threads), sum(threads.values())

    def job_ids(self) -> dict[str, list[str]]:
        """Job numbers of a queue, by the command that ends them."""
        found: dict[str, list[str]] = {}
        for job in list(getattr(self.cluster, "workers", {}).values()):
            if getattr(job, "job_id", None):
                found.setdefault(job.cancel_command, []).append(str(job.job_id))
        return found

    def revive(self) -> None:
        """Ask for as many processes, or jobs of a queue, as were wanted, in place of those that have ended.

        A process whose nanny still starts it is left alone: a second one of its name would push it out.
        """
        if self._kind == LOCAL:
            for name, nanny in list(self.cluster.workers.items()):
                if nanny.status.name in ENDED:
                    del self.cluster.workers[name]
            self.cluster.scale(self.wanted)
        else:
            self.cluster.scale(jobs=self.wanted)

    def abandon(self) -> None:
        """End everything at once, without waiting for anybody."""
        for command, numbers in self.job_ids().items():
            with contextlib.suppress(OSError):
                subprocess.Popen(
                    [*command.split(), *numbers],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
        for nanny in list(getattr(self.cluster, "workers", {}).values()):
            if getattr(nanny, "pid", None):
                with contextlib.suppress(OSError):
                    os.kill(nanny.pid, signal.SIGKILL)


@contextlib.contextmanager
def open_workforce(workers: Workers, how: RunSettings, folder: Path) -> Iterator[Workforce]:
    """Open workers for the length of a run.

    Parameters
    ----------
    workers
        Which.
    how
        Threads and devices.
    folder
        For what workers write about themselves.

    Raises
    ------
    GanpickError
        If Dask is not installed, or the configuration of a queue cannot be used.
    WorkersError
        If a Dask that should run already cannot be reached.
    """
    try:
        import dask
        from distributed import Client
    except ImportError as error:
        raise GanpickError(HINT) from error
    for name in ("distributed", "asyncio"):  # what they say of lost workers is said by the run
        logging.getLogger(name).setLevel(logging.CRITICAL)
    patience = {"distributed.deploy.lost-worker-timeout": LOST_JOB if workers.in_queue else LOST_PROCESS}
    with dask.config.set(SETTINGS | patience), dask.config.set(_configuration(how.cluster_config, workers.kind)):
        cluster, place, devices, wanted = _cluster(workers, how, folder)
        force = None
        try:
            with _cancelled_by_sigterm(lambda: force):
                try:
                    client = Client(place or cluster, timeout=FIND_SECONDS, set_as_default=False)
                except (OSError, ValueError) as error:
                    raise WorkersError(f"`workers` {place}: no Dask scheduler answers there ({error})") from error
                force = Workforce(client, cluster, devices, wanted, workers.kind)
                yield force
        except BaseException:
            if force is not None:
                force.abandon()
            raise
        finally:
            _close(force, cluster)


def _close(force: Workforce | None, cluster: Any) -> None:
    """Close what we opened; what runs already goes on without us."""
    for each in (None if force is None else force.client, cluster):
        if each is not None:
            with contextlib.suppress(Exception):  # a scheduler that is gone cannot be said goodbye to
                each.close(timeout=CLOSE_SECONDS)


def _cluster(workers: Workers, how: RunSettings, folder: Path) -> tuple[Any, Any, tuple[str, ...], int]:
    """Make the cluster, or find the address of one; with the devices of its workers and their number."""
    if workers.kind in (LOCAL, GPU):
        devices = all_devices(how) if workers.kind == GPU else (how.device_name,)
        n = len(devices) if workers.kind == GPU else workers.n
        return _processes(n), None, devices, n
    if workers.kind == ADDRESS:
        return None, workers.place, (how.device_name,), 0
    if workers.kind == SCHEDULER_FILE:
        path = Path(workers.place)
        if not path.is_file():
            raise WorkersError(
                f"`workers` {SCHEDULER_FILE}:{path}: no such file; start the scheduler with --scheduler-file first"
            )
        return None, _address(path), (how.device_name,), 0
    return _jobs(workers, how, folder), None, (how.device_name,), workers.n


def _address(path: Path) -> str:
    """Read the address out of a scheduler's file.

    Raises
    ------
    WorkersError
        If it holds none.
    """
    try:
        return str(json.loads(path.read_text())["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkersError(f"`workers` {SCHEDULER_FILE}:{path}: is not the file of a Dask scheduler ({error!r})") from error


def _processes(n: int) -> Any:
    from distributed import LocalCluster

    try:
        return LocalCluster(
            n_workers=n,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            dashboard_address=":0",  # any free port: another run may have the usual one
            scheduler_kwargs={"dashboard": False},
            worker_dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
    except RuntimeError as error:
        raise WorkersError(f"`workers` {n} processes: they did not start ({error}); the lines above say why") from error


def _jobs(workers: Workers, how: RunSettings, folder: Path) -> Any:
    """Ask a queue for jobs, by dask-jobqueue's own configuration."""
    import dask
    import dask_jobqueue

    kinds = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "sge": "SGECluster", "lsf": "LSFCluster"}
    options: dict[str, Any] = {}
    if dask.config.get(f"jobqueue.{workers.kind}.log-directory", None) is None:
        logs = folder / "workers"
        logs.mkdir(parents=True, exist_ok=True)
        options["log_directory"] = str(logs.absolute())
    if dask.config.get(f"jobqueue.{workers.kind}.death-timeout", None) == JOBQUEUE_SECONDS:
        options["death_timeout"] = START_SECONDS
    root = str(Path(relion_ganpick.__file__).parents[1])
    if root not in site.getsitepackages():  # a checkout, which the job's Python does not find by itself
        prologue = list(dask.config.get(f"jobqueue.{workers.kind}.job-script-prologue", []) or [])
        options["job_script_prologue"] = [*prologue, f'export PYTHONPATH="{root}${{PYTHONPATH:+:$PYTHONPATH}}"']
    command = getattr(dask_jobqueue, kinds[workers.kind]).job_cls.submit_command.split()[0]
    if shutil.which(command) is None:
        raise GanpickError(f"`workers` {workers.kind}: {command} is not on PATH; start it on a machine that may submit jobs")
    try:
        cluster = getattr(dask_jobqueue, kinds[workers.kind])(
            scheduler_options={"dashboard": False, "dashboard_address": ":0"}, silence_logs="critical", **options
        )
    except RuntimeError as error:
        raise WorkersError(f"`workers` {workers.kind}: the scheduler did not start here ({error})") from error
    except (ValueError, TypeError) as error:
        where = how.cluster_config or "~/.config/dask/jobqueue.yaml"
        raise GanpickError(f"{where}: {error}; see the template in the page on clusters") from error
    cluster.scale(jobs=workers.n)
    return cluster


def _configuration(path: str | None, kind: str) -> dict[str, Any]:
    """Read dask-jobqueue's configuration file, and put it upon what holds already.

    Raises
    ------
    GanpickError
        If it is missing, no YAML, or says nothing of this queue.
    """
    import dask
    import yaml

    if path is None:
        return {}
    import dask_jobqueue  # noqa: F401  # its defaults

    try:
        content = yaml.safe_load(Path(path).read_text())
    except (OSError, yaml.YAMLError) as error:
        raise GanpickError(f"`cluster_config` {path}: cannot be read ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or kind not in (content.get("jobqueue") or {}):
        raise GanpickError(f"`cluster_config` {path}: says nothing of jobqueue: {kind}: see the template in the page on clusters")
    merged = dask.config.merge(dask.config.config, content)
    return {name: merged[name] for name in content}


def all_devices(how: RunSettings) -> tuple[str, ...]:
    """List the GPUs of ``gpu``, or all that there are.

    Raises
    ------
    DeviceError
        If one is missing, or there is none.
    """
    import torch

    from relion_ganpick.core.device import find_device

    chosen = gpu_numbers(how.gpu or "all")
    if chosen is None:
        chosen = list(range(torch.cuda.device_count() if torch.cuda.is_available() else 0))
    if not chosen:
        raise DeviceError("`workers` gpu: PyTorch sees no CUDA devices here; give `workers` local:4, or a CUDA build of PyTorch")
    return tuple(str(find_device(f"cuda:{number}")) for number in chosen)


@contextlib.contextmanager
def _cancelled_by_sigterm(force: Callable[[], Workforce | None]) -> Iterator[None]:
    """Take the queue's jobs along when somebody ends this process; a handler that is there already stays."""
    mine = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    def stop(number: int, _: FrameType | None) -> None:
        there = force()
        if there is not None:
            there.abandon()
        sys.stdout.flush()
        os._exit(128 + number)

    if mine:
        signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        if mine:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
