"""Whose fault is a fault: that of one micrograph, which is left out, or one that must hit all others too, which ends the run."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

from relion_ganpick.core import limits
from relion_ganpick.core.errors import DeviceError, ModelError, WorkersError

HITS_ALL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENODEV, errno.ENOTCONN, errno.ESHUTDOWN)
NO_MEMORY = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "ALLOC_FAILED",
    "could not create a memory",
    "std::bad_alloc",
    "can't start new thread",
)
BROKEN_DEVICE = ("CUDA error", "cuDNN error", "CUBLAS_STATUS", "CUDA driver", "NVML")


def out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that there is no memory, on the processor or on a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's own name for a GPU's
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words.lower() in str(error).lower() for words in NO_MEMORY)


def hits_all(error: BaseException) -> bool:
    """Tell whether an error must hit all other micrographs too: a full disk, a lost file system, a broken GPU."""
    return any(_hits_all(each) for each in _with_causes(error))


def in_words(error: BaseException) -> str:
    """Say an error in one line; one that nobody expects names the place in the code, for a report."""
    if out_of_memory(error):
        limit = limits.in_words()
        return f"no memory ({_line(error)}): give fewer threads, or more memory" + (f"; {limit}" if limit else "")
    if isinstance(error, OSError):
        file = error.filename2 or error.filename  # of a rename, what was to be there
        return (f"{file}: " if file else "") + (error.strerror or _line(error))
    if isinstance(error, (ValueError, RuntimeError)):
        return _line(error)
    return f"unexpected {type(error).__name__} in {_place(error)}: {_line(error)}"


def _hits_all(error: BaseException) -> bool:
    if isinstance(error, (DeviceError, ModelError, WorkersError)):
        return True
    if isinstance(error, OSError):
        return error.errno in HITS_ALL
    if out_of_memory(error) or not isinstance(error, RuntimeError):
        return False
    return type(error).__name__ == "AcceleratorError" or any(words in str(error) for words in BROKEN_DEVICE)


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _line(error: BaseException) -> str:
    """Give the first line of what an error says; torch and C++ add pages to it."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{Path(trace.tb_frame.f_code.co_filename).name} line {trace.tb_lineno}"
