"""Where the micrographs of a run come from: a door's files, which may have to be fetched first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from relion_ganpick.picking.stream import Task


@dataclass(frozen=True)
class Missing:
    """A micrograph that cannot be had, with the reason in one line."""

    reason: str


class Source(Protocol):
    """The micrographs of a run, in order."""

    def __len__(self) -> int:
        """Count them."""

    def name(self, index: int) -> str:
        """Name of a micrograph, as users know it."""

    def pixel_size(self, index: int) -> float | None:
        """Angstrom per pixel of a micrograph; None if only its file can tell."""

    def fetch(self, indices: Iterable[int]) -> Iterator[tuple[int, Task | Missing]]:
        """Get micrographs at hand, in the order of the indices; some may be fetched ahead."""

    def release(self, index: int) -> None:
        """Say that a micrograph which was fetched is not needed any more."""


class FileSource:
    """Micrographs that are files of this machine.

    Parameters
    ----------
    tasks
        All of them, in order.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.tasks = tasks

    def __len__(self) -> int:
        return len(self.tasks)

    def name(self, index: int) -> str:
        """Name of a micrograph."""
        return self.tasks[index].name

    def pixel_size(self, index: int) -> float | None:
        """Angstrom per pixel of a micrograph, if it was given."""
        return self.tasks[index].pixel_size

    def fetch(self, indices: Iterable[int]) -> Iterator[tuple[int, Task | Missing]]:
        """Name the files; nothing has to be fetched."""
        return ((index, self.tasks[index]) for index in indices)

    def release(self, index: int) -> None:
        """Do nothing: the files stay where they are."""


def one_by_one(source: Source, indices: Iterable[int]) -> Iterator[Task]:
    """Micrographs that are looked at one after the other, until no more are needed; what cannot be had is left out."""
    for index in indices:
        for _, found in source.fetch([index]):
            try:
                if isinstance(found, Task):
                    yield found
            finally:
                source.release(index)
