"""Thousands of micrographs, one after the other: read ahead in threads while the network works, in constant memory."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.faults import hits_all, in_words, out_of_memory
from relion_ganpick.core.frame import ImageArea
from relion_ganpick.core.micrograph import read_header, read_micrograph
from relion_ganpick.core.picks import Picks
from relion_ganpick.picking.picker import Picker, Prepared
from relion_ganpick.report.overlays import shrunk

Image = NDArray[np.float32]

MOST_READERS = 4
BYTES_IN_FLIGHT = 768 * 2**20
PIXEL_SIZE_TOLERANCE = 0.05


@dataclass(frozen=True)
class Task:
    """One micrograph to pick.

    Attributes
    ----------
    name
        What its results are filed under.
    path
        The file.
    pixel_size
        Angstrom per pixel; None takes the file's own.
    shown
        Whether its picture will be shown, and so comes with the result.
    """

    name: str
    path: Path
    pixel_size: float | None = None
    shown: bool = False


@dataclass(frozen=True)
class Sight:
    """What a picture is made of, without reading the micrograph again.

    Attributes
    ----------
    small
        (h, w) float32, the whole micrograph with at most 1024 pixels a side.
    prepared
        The micrograph as the network saw it.
    """

    small: Image
    prepared: Prepared


@dataclass(frozen=True)
class Result:
    """What became of a task.

    Attributes
    ----------
    task
        The task.
    picks
        Every pick above the localisation's floor, in pixels of the file; None if the micrograph could not be used.
    error
        Why not, in one line; None if all is well.
    warning
        What a user should know about the file, in one line; None if nothing.
    shape
        (h, w) of the micrograph in pixels; None if it could not be read.
    area
        Where the image is; None if it could not be used.
    seconds
        Time spent in the stages read, scale, network, localise.
    pixel_size
        Angstrom per pixel that was used; None if the micrograph could not be used.
    contamination
        (h, w) float32, chance of contamination at the working scale of the image area; None where the model does not say.
    sight
        What was seen of a micrograph that will be shown; None for all others.
    without_image
        Share of the image area that holds no image.
    """

    task: Task
    picks: Picks | None
    error: str | None = None
    warning: str | None = None
    shape: tuple[int, int] | None = None
    area: ImageArea | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    pixel_size: float | None = None
    contamination: Image | None = None
    sight: Sight | None = None
    without_image: float = 0.0

    @property
    def contaminated_share(self) -> float | None:
        """Share of the image area that is more likely contaminated than not; None where the model does not say."""
        return None if self.contamination is None else float((self.contamination >= 0.5).mean())


def stream(tasks: Iterable[Task], picker: Picker, threads: int = 1) -> Iterator[Result]:
    """Pick micrographs and yield their results in order; a bad one becomes a result with an error.

    Parameters
    ----------
    tasks
        What to pick; read as needed.
    picker
        Does the picking.
    threads
        Micrographs that are read and scaled at a time, at most 4, and fewer when they are so large that together
        they would take more than 768 MiB. With one thread nothing is read ahead.
    """
    readers = max(min(threads, MOST_READERS), 1)
    lead = readers if threads > 1 else 0
    budget = _Budget(BYTES_IN_FLIGHT)
    with ThreadPoolExecutor(readers, "reader") as pool:
        ahead: deque[Future[Result | tuple[Prepared, Result]]] = deque()
        try:
            for task in tasks:
                ahead.append(pool.submit(_prepare, task, picker, budget))
                if len(ahead) > lead:
                    yield _finish(ahead.popleft().result(), picker)
            while ahead:
                yield _finish(ahead.popleft().result(), picker)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _prepare(task: Task, picker: Picker, budget: _Budget) -> Result | tuple[Prepared, Result]:
    """Read and scale one micrograph; what is kept of it is small."""
    try:
        try:
            shape, _ = read_header(task.path)
            return _read(task, picker, budget, 8 * shape[0] * shape[1])
        except Exception as error:
            if not out_of_memory(error):
                raise
        return _read(task, picker, budget, BYTES_IN_FLIGHT)  # again, alone
    except Exception as error:
        return _failed(task, error)


def _read(task: Task, picker: Picker, budget: _Budget, wanted: int) -> tuple[Prepared, Result]:
    began = time.perf_counter()
    with budget.reserve(wanted):
        micrograph = read_micrograph(task.path, task.pixel_size)
        read = time.perf_counter()
        prepared = picker.prepare(micrograph)
        sight = Sight(shrunk(micrograph.pixels), prepared) if task.shown else None
    seconds = {"read": read - began, "scale": time.perf_counter() - read}
    warning = _pixel_size_warning(task, micrograph.header_pixel_size)
    shape, pixel_size = prepared.shape, prepared.pixel_size
    without = prepared.without_image
    result = Result(task, Picks.none(), None, warning, shape, prepared.area, seconds, pixel_size, None, sight, without)
    return prepared, result


def _finish(half_done: Result | tuple[Prepared, Result], picker: Picker) -> Result:
    if isinstance(half_done, Result):
        return half_done
    prepared, result = half_done
    try:
        began = time.perf_counter()
        marked = picker.mark(prepared.picture)
        network = time.perf_counter()
        picks = picker.locate(prepared, marked)
    except Exception as error:
        return _failed(result.task, error)
    seconds = result.seconds | {"network": network - began, "localise": time.perf_counter() - network}
    contamination = marked[1] if len(marked) > 1 else None
    return replace(result, picks=picks, seconds=seconds, contamination=contamination)


def _failed(task: Task, error: Exception) -> Result:
    """Make a result of what went wrong with one micrograph; what must hit all others too is raised again."""
    if hits_all(error):
        raise error
    if isinstance(error, GanpickError):
        return Result(task, None, str(error))
    return Result(task, None, f"{task.path}: cannot be picked ({in_words(error)})")


def _pixel_size_warning(task: Task, in_file: float | None) -> str | None:
    given = task.pixel_size
    if given is None or in_file is None or abs(in_file / given - 1) <= PIXEL_SIZE_TOLERANCE:
        return None
    return f"{task.path}: its header says {in_file:g} A per pixel, but {given:g} is used: check it if the picks look wrong"


class _Budget:
    """Holds back whoever would take more bytes than there are, but never the only one."""

    def __init__(self, most: int) -> None:
        self._most, self._taken = most, 0
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, wanted: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._taken == 0 or self._taken + wanted <= self._most)
            self._taken += wanted
        try:
            yield
        finally:
            with self._changed:
                self._taken -= wanted
                self._changed.notify_all()
