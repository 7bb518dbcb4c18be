"""What runs on a worker: one micrograph is read, picked and filed where it is. Only names and counts travel."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from relion_ganpick.core.errors import DeviceError
from relion_ganpick.core.file_checks import LIMITS, MOST_MEGAPIXELS
from relion_ganpick.core.settings import RunSettings
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Result, Task
from relion_ganpick.picking.threads import bound_threads
from relion_ganpick.runs.kept_picker import read_picker
from relion_ganpick.runs.repeated import Repeated
from relion_ganpick.runs.results import Door, Results
from relion_ganpick.runs.run import Run
from relion_ganpick.runs.source import FileSource, Missing

MOST_KEPT = 2  # pickers of earlier runs, with several threads on several devices
SEEN_WITHIN_SECONDS = 20.0  # network file systems show a new file to other machines after some seconds


@dataclass(frozen=True)
class Order:
    """What is the same for all micrographs of a run.

    Attributes
    ----------
    root
        Working directory of the run's own process: names count from there.
    picker
        File with what was chosen for the whole set, see `runs.kept_picker`.
    kind
        Class of the picker.
    devices
        Device of each worker; one for all, or one for each in the order of their names 0, 1 ...
    threads
        Number of threads of a worker.
    masks
        "png" or "mrc" to write where a micrograph is contaminated, else "no".
    max_megapixels
        Largest size of a micrograph in millions of pixels.
    """

    root: str
    picker: Path
    kind: type[Picker]
    devices: tuple[str, ...]
    threads: int
    masks: str
    max_megapixels: float = MOST_MEGAPIXELS


@dataclass(frozen=True)
class Done:
    """What became of a micrograph, in a few numbers.

    Attributes
    ----------
    n_picks
        Picks above the threshold; None if it could not be used.
    above
        How many scored picks survive at 0.1, 0.2 ... 0.9.
    problem
        Why it could not be used.
    notes
        What a user should know, in lines.
    seconds
        Time that it took on the worker.
    share
        Share of the image that is contaminated; None where the model does not say.
    lost_device
        What is wrong with the worker's device, which is of no use any more.
    """

    n_picks: int | None
    above: tuple[int, ...] = ()
    problem: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    share: float | None = None
    lost_device: str = ""


def pick_one(order: Order, door: Door, task: Task, drawn: bool, worker: str = "0") -> Done:
    """Pick one micrograph and file it.

    Parameters
    ----------
    order
        What is the same for all.
    door
        How it is filed.
    task
        The micrograph.
    drawn
        Whether its picture is drawn.
    worker
        Name of the worker, which decides its device.
    """
    device = order.devices[int(worker) % len(order.devices)] if worker.isdecimal() else order.devices[0]
    began = time.perf_counter()
    LIMITS.megapixels = order.max_megapixels
    with _HERE.at(order.root):
        try:
            picker = _picker(order, device)
            how = RunSettings(page=False, overlays=int(drawn), masks=order.masks)
            return _One(task, picker, door.results(picker), how).done(began)
        except DeviceError as error:
            return Done(None, lost_device=str(error))


class _One(Run):
    """The run of a single micrograph, which takes down what it would say."""

    def __init__(self, task: Task, picker: Picker, results: Results, how: RunSettings) -> None:
        super().__init__(FileSource([task]), picker, results, how)
        self._problem = ""
        self._share: float | None = None
        self._warnings = self._notes = _Notes()

    def done(self, began: float) -> Done:
        """Pick the micrograph, unless a worker that was lost had just done it; say what became of it."""
        self._pick_all()
        n_picks = self.summary.picks if self.summary.micrographs else None
        above, seconds = tuple(map(int, self.summary.above)), time.perf_counter() - began
        return Done(n_picks, above, self._problem, tuple(self._notes.lines), seconds, self._share)

    def _kept(self, index: int, outcome: Missing | Result) -> str | None:
        if isinstance(outcome, Result):
            self._share = outcome.contaminated_share
        return super()._kept(index, outcome)

    def _say(self, index: int, n_picks: int, note: str) -> None:
        """Leave that to the run's own process."""

    def _say_failure(self, index: int, problem: str) -> None:
        self._problem = problem


class _Notes(Repeated):
    """Collects warnings."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def warn(self, text: str, *names: str, kind: str = "") -> None:
        """Take down a warning."""
        self.lines.append(text)


_loading = threading.Lock()
_loaded: dict[tuple[Path, str], Picker] = {}


def _picker(order: Order, device: str) -> Picker:
    """Read the picker of a run once in each process; each run has a name of its own for it."""
    with _loading:
        key = order.picker, device
        if key not in _loaded:
            deadline = time.monotonic() + SEEN_WITHIN_SECONDS
            while not order.picker.is_file() and time.monotonic() < deadline:
                time.sleep(0.2)
            bound_threads(order.threads)
            picker = read_picker(order.picker, order.kind, device)
            for old in list(_loaded)[: 1 - MOST_KEPT]:
                del _loaded[old]
            _loaded[key] = picker
        return _loaded[key]


class _Here:
    """The working directory of a process whose threads may work for runs in different places, but then take turns."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._busy = 0

    @contextmanager
    def at(self, root: str) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._busy or os.getcwd() == root)
            if os.getcwd() != root:
                os.chdir(root)
            self._busy += 1
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()


_HERE = _Here()
