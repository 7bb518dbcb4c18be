"""How threads that wait for each other behave."""

from __future__ import annotations

import os


def wait_asleep() -> None:
    """Let threads that have nothing to do sleep, unless OMP_WAIT_POLICY says otherwise; call it before torch is imported.

    By default OpenMP's threads take a whole core while they wait for each other. Where other programs want that core, a job with
    two threads took five times the seconds of the processor, and three times as long.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
