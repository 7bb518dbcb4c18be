"""Commands that read many files of coordinates: one that cannot be read costs a line, and the others go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relion_ganpick.formats.left_out import LeftOut


@contextmanager
def leaving_out() -> Iterator[LeftOut]:
    """Lend what takes down such files. Their lines go to stderr, and the last of them is the count."""
    from relion_ganpick.formats.left_out import LeftOut
    from relion_ganpick.runs.terminal import Terminal

    left_out = LeftOut()
    with Terminal("ganpick: ").listening():
        yield left_out
        left_out.end()
