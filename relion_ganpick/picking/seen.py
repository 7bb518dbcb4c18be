"""Marks of micrographs that were looked at before a run, so that picking does not make them once more."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from relion_ganpick.picking.picker import Image, Prepared

MOST_BYTES = 192 * 2**20


@dataclass(frozen=True)
class Seen:
    """A micrograph that was looked at.

    Attributes
    ----------
    prepared
        At the working scale.
    marked
        (c, h, w) float32, what the generator made of it.
    header_pixel_size
        Angstrom per pixel by the file's own header, None where it says nothing.
    status
        Size and time of the file when it was read.
    """

    prepared: Prepared
    marked: Image
    header_pixel_size: float | None
    status: tuple[int, int]


class Marks:
    """Keeps what was looked at, as far as there is room, until it is picked. Threads may share it."""

    def __init__(self) -> None:
        self._kept: dict[Path, Seen] = {}
        self._bytes, self._lock = 0, threading.Lock()

    def keep(self, path: Path, seen: Seen) -> None:
        """Keep a micrograph, if there is room."""
        size = seen.prepared.picture.nbytes + seen.marked.nbytes
        with self._lock:
            if self._bytes + size <= MOST_BYTES:
                self._kept[path] = seen
                self._bytes += size

    def take(self, path: Path) -> Seen | None:
        """Give what is kept of a micrograph, and keep it no longer; None if there is nothing, or its file has changed."""
        with self._lock:
            seen = self._kept.pop(path, None)
            if seen is None:
                return None
            self._bytes -= seen.prepared.picture.nbytes + seen.marked.nbytes
        return seen if status_of(path) == seen.status else None

    def __len__(self) -> int:
        return len(self._kept)


def status_of(path: Path) -> tuple[int, int] | None:
    """Size and time of a file, by which it is known again; None if it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
