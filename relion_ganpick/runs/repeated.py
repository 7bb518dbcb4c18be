"""Warnings that may come for each of thousands of micrographs: each kind is said once, the rest are counted."""

from __future__ import annotations

import logging
import re
from pathlib import PurePath

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"\d[\d.,]*(?:e[+-]?\d+)?")


class Repeated:
    """Says the first warning of each kind, and at the end how many more there were.

    Two warnings are of one kind if they differ in nothing but the micrograph's name and in numbers.
    """

    def __init__(self) -> None:
        self._more: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def warn(self, text: str, *names: str) -> None:
        """Say a warning, or count it.

        Parameters
        ----------
        text
            The warning, in one line.
        *names
            What the text may call the micrograph: its name and its file.
        """
        kind = _kind(text, names)
        if kind in self._first:
            self._more[kind] = self._more.get(kind, 0) + 1
            return
        self._first[kind] = text
        log.warning("%s", text)

    def end(self) -> None:
        """Say how many more there were of each kind."""
        for kind, count in self._more.items():
            log.warning(f"{count} more micrograph{'' if count == 1 else 's'} with the same warning: {self._first[kind]}")
        self._more.clear()


def _kind(text: str, names: tuple[str, ...]) -> str:
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, "*")
    for name in names:
        text = text.replace(PurePath(name).stem, "*")
    return _NUMBER.sub("#", text)
