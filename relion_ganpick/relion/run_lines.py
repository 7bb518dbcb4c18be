"""A job's lines for the user: what goes to run.out, and what to run.err."""

from __future__ import annotations

import sys

from relion_ganpick.core.errors import in_flags
from relion_ganpick.core.text import printable


def say(text: str) -> None:
    """Write one line to run.out."""
    print(printable(in_flags(text)), flush=True)


def complain(text: str) -> None:
    """Write one line to run.err, if it can be written at all: a full disk must not hide the marker."""
    try:
        print(printable(f"relion_ganpick: {in_flags(text)}"), file=sys.stderr, flush=True)
    except OSError:
        return
