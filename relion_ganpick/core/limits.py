"""How much memory this process may use, and what to say where that is too little; nothing heavy is imported."""

from __future__ import annotations

import errno
import resource

from relion_ganpick.core.errors import GanpickError

LEAST_TO_START = 1.2e9
"""Bytes of addresses that Python takes with PyTorch for processors and the other libraries, before any micrograph is read."""
ADVICE = "ask for 4 GB or more"
LIMITS = ((resource.RLIMIT_AS, "ulimit -v, or h_vmem of SGE"), (resource.RLIMIT_DATA, "ulimit -d"))
SIGNS = (
    "failed to map segment",
    "annot allocate memory",
    "out of memory",
    "can't start new thread",
    "bad_alloc",
    "Memory allocation",
)


def memory_limit() -> tuple[int, str] | None:
    """Find the smallest limit on this process's memory.

    Returns
    -------
    Bytes, and who sets it; None where there is no limit.
    """
    found = [(resource.getrlimit(kind)[0], name) for kind, name in LIMITS]
    return min(((most, name) for most, name in found if most != resource.RLIM_INFINITY), default=None)


def in_words() -> str:
    """Say the limit, such as "at most 0.50 GB are allowed (ulimit -v, or h_vmem of SGE)"; empty where there is none."""
    limit = memory_limit()
    return "" if limit is None else f"at most {limit[0] / 1e9:.2f} GB are allowed ({limit[1]})"


def check_memory() -> None:
    """Check that the libraries can be loaded at all.

    Raises
    ------
    GanpickError
        If the limit is too small; they would fail with an ImportError, or crash.
    """
    limit = memory_limit()
    if limit is not None and limit[0] < LEAST_TO_START:
        raise GanpickError(f"no memory to start: {in_words()}, and {LEAST_TO_START / 1e9:.1f} GB are the least: {ADVICE}")


def no_memory_to_start(error: BaseException) -> str | None:
    """Say that an error came of the limit on memory, if it may have: a library was not loaded, or a thread did not start.

    Returns
    -------
    One line; None where there is no limit, or the error is another one.
    """
    if memory_limit() is None:
        return None
    of_memory = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
    if of_memory or any(sign in str(error) for sign in SIGNS):
        return f"no memory to start: {in_words()}, which is too little here: {ADVICE}"
    return None
