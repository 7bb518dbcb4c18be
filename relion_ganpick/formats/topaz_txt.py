"""Topaz's table: image_name, x_coord, y_coord, score, separated by tabs; one file for many micrographs.

Topaz's score is the logarithm of the odds, so that its usual threshold of 0 is a figure of merit of 0.5. Coordinates are centres.
Rows of TIFF files count as they lie in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import write_atomic
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.micrograph_picks import Format, MicrographPicks, numbers

NAME, X, Y, SCORE = "image_name", "x_coord", "y_coord", "score"
LEAST = 1e-6


def read(path: Path) -> list[MicrographPicks]:
    """Read picks by micrograph, with odds turned into figures of merit.

    Raises
    ------
    GanpickError
        If it is no such table.
    """
    table = _table(path)
    missing = [name for name in (NAME, X, Y) if name not in table]
    if missing:
        raise GanpickError(f"{path}: column {missing[0]} is missing: Topaz's are {NAME}, {X}, {Y} and {SCORE}")
    found = []
    for name, rows in table.groupby(NAME, sort=False):
        scored = SCORE in rows
        merit = expit(numbers(rows[SCORE], path, SCORE)) if scored else np.ones(len(rows))
        picks = Picks(numbers(rows[X], path, X), numbers(rows[Y], path, Y), np.asarray(merit, float))
        found.append(MicrographPicks(str(name), picks, scored, None, path))
    return found


def write(path: Path, micrographs: Sequence[MicrographPicks]) -> None:
    """Write a table for Topaz, in whole pixels."""
    scored = any(each.scored for each in micrographs)
    lines = ["\t".join([NAME, X, Y] + [SCORE] * scored)]
    for each in micrographs:
        odds = logit(np.clip(each.merit, LEAST, 1 - LEAST))
        for (x, y), value in zip(np.rint(each.picks.xy).astype(int), odds, strict=True):
            lines.append("\t".join([each.stem, str(x), str(y)] + [f"{value:.6g}"] * scored))
    write_atomic(path, "\n".join(lines) + "\n")


def is_topaz(path: Path) -> bool:
    """Tell Topaz's table from other texts."""
    try:
        return X in _table(path)
    except GanpickError:
        return False


def _table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, sep="\t", dtype={NAME: str})
    except (ValueError, OSError) as error:
        raise GanpickError(f"{path}: not a table that can be read ({error})") from error


FORMAT = Format("topaz", "Topaz .txt", ".txt", read, write, None, is_topaz, file_rows=True)
