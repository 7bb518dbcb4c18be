"""Figures of merit of a job's micrographs, all together: read once, kept in one file, read again where files changed."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.cut import Cut
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import atomic
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.pick_files import State, inspect_picks, read_picks
from relion_ganpick.inspect.job import Facts, Job

CACHE_FILE, CACHE_VERSION = ".ganpick/inspect.npz", 1
STEPS = 10000
"""A figure of merit is kept as a whole number of these steps: the four digits that our files hold."""
STATES = (State.MISSING, State.OURS, State.EDITED)
SHOWN_AS = {State.DAMAGED: State.MISSING, State.UNREADABLE: State.MISSING}


@dataclass(frozen=True)
class Scores:
    """Figures of merit of all micrographs.

    Attributes
    ----------
    starts
        (n + 1,) int64: the picks of micrograph k are those from starts[k] up to starts[k + 1].
    score
        (m,) uint16, figures of merit in ten thousandths, falling within each micrograph.
    state
        (n,) uint8, index in `STATES` of what became of the coordinate file.
    n_file
        (n,) int32, picks in the coordinate file.
    mean_file
        (n,) float32, their mean figure of merit, picks by hand left out; not a number without any.
    lowest_file
        (n,) float32, their lowest one.
    stamps
        (n, 4) int64, times and sizes of the files that they were read from; None where they come from no files.
    """

    starts: NDArray[np.int64]
    score: NDArray[np.uint16]
    state: NDArray[np.uint8]
    n_file: NDArray[np.int32]
    mean_file: NDArray[np.float32]
    lowest_file: NDArray[np.float32]
    stamps: NDArray[np.int64] | None = None

    def of(self, index: int) -> NDArray[np.float64]:
        """Figures of merit of one micrograph, (k,) float64, falling."""
        return np.asarray(self.score[self.starts[index] : self.starts[index + 1]] / STEPS, float)

    def cut(self, facts: Facts) -> Cut:
        """Tell which picks our own coordinate files hold, from what was taken down, as far as that agrees with them."""
        if facts.best is None and facts.most is None:
            return Cut(self.threshold(facts.threshold))
        return Cut(self.threshold() if facts.threshold is None else facts.threshold, facts.best, facts.most)

    def threshold(self, known: float | None = None) -> float:
        """Find the threshold that our own coordinate files were cut at.

        It lies above the best figure of merit that was left out and not above the worst that was kept.

        Parameters
        ----------
        known
            The one that was taken down: it is taken if it lies there. Else it is one with as few digits as tell it.
        """
        low, high = 0, STEPS
        for index in np.nonzero(self.state == STATES.index(State.OURS))[0]:
            begin, end, kept = self.starts[index], self.starts[index + 1], int(self.n_file[index])
            if kept:
                high = min(high, int(self.score[begin + kept - 1]))
            if begin + kept < end:
                low = max(low, int(self.score[begin + kept]))
        if known is not None and low + 1e-6 < known * STEPS < high + 1e-6:
            return known
        for digits in (10, 100, 1000):
            step = STEPS // digits
            if (rounded := (low // step + 1) * step) <= high:
                return rounded / STEPS
        return high / STEPS


def read_scores(job: Job, say: Callable[[int, int], None] | None = None, last: Scores | None = None) -> Scores:
    """Read the figures of merit of all micrographs; those that have not changed come from one file.

    Parameters
    ----------
    job
        The job.
    say
        Takes the number of micrographs that were read anew so far, and how many there are to read.
    last
        What was read before; it is given back if no file has changed since.
    """
    stamps = np.array([(*_stamp(a), *_stamp(b)) for a, b in zip(job.scores, job.coordinates, strict=True)], np.int64)
    if last is not None and last.stamps is not None and np.array_equal(last.stamps, stamps):
        return last
    names = np.array(job.names)
    before = _load(job.folder / CACHE_FILE)
    known: dict[str, int] = {}
    if before is not None:
        known = {str(name): k for k, name in enumerate(before["names"])}
    rows: list[tuple[NDArray[np.uint16], Any]] = []
    stale = [
        k
        for k, name in enumerate(job.names)
        if before is None or name not in known or (before["stamps"][known[name]] != stamps[k]).any()
    ]
    to_read, done = set(stale), 0
    for k, name in enumerate(job.names):
        if k in to_read:
            rows.append(_read_one(job, k))
            done += 1
            if say is not None and done % 50 == 0:
                say(done, len(stale))
        else:
            assert before is not None
            at = known[name]
            begin, end = before["starts"][at : at + 2]
            rows.append((before["score"][begin:end], before["facts"][at]))
    starts = np.concatenate([[0], np.cumsum([len(score) for score, _ in rows])]).astype(np.int64)
    score = np.concatenate([score for score, _ in rows]).astype(np.uint16)
    facts = np.array([fact for _, fact in rows], np.float64).reshape(-1, 4)
    if stale:
        _save(job.folder / CACHE_FILE, {"names": names, "stamps": stamps, "starts": starts, "score": score, "facts": facts})
    state, n_file = facts[:, 0].astype(np.uint8), facts[:, 1].astype(np.int32)
    return Scores(starts, score, state, n_file, facts[:, 2].astype(np.float32), facts[:, 3].astype(np.float32), stamps)


def scored_picks(job: Job, index: int) -> Picks:
    """Every scored pick of a micrograph, best first; those of the coordinate file where there is no file of scores."""
    if job.scores[index].is_file():
        return read_picks(job.scores[index]).sorted()
    if job.coordinates[index].is_file():
        return read_picks(job.coordinates[index]).sorted()
    return Picks.none()


def _read_one(job: Job, index: int) -> tuple[NDArray[np.uint16], tuple[int, int, float, float]]:
    """Scores of one micrograph, and its coordinate file's state, number of picks, mean and lowest figure of merit."""
    try:
        score = scored_picks(job, index).score
    except GanpickError:
        score = np.empty(0)
    try:
        found = inspect_picks(job.coordinates[index])
        file = read_picks(job.coordinates[index]).score if found.state is not State.MISSING else np.empty(0)
    except (GanpickError, OSError):
        found, file = inspect_picks(Path("/nonexistent")), np.empty(0)
    merits = file[file >= 0]
    mean, lowest = (float(merits.mean()), float(merits.min())) if len(merits) else (np.nan, np.nan)
    steps = np.rint(np.clip(score, 0, 1) * STEPS).astype(np.uint16)
    return np.sort(steps)[::-1], (STATES.index(SHOWN_AS.get(found.state, found.state)), len(file), mean, lowest)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return 0, -1
    return status.st_mtime_ns, status.st_size


def _load(path: Path) -> dict[str, NDArray[Any]] | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            if int(found["version"]) != CACHE_VERSION:
                return None
            return {name: found[name] for name in ("names", "stamps", "starts", "score", "facts")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _save(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write under another name and rename; a folder that cannot be written only costs time at the next start."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary, temporary.open("wb") as out:
            np.savez(out, version=np.array(CACHE_VERSION), **arrays)  # type: ignore[arg-type]
    except OSError:
        return
