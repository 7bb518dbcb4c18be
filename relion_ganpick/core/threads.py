"""How threads that wait for each other behave."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def wait_asleep() -> None:
    """Let threads that have nothing to do sleep, unless OMP_WAIT_POLICY says otherwise; call it before torch is imported.

    By default OpenMP's threads take a whole core while they wait for each other. Where other programs want that core, a job with
    two threads took five times the seconds of the processor, and three times as long.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch and OpenCV take one thread for one thing, so that sums are the same for any number of threads."""
    import cv2
    import torch

    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
