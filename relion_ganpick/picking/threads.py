"""How many threads libraries take for one thing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import cv2
import torch

from relion_ganpick.core.threads import one_thread


def bound_threads(j: int) -> None:
    """Let libraries take so many threads for one thing, in this whole process."""
    torch.set_num_threads(j)
    cv2.setNumThreads(j)


@contextmanager
def one_thread_each(threads: int) -> Iterator[None]:
    """Let libraries take one thread for one thing while several things are done side by side; one alone keeps what it had.

    A network that shares its work among two threads takes nearly twice the seconds of the processor: they wait for each other.
    """
    with one_thread() if threads > 1 else nullcontext():
        yield
