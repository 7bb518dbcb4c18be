"""Micrographs that arrive one after the other: which of them are whole."""

from __future__ import annotations

import linecache
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.micrograph import MRC_SUFFIXES, PACKED_SUFFIXES, TIFF_SUFFIXES, read_header
from relion_ganpick.formats.micrographs_star import read_micrographs
from relion_ganpick.picking.stream import Task
from relion_ganpick.runs.source import Missing

log = logging.getLogger(__name__)

SETTLED_SECONDS = 0.5  # a file that is still written changes within this time
OLD_SECONDS = 30.0  # one that has not been touched for so long is not written any more

State = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds."""


@dataclass
class _Seen:
    """A file as it was when it was looked at, since when, and whether it was handed on like that."""

    state: State | None
    since: float
    given: bool = False


class Arrivals:
    """Hands on every micrograph once, as soon as it is whole: its size and its header agree, and it does not change.

    One that is not whole after some time, or could not be used, is told as missing, and tried again when its file changes.

    Parameters
    ----------
    listed
        Names the micrographs that are known of, whole or not; see `in_folder` and `in_star`.
    patience
        Seconds after which a file that does not change and is not whole is given up.
    """

    def __init__(self, listed: Callable[[], Sequence[Task]], patience: float = 60.0) -> None:
        self._listed, self._patience = listed, patience
        self._seen: dict[str, _Seen] = {}
        self._done: set[str] = set()
        self.waiting = 0

    def look(self) -> list[tuple[Task, Missing | None]]:
        """Find what has come since the last look; with the reason where a micrograph is given up.

        Raises
        ------
        GanpickError
            If what is watched cannot be read at all.
        """
        found, self.waiting = [], 0
        for task in self._listed():
            if task.name in self._done:
                continue
            seen, now = self._looked_at(task), time.monotonic()
            if seen.given:
                continue
            old = seen.state is not None and time.time() - seen.state[1] / 1e9 > OLD_SECONDS
            problem = "no such file" if seen.state is None else self._problem(task, old or now - seen.since >= SETTLED_SECONDS)
            if problem is not None and now - seen.since < self._patience:
                self.waiting += 1
                continue
            seen.given = True
            found.append((task, None if problem is None else Missing(problem)))
        return found

    def done(self, name: str) -> None:
        """Say that a micrograph has its picks: its file is not looked at any more."""
        self._done.add(name)
        self._seen.pop(name, None)

    def _looked_at(self, task: Task) -> _Seen:
        """Take down the state of a file; when it has changed, everything is open again."""
        try:
            status = os.stat(task.path)
            state = (status.st_size, status.st_mtime_ns)
        except OSError:
            state = None
        seen = self._seen.get(task.name)
        if seen is None or seen.state != state:
            seen = self._seen[task.name] = _Seen(state, time.monotonic())
        return seen

    def _problem(self, task: Task, settled: bool) -> str | None:
        """Say why a file is not whole."""
        if not settled:
            return f"{task.path}: is still written"
        try:
            read_header(task.path)
        except GanpickError as error:
            return str(error)
        return None


def in_folder(folder: Path, pixel_size: float | None, left_out: Path) -> Callable[[], list[Task]]:
    """List the micrographs in a folder and the folders below it, in the order of their names.

    Parameters
    ----------
    folder
        Where they arrive.
    pixel_size
        Angstrom per pixel; None takes the files' own.
    left_out
        A folder that may lie below and is not looked into: that of the results.
    """
    outside = left_out.resolve()

    def listed() -> list[Task]:
        return [Task(str(path), path, pixel_size) for path in sorted(_files(folder, outside))]

    return listed


def in_star(path: Path, pixel_size: float | None) -> Callable[[], list[Task]]:
    """List the micrographs of a STAR file that grows; one that is not there yet, or is being written, lists none.

    Parameters
    ----------
    path
        A micrographs STAR file, see `formats.micrographs_star.read_micrographs`.
    pixel_size
        Angstrom per pixel where it gives none.
    """
    state: State | None = None
    tasks: list[Task] = []
    told = ""

    def listed() -> list[Task]:
        nonlocal state, tasks, told
        try:
            status = path.stat()
            now = (status.st_size, status.st_mtime_ns)
            if now != state:
                linecache.clearcache()  # through which starfile reads, and which keeps a file that it could not read
                tasks = [Task(each.name, Path(each.name), each.pixel_size) for each in read_micrographs(path, pixel_size)]
                state = now
        except (GanpickError, OSError) as error:
            if path.exists() and str(error) != told:
                told = str(error)
                log.warning(f"{told}; it is looked at again when it changes")
        return tasks

    return listed


def _files(folder: Path, outside: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and (Path(here) / name).resolve() != outside]
        yield from (Path(here) / name for name in names if not name.startswith(".") and _is_micrograph(name))


def _is_micrograph(name: str) -> bool:
    path = Path(name.lower())
    suffix = Path(path.stem).suffix if path.suffix in PACKED_SUFFIXES else path.suffix
    return suffix in (*MRC_SUFFIXES, *TIFF_SUFFIXES)
