"""Particles that a user has kept: RELION's ``particles.star``, CryoSPARC's particles, or picks of any program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.formats.any_coordinates import read_any
from relion_ganpick.formats.coordinates import MICROGRAPH, X, Y
from relion_ganpick.formats.names import find_name, micrograph_stem
from relion_ganpick.formats.star import Table, read_star

Points = NDArray[np.float64]
ORIGINS = ("rlnOriginXAngst", "rlnOriginYAngst")


@dataclass(frozen=True)
class Approved:
    """Particles that a user has kept.

    Attributes
    ----------
    path
        The file.
    points
        By the micrograph's stem, (n, 2) float64, where they were picked, in pixels of the micrograph.
    shifts
        By the same, (n, 2) float64, how many Angstrom they were found off centre; the centre is the point less this.
    """

    path: Path
    points: dict[str, Points]
    shifts: dict[str, Points]

    def of(self, stem: str, pixel_size: float) -> Points:
        """Centres on a micrograph, (n, 2) float64, in pixels of it; none where the file does not name it."""
        name = find_name(stem, self.points)
        return np.empty((0, 2)) if name is None else self.points[name] - self.shifts[name] / pixel_size

    def __len__(self) -> int:
        return sum(map(len, self.points.values()))


def read_approved(path: Path) -> Approved:
    """Read particles that a user has kept.

    Raises
    ------
    GanpickError
        If the file cannot be read, holds none, or does not name their micrographs.
    """
    if path.suffix == ".star":
        tables = [table for table in read_star(path).tables() if X in table and Y in table]
        if not tables:
            raise GanpickError(
                f"{path}: has no column {X}: give the particles that you have kept, such as Select/job012/particles.star"
            )
        if MICROGRAPH in tables[0]:
            return _of_table(path, tables[0])
    points = {stem: each.picks.xy for stem, each in read_any([path]).items()}
    found = Approved(path, points, {stem: np.zeros_like(each) for stem, each in points.items()})
    return _not_empty(found)


def _of_table(path: Path, table: Table) -> Approved:
    xy = np.array([table.numbers(X), table.numbers(Y)], float).T.reshape(-1, 2)
    shift = np.zeros_like(xy)
    if all(name in table for name in ORIGINS):
        shift = np.array([table.numbers(name) for name in ORIGINS], float).T.reshape(-1, 2)
    stems = np.array([micrograph_stem(name) for name in table.words(MICROGRAPH)], dtype=str)
    mine = {str(stem): stems == stem for stem in np.unique(stems)}
    return _not_empty(Approved(path, {k: xy[v] for k, v in mine.items()}, {k: shift[v] for k, v in mine.items()}))


def _not_empty(found: Approved) -> Approved:
    if not len(found):
        raise GanpickError(f"{found.path}: holds no particles")
    return found
