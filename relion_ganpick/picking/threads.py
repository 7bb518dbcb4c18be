"""How many threads libraries take for one thing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import torch


def bound_threads(j: int) -> None:
    """Let libraries take so many threads for one thing, in this whole process."""
    torch.set_num_threads(j)
    cv2.setNumThreads(j)


@contextmanager
def one_thread_each(threads: int) -> Iterator[None]:
    """Let libraries take one thread for one thing while several things are done side by side; one alone keeps what it had.

    A network that shares its work among two threads takes nearly twice the seconds of the processor: they wait for each other.
    """
    before = torch.get_num_threads(), cv2.getNumThreads()
    if threads > 1:
        bound_threads(1)
    try:
        yield
    finally:
        if threads > 1:
            torch.set_num_threads(before[0])
            cv2.setNumThreads(before[1])
