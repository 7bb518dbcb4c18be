"""Which of some names means a micrograph: programs put numbers before its name and words behind it."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import combinations

from relion_ganpick.core.errors import GanpickError

_EDGES = re.compile(r"(?<=[A-Za-z0-9])(?![A-Za-z0-9])|(?<![A-Za-z0-9])(?=[A-Za-z0-9])")


def find_name(stem: str, names: Collection[str]) -> str | None:
    """Find the name that means a micrograph: its own, else the longest part of its own, else one that its own is a part of.

    A part ends where a letter or digit and something else meet, so that ``mic_1`` is no part of ``mic_10``.

    Parameters
    ----------
    stem
        The micrograph's name without folders and extension.
    names
        Names to choose from, without folders and extension.

    Raises
    ------
    GanpickError
        If two names fit equally well.
    """
    if stem in names:
        return stem
    near = {part for part in _parts(stem) if part in names} or {each for each in names if stem in each and stem in _parts(each)}
    if not near:
        return None
    longest = sorted(each for each in near if len(each) == max(map(len, near)))
    if len(longest) > 1:
        raise GanpickError(f"{longest[0]} and {longest[1]} are both part of the name {stem}")
    return longest[0]


def _parts(stem: str) -> set[str]:
    edges = sorted({0, len(stem), *(each.start() for each in _EDGES.finditer(stem))})
    return {stem[begin:end] for begin, end in combinations(edges, 2)}
