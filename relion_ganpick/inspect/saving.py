"""Write what was changed on the page into the job's folder, by the rules that jobs keep."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import write_atomic
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.pick_files import State, cut_digest, inspect_picks, read_picks, write_edited, write_picks
from relion_ganpick.formats.picks_json import json_file, refresh_json
from relion_ganpick.inspect.job import Job
from relion_ganpick.inspect.pictures import columns
from relion_ganpick.version import __version__

EDITS_FILE, LOCK_FILE = "edits.json", ".ganpick/lock"
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Selection:
    """Which scored picks are kept on micrographs that nobody has edited.

    Attributes
    ----------
    threshold
        Smallest figure of merit.
    best
        Share of a micrograph's remaining picks that is kept, the best ones, rounded up.
    power_low, power_high
        Limits of the local power; None is no limit.
    dropped_classes
        Numbers of class averages whose members are left out.
    """

    threshold: float
    best: float = 1.0
    power_low: float = 0.0
    power_high: float | None = None
    dropped_classes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the values."""
        if not 0 <= self.threshold <= 1:
            raise GanpickError(f"a threshold of {self.threshold:g}: a figure of merit lies between 0 and 1")
        if not 0 < self.best <= 1:
            raise GanpickError(f"best {self.best:g}: give a share between 0 and 1")

    @property
    def needs_picture(self) -> bool:
        """Whether a micrograph must be looked at to apply it."""
        return self.power_low > 0 or self.power_high is not None or bool(self.dropped_classes)

    def keep(self, picks: Picks, power: Numbers | None = None, classes: NDArray[np.intp] | None = None) -> Picks:
        """Select; ``picks`` best first, ``power`` and ``classes`` one for each where they are needed."""
        mask = picks.score >= self.threshold
        if power is not None:
            mask &= (power >= self.power_low) & (power <= (np.inf if self.power_high is None else self.power_high))
        if classes is not None:
            mask &= ~np.isin(classes, self.dropped_classes)
        numbers = np.nonzero(mask)[0]
        return picks.where(numbers[: int(np.ceil(len(numbers) * self.best - 1e-9))])


@dataclass(frozen=True)
class Changes:
    """What a page asks to save.

    Attributes
    ----------
    edits
        By micrograph: its picks from now on, where a negative figure of merit is a pick by hand; None for automatic ones.
    selection
        A new rule for all other micrographs, or None.
    """

    edits: Mapping[int, Picks | None] = field(default_factory=dict)
    selection: Selection | None = None


@dataclass
class Saved:
    """What has been saved: numbers of micrographs, and what could not be done."""

    edited: int = 0
    cut: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """One line for the page."""
        parts = [f"{self.edited} edited micrographs"] * bool(self.edited) + [f"{self.cut} with new handles"] * bool(self.cut)
        text = f"Saved: {', '.join(parts) or 'nothing to do'}."
        return text + (f" {len(self.problems)} problems, the first: {self.problems[0]}" if self.problems else "")


Look = Callable[[int, Picks], tuple[Numbers, NDArray[np.intp] | None]]
"""Local power, and classes where there are any, of a micrograph's picks."""


def read_changes(content: Any, job: Job) -> Changes:
    """Check what a page has sent.

    Raises
    ------
    GanpickError
        If it is not what a page sends.
    """
    try:
        edits = {int(each["index"]): _list(each["list"]) for each in content["edits"]}
        given = content["selection"]
        selection = None
        if given is not None:
            high = given["power_high"]
            selection = Selection(
                float(given["threshold"]),
                float(given["best"]),
                float(given["power_low"]),
                None if high is None else float(high),
                tuple(sorted(int(k) for k in given["dropped_classes"])),
            )
    except (KeyError, TypeError, ValueError) as error:
        raise GanpickError(f"what the page has sent cannot be understood ({error!r}): load it again") from error
    if any(not 0 <= index < len(job.names) for index in edits):
        raise GanpickError("the page is about another job: load it again")
    return Changes(edits, selection)


