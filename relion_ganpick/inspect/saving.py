"""Write what was changed on the page into the job's folder, by the rules that jobs keep."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.cut import Cut
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import write_atomic
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.pick_files import State, cut_digest, inspect_picks, read_picks, write_edited, write_picks
from relion_ganpick.formats.picks_json import json_file, refresh_json
from relion_ganpick.inspect.changes import Changes, Numbers, Selection
from relion_ganpick.inspect.job import Job
from relion_ganpick.inspect.pictures import columns
from relion_ganpick.version import __version__

EDITS_FILE, LOCK_FILE = "edits.json", ".ganpick/lock"


@dataclass
class Saved:
    """What has been saved: numbers of micrographs, and what could not be done."""

    edited: int = 0
    cut: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """One line for the page."""
        edited = f"{self.edited} edited micrograph{'' if self.edited == 1 else 's'}"
        cut = f"picks chosen anew on {self.cut}{' others' if self.edited else ' micrographs'}"
        parts = [edited] * bool(self.edited) + [cut] * bool(self.cut)
        text = f"Saved: {' and '.join(parts) or 'nothing to do'}."
        return text + (f" {len(self.problems)} problems, the first: {self.problems[0]}" if self.problems else "")


Look = Callable[[int, Picks], tuple[Numbers, NDArray[np.intp] | None]]
"""Local power, and classes where there are any, of a micrograph's picks."""


def save(job: Job, changes: Changes, cut: Cut, look: Look, say: Callable[[int, int], None] = lambda *_: None) -> Saved:
    """Save; every file appears whole or not at all, and `edits.json` first says what is about to be replaced.

    Parameters
    ----------
    job
        The job.
    changes
        What to save.
    cut
        The one that the job's files follow now.
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
        _take_down(job, changes, cut)
        saved = Saved()
        rule = Selection.of_cut(cut) if changes.selection is None else changes.selection
        for index, picks in changes.edits.items():
            with _noted(saved, job.names[index]):
                if picks is None:
                    _write_automatic(job, index, rule, look)
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


def _take_down(job: Job, changes: Changes, cut: Cut) -> None:
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
        entries.append(common | {"what": "selection", "old": asdict(Selection.of_cut(cut)), "new": asdict(changes.selection)})
    text = ",\n ".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
    write_atomic(job.folder / EDITS_FILE, f"[{text}]\n")


def _write_automatic(job: Job, index: int, selection: Selection, look: Look) -> None:
    """Cut a micrograph's scores again: as *Continue* would, or, where none of its options gives the same, as an edited file."""
    scores = job.scores[index]
    found = inspect_picks(scores)
    if found.state is not State.OURS:
        raise GanpickError(f"{scores}: there are no scores to choose from; run the job again")
    scored = read_picks(scores)
    power, classes = look(index, scored) if selection.needs_picture else (None, None)
    kept = selection.keep(scored, power, classes)
    as_job_does = np.array_equal(kept.xy, selection.cut.keep(scored).xy)
    refresh_json(json_file(job.coordinates[index]), kept, selection.threshold, edited=not as_job_does)
    if as_job_does:
        write_picks(job.coordinates[index], kept, cut_digest(found.settings, *selection.cut.key), scored)
    else:
        write_edited(job.coordinates[index], kept)


@contextlib.contextmanager
def _noted(saved: Saved, name: str) -> Iterator[None]:
    """Go on with the other micrographs where one cannot be written."""
    try:
        yield
    except (GanpickError, OSError) as error:
        saved.problems.append(f"{name}: {error}")
