"""Coordinates of any program that we read, by micrograph, and which of them belong to a micrograph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relion_ganpick.formats.coordinates import read_coordinates
from relion_ganpick.formats.cryosparc_cs import read_cs

Points = NDArray[np.float64]


def read_any(paths: Sequence[Path]) -> dict[str, Points]:
    """Read coordinates by micrograph: STAR and CSV files, ``picks.csv`` of cryosparc_ganpick, and CryoSPARC's ``.cs``.

    Raises
    ------
    GanpickError
        If a file cannot be understood.
    """
    found: dict[str, Points] = {}
    others: list[Path] = []
    for path in paths:
        if path.suffix == ".cs":
            found |= read_cs(path)
        elif path.suffix == ".csv" and path.is_file() and "micrograph" in pd.read_csv(path, nrows=0).columns:
            for name, rows in pd.read_csv(path).groupby("micrograph"):
                found[PurePosixPath(str(name)).stem] = rows[["x", "y"]].to_numpy(float)
        else:
            others.append(path)
    if others:
        found |= {stem: each.picks.xy for stem, each in read_coordinates(others).items()}
    return found


def find_points(path: Path, coordinates: Mapping[str, Points]) -> Points | None:
    """Coordinates of a micrograph: of its own name, else of the longest name that its own contains, or is contained in."""
    stem = path.stem
    if stem in coordinates:
        return coordinates[stem]
    near = [each for each in coordinates if each in stem or stem in each]
    return coordinates[max(near, key=len)] if near else None
