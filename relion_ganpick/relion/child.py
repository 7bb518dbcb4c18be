"""Entry of the worker process: everything that must happen before torch is imported, which takes seconds."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from relion_ganpick.core.limits import no_memory_to_start


def main() -> None:
    """Read the plan, one line of JSON on standard input, and carry it out.

    The last word of the command line is the number of a pipe, which gets one byte when all picks are kept. Standard input
    stays open as long as the watching process lives; when it closes we end at once.
    """
    plan = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def settled() -> None:
        with contextlib.suppress(OSError):
            os.write(int(sys.argv[-1]), b"1")

    status = _work(plan, settled)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(status)


def _work(plan: dict[str, Any], settled: Callable[[], None]) -> int:
    """Import what is needed, and work; libraries that cannot be loaded for lack of memory are one line."""
    try:
        from relion_ganpick.relion.worker import work
    except Exception as error:
        line = no_memory_to_start(error)
        if line is None:
            raise
        print(f"relion_ganpick: {line}", file=sys.stderr, flush=True)
        return 1
    # What the libraries hold stays to the end. Left out of account, it lets Python look for garbage sooner and keep less of it.
    gc.freeze()
    gc.collect()
    return work(plan, settled)


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os._exit(1)
