"""One process at a time in a folder: a lock that goes with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

PATIENCE = 5.0
"""Seconds in which a process that was just killed lets go of its lock."""


def take_lock(path: Path, patience: float | None = None) -> int:
    """Open a file and lock it; the lock lasts until the descriptor is closed, here and in every process that inherits it.

    Parameters
    ----------
    path
        The file; it is made.
    patience
        Seconds to wait for another process; 5 by default.

    Returns
    -------
    The open descriptor. On a file system without locks it is open all the same.

    Raises
    ------
    BlockingIOError
        If another process holds the lock.
    OSError
        If the file cannot be opened.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    deadline = time.monotonic() + (PATIENCE if patience is None else patience)
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(lock)
                raise
            time.sleep(0.1)
        except OSError:
            return lock