def save(job: Job, changes: Changes, threshold: float, look: Look, say: Callable[[int, int], None] = lambda *_: None) -> Saved:
    """Save; every file appears whole or not at all, and `edits.json` first says what is about to be replaced.

    Parameters
    ----------
    job
        The job.
    changes
        What to save.
    threshold
        The one that the job's files are cut at now.
    look
        Looks at a micrograph where the selection needs it.
    say
        Takes the number of micrographs that are done, and of all.

    Raises
    ------
    GanpickError
        If the job is running.
    """
    with job_lock(job.folder):
        _take_down(job, changes, threshold)
        saved = Saved()
        at = threshold if changes.selection is None else changes.selection.threshold
        for index, picks in changes.edits.items():
            with _noted(saved, job.names[index]):
                if picks is None:
                    _write_automatic(job, index, Selection(at) if changes.selection is None else changes.selection, look)
                else:
                    write_edited(job.coordinates[index], picks)
                    refresh_json(json_file(job.coordinates[index]), picks, edited=True)
                saved.edited += 1
        if changes.selection is not None:
            others = [index for index in range(len(job.names)) if index not in changes.edits]
            for done, index in enumerate(others):
                say(done, len(others))
                if inspect_picks(job.coordinates[index]).state is State.OURS:
                    with _noted(saved, job.names[index]):
                        _write_automatic(job, index, changes.selection, look)
                        saved.cut += 1
    return saved


@contextlib.contextmanager
def job_lock(folder: Path) -> Iterator[None]:
    """Hold a job's folder as a running job does.

    Raises
    ------
    GanpickError
        If a job holds it.
    """
    path = folder / LOCK_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise GanpickError(f"{folder}: the job is running; save when it has ended: your changes stay on this page") from error
        except OSError:  # a disk without locks
            pass
        yield
    finally:
        os.close(lock)


def read_edits(folder: Path) -> list[dict[str, Any]]:
    """Everything that was ever saved from a page, oldest first.

    Raises
    ------
    GanpickError
        If the file is damaged.
    """
    path = folder / EDITS_FILE
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise GanpickError(f"{path}: damaged ({error}); move it away to save again") from error
    if not isinstance(found, list):
        raise GanpickError(f"{path}: holds no list of edits; move it away to save again")
    return found


def _take_down(job: Job, changes: Changes, threshold: float) -> None:
    """Add what is about to be replaced, and by what, to `edits.json`."""
    entries = read_edits(job.folder)
    common = {"time": datetime.now(timezone.utc).isoformat(timespec="seconds"), "version": __version__}
    for index, picks in changes.edits.items():
        path = job.coordinates[index]
        old = columns(read_picks(path)) if path.is_file() else None
        what = "automatic" if picks is None else "edit" if len(picks) else "reject"
        new = None if picks is None else columns(picks)
        entries.append(common | {"micrograph": job.names[index], "what": what, "old": old, "new": new})
    if changes.selection is not None:
        entries.append(common | {"what": "selection", "old": {"threshold": threshold}, "new": asdict(changes.selection)})
    text = ",\n ".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
    write_atomic(job.folder / EDITS_FILE, f"[{text}]\n")


def _write_automatic(job: Job, index: int, selection: Selection, look: Look) -> None:
    """Cut a micrograph's scores again: as *Continue* would, or, where no threshold gives the same, as an edited file."""
    scores = job.scores[index]
    found = inspect_picks(scores)
    if found.state is not State.OURS:
        raise GanpickError(f"{scores}: there are no scores to choose from; run the job again")
    scored = read_picks(scores)
    power, classes = look(index, scored) if selection.needs_picture else (None, None)
    kept, as_continued = selection.keep(scored, power, classes), scored.above(selection.threshold)
    as_job_does = len(kept) == len(as_continued)
    refresh_json(json_file(job.coordinates[index]), kept, selection.threshold, edited=not as_job_does)
    if as_job_does:
        write_picks(job.coordinates[index], kept, cut_digest(found.settings, selection.threshold), scored)
    else:
        write_edited(job.coordinates[index], kept)


def _list(content: Any) -> Picks | None:
    if content is None:
        return None
    x, y, score = (np.array(content[name], np.float64).reshape(-1) for name in ("x", "y", "score"))
    if not len(x) == len(y) == len(score) or not np.isfinite(np.concatenate([x, y, score])).all():
        raise ValueError("columns of picks")
    return Picks(x, y, score).rounded()


@contextlib.contextmanager
def _noted(saved: Saved, name: str) -> Iterator[None]:
    """Go on with the other micrographs where one cannot be written."""
    try:
        yield
    except (GanpickError, OSError) as error:
        saved.problems.append(f"{name}: {error}")
