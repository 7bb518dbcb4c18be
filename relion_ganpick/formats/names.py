"""Names of micrographs: what is their stem, and which of some names means a micrograph.

Programs put numbers before a micrograph's name and words behind it. What they add is parted from the name by something other
than letters and digits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from pathlib import Path, PurePath
from typing import TypeVar

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.text import printable

T = TypeVar("T")

SUFFIXES = ("_autopick", "_manualpick", "_pick")
PACKED = (".gz", ".bz2", ".xz", ".zst", ".z")
IMAGES = (".mrc", ".mrcs", ".map", ".st", ".tif", ".tiff", ".eer", ".hdf", ".h5", ".dm3", ".dm4", ".ser", ".png", ".jpg", ".jpeg")
COORDINATES = (".star", ".csv", ".txt", ".box", ".cbox", ".json", ".cs", ".tsv")
_EXTENSIONS = frozenset((*PACKED, *IMAGES, *COORDINATES))


def name_stem(name: str | PurePath) -> str:
    """Name of a file without folders and extensions that are known: ``foo_12.5_frames`` has none, ``a.mrc.gz`` has two."""
    stem = PurePath(name).name
    while (suffix := PurePath(stem).suffix) and suffix.lower() in _EXTENSIONS:
        stem = stem[: -len(suffix)]
    return stem


def micrograph_stem(name: str | PurePath) -> str:
    """Name of a micrograph without folders, extensions, and the suffix that pickers append."""
    stem = name_stem(name)
    for suffix in SUFFIXES:
        if stem.endswith(suffix) and stem != suffix:
            return name_stem(stem[: -len(suffix)])
    return stem


def find_name(stem: str, names: Collection[str]) -> str | None:
    """Find the name that means a micrograph: its own, else one that is a part of its own, else one that its own is a part of.

    A part ends where a letter or digit and something else meet, so that ``mic_1`` is no part of ``mic_10``; nor is ``mic_1`` one
    of ``mic_1.5``, which is another number. Of parts that lie in each other the longest counts.

    Parameters
    ----------
    stem
        The micrograph's name without folders and extension.
    names
        Names to choose from, without folders and extension.

    Raises
    ------
    GanpickError
        If two names fit.
    """
    if stem in names:
        return stem
    inside = {part for part in _parts(stem) if part in names}
    near = {each for each in inside if not any(each != other and each in _parts(other) for other in inside)}
    near = near or {each for each in names if stem in each and stem in _parts(each)}
    if len(near) > 1:
        first, second, *_ = sorted(near)
        one_in_it = "are both part of the name" if inside else "both hold the name"
        raise GanpickError(f"{printable(first)} and {printable(second)} {one_in_it} {printable(stem)}")
    return next(iter(near), None)


def match_names(stems: Sequence[str], names: Collection[str]) -> list[tuple[str | None, str]]:
    """Find a name for each micrograph, where each name serves one micrograph only.

    Parameters
    ----------
    stems
        Names of all micrographs, without folders and extension.
    names
        Names to choose from, without folders and extension.

    Returns
    -------
    For each micrograph its name, or None and what is ambiguous; nothing is said where no name fits.
    """
    found: list[tuple[str | None, str]] = []
    for stem in stems:
        try:
            found.append((find_name(stem, names), ""))
        except GanpickError as error:
            found.append((None, str(error)))
    served: dict[str, list[int]] = {}
    for index, (name, _) in enumerate(found):
        if name is not None:
            served.setdefault(name, []).append(index)
    for name, indices in served.items():
        own = [index for index in indices if stems[index] == name]
        left_out = [index for index in indices if index not in own] if len(own) == 1 else indices if len(indices) > 1 else []
        for index in left_out:
            other = stems[next(each for each in indices if each != index)]
            found[index] = None, f"{printable(name)} may be of {printable(other)} as well, and serves one micrograph only"
    return found


def find_points(path: Path, coordinates: Mapping[str, T]) -> T | None:
    """Coordinates of a micrograph, by its name as `find_name` understands it."""
    name = find_name(name_stem(path), coordinates)
    return None if name is None else coordinates[name]


def _parts(stem: str) -> set[str]:
    edges = [position for position in range(len(stem) + 1) if _is_edge(stem, position)]
    return {stem[begin:end] for begin, end in combinations(edges, 2)}


def _is_edge(stem: str, position: int) -> bool:
    """Tell whether a part may begin or end here: not within a word, nor beside the point of a number."""
    before, after = stem[:position][-1:], stem[position:][:1]
    if not before or not after:
        return True
    if after == "." and before.isdigit() and stem[position + 1 : position + 2].isdigit():
        return False
    if before == "." and after.isdigit() and stem[: position - 1][-1:].isdigit():
        return False
    return before.isalnum() != after.isalnum()
