"""Write files so that nobody ever sees half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".ganpick-tmp-"


def write_atomic(path: Path, text: str) -> None:
    """Write a text file as `atomic` does."""
    with atomic(path) as temporary:
        temporary.write_text(text)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give another name to write to, and rename it at the end; on failure the old file stays and nothing is left behind."""
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def leftovers(folder: Path) -> Iterator[Path]:
    """Temporary files of processes that were killed while writing."""
    return folder.rglob(f"{TEMPORARY}*")
