"""Warnings that may come for each of thousands of micrographs: the first of each kind are said, the rest are counted."""

from __future__ import annotations

import logging
import re
from pathlib import PurePath

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"\d[\d.,]*(?:e[+-]?\d+)?")


class Repeated:
    """Says the first warnings of each kind, and at the end how many more there were.

    Two warnings are of one kind if they differ in nothing but the micrograph's name and in numbers, or if the caller says so.

    Parameters
    ----------
    few
        How many of a kind are said.
    """

    def __init__(self, few: int = 1) -> None:
        self._few = few
        self._count: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def warn(self, text: str, *names: str, kind: str = "") -> None:
        """Say a warning, or count it.

        Parameters
        ----------
        text
            The warning, in one line.
        *names
            What the text may call the micrograph: its name and its file.
        kind
            What kind it is; empty tells it by the text.
        """
        kind = kind or _kind(text, names)
        self._first.setdefault(kind, text)
        self._count[kind] = self._count.get(kind, 0) + 1
        if self._count[kind] <= self._few:
            log.warning("%s", text)

    def end(self) -> None:
        """Say how many more there were of each kind."""
        for kind, count in self._count.items():
            more = count - self._few
            if more > 0:
                log.warning(f"{more} more micrograph{'' if more == 1 else 's'} with the same warning: {self._first[kind]}")
                self._count[kind] = self._few


def _kind(text: str, names: tuple[str, ...]) -> str:
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, "*")
    for name in names:
        text = text.replace(PurePath(name).stem, "*")
    return _NUMBER.sub("#", text)
