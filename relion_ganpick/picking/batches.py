"""Batches for devices: micrographs are read ahead, marked together on one device or several, and located in threads.

Pictures of about one size make a batch: each is continued by reflection to the next multiple of 64, as a single one would be, so
that its marks do not depend on its batch. Two threads for each device keep it busy: one copies while the other computes. A
device that is lost gives its batches to the others; without any, the run ends.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch

from relion_ganpick.core.faults import hits_all
from relion_ganpick.picking.network import MarkingNetwork
from relion_ganpick.picking.picker import Image, Picker
from relion_ganpick.picking.task import BYTES_IN_FLIGHT, Budget, HalfDone, Result, Task, failed_task, locate_task, prepare_task
from relion_ganpick.picking.threads import one_thread_each

log = logging.getLogger(__name__)

BATCH = 8
READERS_EACH = 4
THREADS_EACH = 2
AHEAD_EACH = 3  # batches that are under way for each device

Marks = Sequence[Image]
Mark = Callable[[MarkingNetwork, Sequence[Image]], Marks]


def in_batches(tasks: Iterable[Task], picker: Picker, threads: int, batch: int = BATCH) -> Iterator[Result]:
    """Pick micrographs on the picker's devices; results come in the order of the tasks.

    Parameters
    ----------
    tasks
        What to pick; read as needed.
    picker
        Does the picking.
    threads
        Threads that read, scale and locate; at least 4 for each device, as far as there are cores.
    batch
        Most pictures that are marked together.
    """
    networks = picker.network.everywhere
    readers = max(threads, min(READERS_EACH * len(networks), os.cpu_count() or 1))
    most = AHEAD_EACH * len(networks)
    devices = Devices(networks, picker.method.mark)
    with one_thread_each(2), ThreadPoolExecutor(readers, "reader") as pool, devices:
        under_way: deque[tuple[list[Result | HalfDone], Future[Marks]]] = deque()
        try:
            for group in _groups(_prepared(tasks, picker, pool, batch * most + readers), picker.network.padded_shape, batch):
                under_way.append((group, devices.submit(_pictures(group, picker.network.padded_shape))))
                if len(under_way) >= most:
                    yield from _located(*under_way.popleft(), picker, pool)
            while under_way:
                yield from _located(*under_way.popleft(), picker, pool)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class Devices:
    """Threads that mark batches, for each device some; used as a context.

    Parameters
    ----------
    networks
        One for each device.
    mark
        Marks pictures with one of them.
    """

    def __init__(self, networks: Sequence[MarkingNetwork], mark: Mark) -> None:
        self._networks, self._mark = networks, mark
        self._waiting: queue.Queue[tuple[Sequence[Image], Future[Marks]] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._lost: dict[int, BaseException] = {}
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Devices:
        for index in range(len(self._networks)):
            for _ in range(THREADS_EACH):
                thread = threading.Thread(target=self._work, args=(index,), name=f"device{index}", daemon=True)
                thread.start()
                self._threads.append(thread)
        return self

    def __exit__(self, *reason: object) -> None:
        while not self._waiting.empty():
            self._waiting.get_nowait()
        for _ in range(len(self._threads)):
            self._waiting.put(None)
        for each in self._threads:
            each.join()

    def submit(self, pictures: Sequence[Image]) -> Future[Marks]:
        """Have pictures of one size marked by whichever device is free."""
        future: Future[Marks] = Future()
        if not pictures:
            future.set_result([])
            return future
        with self._lock:
            if len(self._lost) == len(self._networks):
                future.set_exception(next(iter(self._lost.values())))
            else:
                self._waiting.put((pictures, future))
        return future

    def _work(self, index: int) -> None:
        """Mark what waits, until there is no more or this device is lost."""
        with _stream_of(self._networks[index].device):
            while (job := self._waiting.get()) is not None:
                pictures, future = job
                try:
                    marks = self._mark(self._networks[index], pictures)
                except BaseException as error:
                    if not (isinstance(error, Exception) and hits_all(error)):
                        future.set_exception(error)
                        continue
                    self._lose(index, error, job)
                    return
                future.set_result(marks)

    def _lose(self, index: int, error: Exception, job: tuple[Sequence[Image], Future[Marks]]) -> None:
        """Give a lost device's batch to the others, or fail what waits where there is none."""
        with self._lock:
            first = index not in self._lost
            self._lost[index] = error
            left = len(self._networks) - len(self._lost)
            self._waiting.put(job)
            if first and left:
                others = ", ".join(str(each.device) for k, each in enumerate(self._networks) if k not in self._lost)
                log.warning(f"{self._networks[index].device} was lost ({error}); going on with {others}")
            while not left and not self._waiting.empty():
                waiting = self._waiting.get_nowait()
                if waiting is not None and not waiting[1].done():
                    waiting[1].set_exception(error)


