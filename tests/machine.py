"""How long to wait for something on a machine that does other things too."""

from __future__ import annotations

import os


def patience(seconds: float) -> float:
    """Seconds to allow now for what takes at most so many on an idle machine: more if processes share its cores."""
    return seconds * (1 + os.getloadavg()[0] / len(os.sched_getaffinity(0)))
