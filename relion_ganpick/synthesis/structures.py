"""Real structures: alpha carbons and phosphorus atoms of entries of the Protein Data Bank (CC0).

`structures.json` names each entry, its title and authors; `benchmarks/make_structures.py` makes both files anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.synthesis.molecules import Points, longest_extent

FOLDER = Path(__file__).parent
PER_ANGSTROM = 10
N_POINTS = 1000


@dataclass(frozen=True)
class Structure:
    """A real structure.

    Attributes
    ----------
    name
        Entry of the Protein Data Bank in small letters, with the part of it where it is not the whole.
    points
        (n, 3) float64 in diameters, centred on their mass; heavy ones are there several times.
    diameter
        Longest extent in Angstrom.
    title, authors
        Of the entry.
    held_out
        Training never sees it.
    """

    name: str
    points: Points
    diameter: float
    title: str
    authors: str
    held_out: bool


def structure_names(held_out: bool | None = None) -> list[str]:
    """List the structures: those that training sees (False), those that it never sees (True), or all."""
    return [name for name, facts in _facts().items() if held_out is None or facts["held_out"] == held_out]


@cache
def structure(name: str) -> Structure:
    """Read one structure.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name not in _facts():
        raise ValueError(f"no structure {name!r}; there are {', '.join(_facts())}")
    facts = _facts()[name]
    with np.load(FOLDER / "structures.npz", allow_pickle=False) as arrays:
        atoms: NDArray[np.int16] = arrays[name]
    points = np.repeat(atoms[:, :3] / PER_ANGSTROM, atoms[:, 3], axis=0)
    diameter = longest_extent(points)
    points = (points - points.mean(axis=0)) / diameter
    points.setflags(write=False)
    return Structure(name, points, diameter, str(facts["title"]), str(facts["authors"]), bool(facts["held_out"]))


def structure_points(name: str, n_points: int, rng: np.random.Generator) -> Points:
    """Draw some points of a structure, (n_points, 3) float64 in diameters; all of them where there are no more."""
    points = structure(name).points
    return points if len(points) <= n_points else points[rng.choice(len(points), n_points, replace=False)]


def random_structure_name(rng: np.random.Generator, held_out: bool = False) -> str:
    """Draw one of the structures that training sees, or one of those that it never sees."""
    names = structure_names(held_out)
    return names[int(rng.integers(len(names)))]


@cache
def _facts() -> dict[str, dict[str, object]]:
    facts: dict[str, dict[str, object]] = json.loads((FOLDER / "structures.json").read_text())
    return facts
