"""One micrograph of a run: read, scaled, marked, located; whatever goes wrong with it becomes a result with an error."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.faults import hits_all, in_words, out_of_memory
from relion_ganpick.core.frame import ImageArea
from relion_ganpick.core.micrograph import read_header, read_micrograph
from relion_ganpick.core.picks import Picks
from relion_ganpick.picking.picker import Image, Picker, Prepared
from relion_ganpick.report.overlays import shrunk

BYTES_IN_FLIGHT = 768 * 2**20
PIXEL_SIZE_TOLERANCE = 0.05

HalfDone = tuple[Prepared, "Result"]


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


def prepare_task(task: Task, picker: Picker, budget: Budget) -> Result | HalfDone:
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
        return failed_task(task, error)


def _read(task: Task, picker: Picker, budget: Budget, wanted: int) -> HalfDone:
    began = time.perf_counter()
    with budget.reserve(wanted):
        micrograph = read_micrograph(task.path, task.pixel_size)
        read = time.perf_counter()
        prepared = picker.prepare(micrograph)
        sight = Sight(shrunk(micrograph.pixels), prepared) if task.shown else None
    seconds = {"read": read - began, "scale": time.perf_counter() - read}
    warning = _pixel_size_warning(task, micrograph.header_pixel_size) or micrograph.note
    return prepared, _result_of(task, prepared, warning, seconds, sight)


def _result_of(task: Task, prepared: Prepared, warning: str | None, seconds: dict[str, float], sight: Sight | None) -> Result:
    """Say what is known of a micrograph before it is marked."""
    shape, area, pixel_size, without = prepared.shape, prepared.area, prepared.pixel_size, prepared.without_image
    return Result(task, Picks.none(), None, warning, shape, area, seconds, pixel_size, None, sight, without)


def whole_task(task: Task, picker: Picker, budget: Budget) -> Result:
    """Pick one micrograph from its file to its picks."""
    seen = marks_before(task, picker)
    if seen is not None:
        return locate_task(*seen, picker)
    half_done = prepare_task(task, picker, budget)
    if isinstance(half_done, Result):
        return half_done
    prepared, result = half_done
    try:
        began = time.perf_counter()
        marked = picker.mark(prepared.picture)
        result.seconds["network"] = time.perf_counter() - began
    except Exception as error:
        return failed_task(result.task, error)
    return locate_task(half_done, marked, picker)


def marks_before(task: Task, picker: Picker) -> tuple[HalfDone, Image] | None:
    """Take the marks of a micrograph that was looked at before the run with this picker; None if there are none."""
    seen = None if picker.marks is None else picker.marks.take(task.path)
    if seen is None or task.shown:  # what is shown is read once more, for its picture
        return None
    prepared = seen.prepared
    warning = _pixel_size_warning(task, seen.header_pixel_size)
    return (prepared, _result_of(task, prepared, warning, {}, None)), seen.marked


def locate_task(half_done: HalfDone, marked: Image, picker: Picker) -> Result:
    """Turn the marks of a prepared micrograph, (c, h, w) float32, into its picks."""
    prepared, result = half_done
    try:
        began = time.perf_counter()
        picks = picker.locate(prepared, marked)
    except Exception as error:
        return failed_task(result.task, error)
    seconds = result.seconds | {"localise": time.perf_counter() - began}
    return replace(result, picks=picks, seconds=seconds, contamination=marked[1] if len(marked) > 1 else None)


def failed_task(task: Task, error: Exception) -> Result:
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


class Budget:
    """Holds back whoever would take more bytes than there are, but never the only one."""

    def __init__(self, most: int) -> None:
        self._most, self._taken = most, 0
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, wanted: int) -> Iterator[None]:
        """Hold so many bytes."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken == 0 or self._taken + wanted <= self._most)
            self._taken += wanted
        try:
            yield
        finally:
            with self._changed:
                self._taken -= wanted
                self._changed.notify_all()
