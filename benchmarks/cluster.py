"""What workers bring: measured on this machine, and with simulated picking for more workers than it has cores.

    python benchmarks/cluster.py                          both tables
    python benchmarks/cluster.py --n 200 --side 2048      more and larger micrographs in the first one
    python benchmarks/cluster.py --only simulated --seconds 0.05

First table: an External job over simulated micrographs in one process, with two threads, and with --workers local:2. Seconds of
the processor hardly change when other programs run beside it; seconds on the clock mean something only if nothing else runs.

Second table: the real loop of the run, and Dask's real scheduler and workers, which talk over TCP on the loopback interface.
Only the picking is simulated: a worker waits for --seconds and reports picks. So the table shows what scheduler and loop can
stand, and how many bytes go through the scheduler. Seconds of the processor are those of the run, the scheduler and all workers
together, without picking. All workers are threads of this one process: with workers elsewhere it needs less.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import distributed
from distributed.comm.tcp import TCP
from jobs import run_job
from measure import machine
from stage import stage
from throughput import DIAMETER, PIXEL, make_files

from relion_ganpick.core.picks import Picks
from relion_ganpick.core.settings import PickSettings, RunSettings
from relion_ganpick.inspect.job import Facts, Job
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Result, Task
from relion_ganpick.runs import spread
from relion_ganpick.runs.remote import Done, Order
from relion_ganpick.runs.results import Door, Finished
from relion_ganpick.runs.source import FileSource

WAYS: tuple[tuple[str, int, list[str]], ...] = (
    ("one process, 1 thread", 1, []),
    ("one process, 2 threads", 2, []),
    ("--workers local:2", 1, ["--workers", "local:2"]),
)
WORKERS = (4, 8, 16, 32, 64)
QUIET = {"distributed.worker.profile.enabled": False, "distributed.admin.system-monitor.interval": "60s"}
"""What each worker does a hundred times a second for itself. On machines of their own that costs the run nothing."""


@dataclass(frozen=True)
class NoDoor:
    """Names as a job's door has them, of the same length."""

    output: str
    keep_inside: bool
    name: str

    def results(self, picker: Picker) -> Any:
        """Nothing is filed."""
        raise NotImplementedError


class Counted:
    """Results that are only counted."""

    def finished(self, index: int) -> Finished | None:
        """Pick every one."""
        return None

    def refuse(self, index: int, result: Result) -> str | None:
        """Refuse nothing."""
        return None

    def keep(self, index: int, result: Result, picks: Picks) -> None:
        """Keep nothing."""

    def failed(self, index: int, reason: str) -> str:
        """Say why."""
        return reason

    def place(self, index: int, folder: str, ending: str) -> Path:
        """Name nothing that will be written."""
        return Path(folder) / f"{index}{ending}"

    def picture(self, index: int) -> tuple[Path, Picks, Picks] | None:
        """Draw nothing."""
        return None

    def as_job(self, facts: Facts) -> Job | None:
        """Show nothing."""
        return None

    def door(self, index: int) -> Door:
        """Name the micrograph as a job does."""
        return NoDoor("External/job007/", True, f"MotionCorr/job002/Movies/FoilHole_{index:08d}_fractions.mrc")

    def taken(self, index: int, share: float | None) -> bool:
        """All is well."""
        return True


@contextmanager
def bytes_counted() -> Iterator[list[int]]:
    """Count what is written to connections of this process, in which scheduler, workers and client all are."""
    counted, write = [0], TCP.write

    async def counting(self: Any, *words: Any, **named: Any) -> Any:
        n = await write(self, *words, **named)
        counted[0] += n or 0
        return n

    TCP.write = counting
    try:
        yield counted
    finally:
        TCP.write = write


def simulated(n_workers: int, per_worker: int, seconds: float) -> str:
    """Run the loop with workers that wait in place of picking; returns a line of the table."""

    def wait(order: Order, door: Door, task: Task, drawn: bool) -> tuple[str, Done]:
        time.sleep(seconds)
        return "tcp://127.0.0.1:0", Done(200, (300, 280, 260, 240, 220, 200, 150, 100, 50), seconds=seconds)

    n = per_worker * n_workers
    tasks = [Task(f"MotionCorr/job002/Movies/FoilHole_{k:08d}_fractions.mrc", Path(f"{k}.mrc"), 0.83) for k in range(n)]
    cluster = distributed.LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        processes=False,
        protocol="tcp://",
        dashboard_address=":0",
        scheduler_kwargs={"dashboard": False},
        worker_dashboard_address=None,
        silence_logs=logging.CRITICAL,
    )
    real = spread._on_worker
    spread._on_worker = wait
    try:
        with tempfile.TemporaryDirectory() as folder, cluster, bytes_counted() as counted:
            how = RunSettings(workers=cluster.scheduler_address, overlays=0, page=False, device="cpu")
            picker = Picker(PickSettings(DIAMETER), "cpu")
            run = spread.SpreadRun(FileSource(tasks), picker, Counted(), how, Path(folder))
            began, cpu = time.perf_counter(), time.process_time()
            summary = run.carry_out()
            took, cpu = time.perf_counter() - began, time.process_time() - cpu
            sent = counted[0]
    finally:
        spread._on_worker = real
    assert summary.micrographs == n
    rate, ideal = n / took, n_workers / seconds
    each = f"{1000 * cpu / n:11.1f} {sent / n / 1000:8.1f}"
    return f"{n_workers:7d} {n:11d} {rate:9.1f} {ideal:9.1f} {100 * rate / ideal:6.0f} % {each}"


def measured(n: int, side: int) -> Iterator[str]:
    """Carry out a job in each way; yields lines of the table."""
    with tempfile.TemporaryDirectory() as made:
        paths = make_files(Path(made), n, side)
        for title, threads, words in WAYS:
            with tempfile.TemporaryDirectory() as folder:
                names = stage(Path(folder), paths, PIXEL)
                cost = run_job(Path(folder), names, DIAMETER, threads, ["--device", "cpu", *words]).cost
            yield f"{title:24s} {n:11d} {cost.cpu:9.1f} {cost.wall:9.1f} {cost.cpu / n:11.2f} {cost.wall / n:13.2f}"


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--n", type=int, default=40, help="micrographs of the first table")
    parser.add_argument("--side", type=int, default=2048, help="pixels of their sides")
    parser.add_argument("--seconds", type=float, default=0.2, help="simulated time for one micrograph")
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS, help="numbers of workers of the second table")
    parser.add_argument("--per_worker", type=int, default=40, help="micrographs for each of them")
    parser.add_argument("--only", choices=("measured", "simulated"), help="one of the two tables")
    options = parser.parse_args(argv)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    print(machine())
    if options.only != "simulated":
        print(f"\n{'who picks':24s} {'micrographs':>11s} {'CPU s':>9s} {'clock s':>9s} {'CPU s each':>11s} {'clock s each':>13s}")
        for line in measured(options.n, options.side):
            print(line, flush=True)
    if options.only != "measured":
        dask.config.set(QUIET)
        print(f"\nsimulated: {options.seconds:g} s for one micrograph")
        print(f"{'workers':>7s} {'micrographs':>11s} {'per s':>9s} {'at most':>9s} {'of it':>8s}", end="")
        print(f" {'CPU ms each':>11s} {'kB each':>8s}")
        for n_workers in options.workers:
            print(simulated(n_workers, options.per_worker, options.seconds), flush=True)


if __name__ == "__main__":
    main()
