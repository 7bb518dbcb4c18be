"""Write files so that nobody ever sees half of one; read JSON so that a damaged file is named."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relion_ganpick.core.errors import GanpickError

TEMPORARY = ".ganpick-tmp-"
SUFFIX_LENGTH = 16
LONGEST_NAME = 255  # bytes, of the usual file systems
ROOM = 24  # for what our own files add to a micrograph's name


def write_atomic(path: Path, text: str) -> None:
    """Write a text file as `atomic` does; names in it may hold bytes that are not UTF-8, as paths do."""
    with atomic(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give another name to write to, and rename it at the end; on failure the old file stays and nothing is left behind."""
    # short, so that a file whose own name is as long as file systems allow can be written; told apart by what is not in it
    mark = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{mark}{path.suffix[:SUFFIX_LENGTH]}")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def fitted(stem: str) -> str:
    """Shorten the name of a file that could not take an ending any more; a mark keeps it apart from others.

    Parameters
    ----------
    stem
        Name without folders, to which at most 24 bytes are added.
    """
    data = os.fsencode(stem)
    if len(data) <= LONGEST_NAME - ROOM:
        return stem
    mark = "-" + hashlib.sha256(data).hexdigest()[:8]
    return data[: LONGEST_NAME - ROOM - len(mark)].decode("utf-8", "ignore") + mark


def leftovers(folder: Path) -> Iterator[Path]:
    """Temporary files of processes that were killed while writing."""
    return folder.rglob(f"{TEMPORARY}*")


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises
    ------
    GanpickError
        If it cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise GanpickError(f"{path}: not a JSON file that can be read ({error})") from error
    if not isinstance(content, dict):
        raise GanpickError(f"{path}: holds no JSON object")
    return content