def _prepared(tasks: Iterable[Task], picker: Picker, pool: ThreadPoolExecutor, lead: int) -> Iterator[Result | HalfDone]:
    """Read and scale micrographs ahead, in order."""
    budget = Budget(BYTES_IN_FLIGHT)
    ahead: deque[Future[Result | HalfDone]] = deque()
    for task in tasks:
        ahead.append(pool.submit(prepare_task, task, picker, budget))
        if len(ahead) > lead:
            yield ahead.popleft().result()
    while ahead:
        yield ahead.popleft().result()


def _groups(
    found: Iterable[Result | HalfDone], padded: Callable[[tuple[int, int]], tuple[int, int]], most: int
) -> Iterator[list[Result | HalfDone]]:
    """Put neighbours of one padded size together, and those that failed with them."""
    group: list[Result | HalfDone] = []
    shape: tuple[int, int] | None = None
    for each in found:
        own = None if isinstance(each, Result) else padded(_shape(each[0].picture))
        if group and (len(group) >= most or (own is not None and shape is not None and own != shape)):
            yield group
            group, shape = [], None
        group.append(each)
        shape = own or shape
    if group:
        yield group


def _pictures(group: Sequence[Result | HalfDone], padded: Callable[[tuple[int, int]], tuple[int, int]]) -> list[Image]:
    """Continue the pictures of a group by reflection to one size."""
    pictures = [each[0].picture for each in group if not isinstance(each, Result)]
    return [pad_to(each, padded(_shape(each))) for each in pictures]


def pad_to(picture: Image, shape: tuple[int, int]) -> Image:
    """Continue a picture by reflection, (h, w) -> ``shape``."""
    return np.pad(picture, ((0, shape[0] - picture.shape[0]), (0, shape[1] - picture.shape[1])), "symmetric")


def _located(
    group: Sequence[Result | HalfDone], marks: Future[Marks], picker: Picker, pool: ThreadPoolExecutor
) -> Iterator[Result]:
    """Wait for the marks of a group, and locate particles in them side by side."""
    try:
        found = iter(marks.result())
    except Exception as error:
        if hits_all(error):
            raise
        yield from (each if isinstance(each, Result) else failed_task(each[1].task, error) for each in group)
        return
    waiting: list[Result | Future[Result]] = []
    for each in group:
        if isinstance(each, Result):
            waiting.append(each)
            continue
        height, width = _shape(each[0].picture)
        marked = np.ascontiguousarray(next(found)[:, :height, :width])
        waiting.append(pool.submit(locate_task, each, marked, picker))
    for one in waiting:
        yield one if isinstance(one, Result) else one.result()


def _shape(picture: Image) -> tuple[int, int]:
    return picture.shape[0], picture.shape[1]


def _stream_of(device: torch.device) -> AbstractContextManager[object]:
    """Give this thread a stream of its own on a GPU, so that its copies run beside another thread's computing."""
    if device.type != "cuda":
        return nullcontext()
    return torch.cuda.stream(torch.cuda.Stream(device))  # type: ignore[no-untyped-call]
