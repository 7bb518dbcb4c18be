"""The run over workers elsewhere: each micrograph is one task of Dask; this process counts, and writes lists and markers."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relion_ganpick.core.errors import WorkersError
from relion_ganpick.core.settings import RunSettings
from relion_ganpick.core.workers import parse_workers
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Task
from relion_ganpick.runs.clusters import FAILURES_BEFORE_LAST, Workforce, open_workforce
from relion_ganpick.runs.kept_picker import write_picker
from relion_ganpick.runs.remote import SEEN_WITHIN_SECONDS, Done, Order, pick_one
from relion_ganpick.runs.results import Door, Results
from relion_ganpick.runs.run import Run
from relion_ganpick.runs.source import Missing, Source

log = logging.getLogger(__name__)

AHEAD = 2  # micrographs in flight for each thread of the workers: one that is picked, and one that waits
FEWEST_AHEAD = 8
LOOK_SECONDS, GATHER_SECONDS = 1.0, 5.0
REVIVE_SECONDS = 15.0
MOST_REVIVALS = 8  # of each worker that was asked for, with no micrograph done in between
TELL_SECONDS = 300.0


@dataclass
class _Flight:
    """A micrograph that is with the workers.

    Attributes
    ----------
    deaths
        How many workers died while they had it.
    alone
        Whether no other one is with them meanwhile: then a worker that dies dies of this one.
    """

    index: int
    task: Task
    tries: int = 1
    deaths: int = 0
    alone: bool = False


class SpreadRun(Run):
    """Picks the micrographs of a run with workers; lines come in the order in which micrographs are done.

    Parameters
    ----------
    folder
        The run's own, which workers see as well.
    """

    def __init__(
        self,
        source: Source,
        picker: Picker,
        results: Results,
        how: RunSettings,
        folder: Path,
        progress: Callable[[int], None] = lambda _: None,
        settled: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(source, picker, results, how, progress, settled)
        assert how.workers is not None
        self.workers = parse_workers(how.workers)
        self.patience = how.worker_wait or self.workers.patience
        self._own = folder.absolute() / ".ganpick" / f"workers-{uuid.uuid4().hex[:12]}"
        self._folder = folder
        self._flying: dict[str, _Flight] = {}
        self._suspects: list[_Flight] = []
        self._landed: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._seen = self._revived = self._looked = self._said = time.monotonic()
        self._n_workers, self._room, self._revivals = 0, FEWEST_AHEAD, 0

    def _pick_all(self) -> None:
        """Pick what is not finished; workers are asked for when there is something to pick."""
        force: Workforce | None = None
        unfinished = self.source.fetch(self._unfinished())
        first = next(unfinished, None)
        if first is None:
            return
        write_picker(self._own / "picker.json", self.picker, self._folder)
        try:
            with open_workforce(self.workers, self.how, self._folder / ".ganpick") as force:
                kind, how = type(self.picker), self.how
                order = Order(os.getcwd(), self._own / "picker.json", kind, force.devices, how.j, how.masks, how.max_megapixels)
                self._seen = time.monotonic()
                found: tuple[int, Task | Missing] | None = first
                while found is not None:
                    index, task = found
                    if isinstance(task, Missing):
                        self._file(index, task)
                    else:
                        self._tasks[index] = task
                        self._submit(force, order, _Flight(index, task))
                    while len(self._flying) >= self._room:
                        self._land(force, order)
                    found = next(unfinished, None)
                while self._flying or self._suspects:
                    if not self._flying:
                        self._submit(force, order, self._suspects.pop(0))
                    self._land(force, order)
        finally:
            shutil.rmtree(self._own, ignore_errors=True)

    def _submit(self, force: Workforce, order: Order, flight: _Flight) -> None:
        """Send a micrograph to whichever worker is free."""
        key = f"pick_one-{uuid.uuid4().hex}"
        self._flying[key] = flight
        drawn = flight.index in self._drawn
        door = self.results.door(flight.index)
        future = force.client.submit(_on_worker, order, door, flight.task, drawn, key=key, pure=False, retries=0)
        future.add_done_callback(self._landed.put)

    def _land(self, force: Workforce, order: Order) -> None:
        """Wait for the next micrograph, for a second at most, and see meanwhile that there are workers."""
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._look_after(force)
        try:
            future = self._landed.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            return
        try:
            told = future.result(timeout=GATHER_SECONDS) if future.status == "finished" else None
        except Exception as error:
            if future.status == "finished" and not isinstance(error, (TimeoutError, asyncio.TimeoutError)):
                raise
            told = None
        if told is None and future.status in ("pending", "finished"):
            future.add_done_callback(self._landed.put)  # its worker died before it could tell: another one picks it again
            return
        flight = self._flying.pop(future.key)
        if told is None:
            self._file_lost(force, order, flight, future)
            return
        worker, done = told
        future.release()
        if done.lost_device:
            self._without(force, worker, done.lost_device)
            self._again(force, order, flight, done.lost_device)
        else:
            self._file_done(flight.index, done)

    def _file_lost(self, force: Workforce, order: Order, flight: _Flight, future: Any) -> None:
        """Try a micrograph with which something went wrong again, or file it as failed."""
        from distributed import KilledWorker

        name = flight.task.name
        if future.status == "cancelled":
            raise WorkersError("the Dask scheduler is gone; what is finished is kept: start it again, and this run as well")
        error = future.exception()
        if isinstance(error, KilledWorker):
            self._file_death(force, order, replace(flight, deaths=flight.deaths + error.allowed_failures + 1))
        elif isinstance(error, OSError):
            where = error.filename or name
            raise OSError(error.errno, error.strerror or str(error), str(where))
        else:
            self._again(force, order, flight, f"{error!r}")

    def _file_death(self, force: Workforce, order: Order, flight: _Flight) -> None:
        """Try a micrograph whose worker died again, the last time at the end of the run with no other one beside it.

        Dask counts a death against everything that the worker had, what only waited there as well.
        """
        if flight.alone:
            times = f"its worker died {flight.deaths} times while it was picked"
            self._file(flight.index, Missing(f"{flight.task.name}: {times}; out of memory? Another run tries it again"))
        elif flight.deaths >= FAILURES_BEFORE_LAST:
            self._suspects.append(replace(flight, alone=True))
        else:
            self._submit(force, order, flight)

    def _again(self, force: Workforce, order: Order, flight: _Flight, reason: str) -> None:
        """Try a micrograph with another worker, and report it after the third time."""
        if flight.tries > FAILURES_BEFORE_LAST:
            self._file(flight.index, Missing(f"{flight.task.name}: failed {flight.tries} times on workers ({reason})"))
            return
        flight.tries += 1
        self._submit(force, order, flight)

    def _without(self, force: Workforce, worker: str, reason: str) -> None:
        """Send a worker away whose device is of no use."""
        log.warning(f"worker {worker} is sent away: {reason}")
        force.client.retire_workers(workers=[worker], close_workers=True)

    def _file_done(self, index: int, done: Done) -> None:
        """Count what a worker has filed, and say a line about it."""
        self._revivals = 0
        if done.n_picks is None:
            self._file(index, Missing(done.problem))
            return
        deadline = time.monotonic() + SEEN_WITHIN_SECONDS
        while not self.results.taken(index, done.share):
            if time.monotonic() > deadline:
                raise WorkersError(
                    f"{self.source.name(index)}: a worker has filed its picks, but they are not here: workers must see "
                    f"{self._folder.absolute()} under the same name; put the project on a shared disk"
                )
            time.sleep(0.1)
        for note in done.notes:
            self._warnings.warn(note, self.source.name(index))
        self.summary.add(done.n_picks, done.above)
        self._say(index, done.n_picks, f" ({done.seconds:.2f} s)")
        self._close(index)

    def _look_after(self, force: Workforce) -> None:
        """See how many workers there are, ask for others in place of those that ended, and give up when there are none.

        Raises
        ------
        WorkersError
            If there has been none for too long.
        """
        now = self._looked = time.monotonic()
        n, threads = force.count()
        self._room = max(AHEAD * threads, FEWEST_AHEAD)
        if n > self._n_workers:
            log.info(
                f"{n} worker{'' if n == 1 else 's'}" + (f" of {force.wanted}" if force.wanted else "") + f", {threads} threads"
            )
        elif n < self._n_workers:
            log.warning(f"{n} of {self._n_workers} workers are left; the micrographs of those lost go to others")
        self._n_workers = n
        if n:
            self._seen = self._said = now
        if force.revivable and n < force.wanted and now - self._revived > REVIVE_SECONDS:
            self._revived = now
            if self._revivals < MOST_REVIVALS * force.wanted:
                self._revivals += 1
                force.revive()
        if now - self._seen > self.patience:
            hint = (
                f"see {self._folder / '.ganpick' / 'workers'} and the queue" if self.workers.in_queue else "see the lines above"
            )
            raise WorkersError(
                f"no worker for {self.patience:g} seconds ({hint}; `worker_wait` is how long to wait); what is finished is kept"
            )
        if not n and now - self._said > TELL_SECONDS:
            self._said = now
            log.info("still waiting for workers")


def _on_worker(order: Order, door: Door, task: Task, drawn: bool) -> tuple[str, Done]:
    """Pick on a worker, and say which it was."""
    from distributed import get_worker

    worker = get_worker()
    return worker.address, pick_one(order, door, task, drawn, str(worker.name))
