"""Thousands of micrographs in constant memory: on a CPU side by side, one thread each; on a GPU in batches, read ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from relion_ganpick.picking.batches import in_batches
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.task import BYTES_IN_FLIGHT, Budget, Result, Sight, Task, whole_task
from relion_ganpick.picking.threads import one_thread_each

__all__ = ["Result", "Sight", "Task", "stream"]


def stream(tasks: Iterable[Task], picker: Picker, threads: int = 1) -> Iterator[Result]:
    """Pick micrographs and yield their results in order; a bad one becomes a result with an error.

    Parameters
    ----------
    tasks
        What to pick; read as needed.
    picker
        Does the picking.
    threads
        Micrographs that are picked at a time on a CPU, each by one thread; on a GPU, those that are read and scaled at a time,
        at most 4 for each device. When they are so large that together they would take more than 768 MiB, fewer are read.
        With one thread nothing is read ahead.
    """
    if picker.device.type == "cpu":
        return _side_by_side(tasks, picker, max(threads, 1))
    return in_batches(tasks, picker, max(threads, 1))


def _side_by_side(tasks: Iterable[Task], picker: Picker, threads: int) -> Iterator[Result]:
    """Pick whole micrographs in threads; what is kept of those that are done early is small."""
    lead = 2 * threads if threads > 1 else 0
    budget = Budget(BYTES_IN_FLIGHT)
    with one_thread_each(threads), ThreadPoolExecutor(threads, "picker") as pool:
        ahead: deque[Future[Result]] = deque()
        try:
            for task in tasks:
                ahead.append(pool.submit(whole_task, task, picker, budget))
                if len(ahead) > lead:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
