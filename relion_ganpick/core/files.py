"""Write files so that nobody ever sees half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

TEMPORARY = ".ganpick-tmp-"


def write_atomic(path: Path, text: str) -> None:
    """Write a text file under another name and rename it; on failure the old file stays and nothing is left behind."""
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def leftovers(folder: Path) -> Iterator[Path]:
    """Temporary files of processes that were killed while writing."""
    return folder.rglob(f"{TEMPORARY}*")
