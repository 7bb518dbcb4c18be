"""CSV: x, y and score of one micrograph, or of many with a column micrograph; centres in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import write_atomic
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.coordinates import read_coordinates
from relion_ganpick.formats.micrograph_picks import Format, MicrographPicks, numbers

MICROGRAPH = "micrograph"


def read(path: Path) -> list[MicrographPicks]:
    """Read picks; places to ignore are left out.

    Raises
    ------
    GanpickError
        If x or y is missing, or something is no number.
    """
    try:
        table = pd.read_csv(path, skipinitialspace=True)
    except (ValueError, OSError) as error:
        raise GanpickError(f"{path}: not a CSV file that can be read ({error})") from error
    scored = "score" in table
    if MICROGRAPH not in table:
        return [MicrographPicks(stem, found.picks, scored, None, path) for stem, found in read_coordinates([path]).items()]
    missing = sorted({"x", "y"} - set(table.columns))
    if missing:
        raise GanpickError(f"{path}: column {missing[0]} is missing; the first line must name x and y")
    found = []
    for name, rows in table.groupby(table[MICROGRAPH].astype(str), sort=False):
        x, y = (numbers(rows[axis], path, f"column {axis}") for axis in "xy")
        merit = numbers(rows["score"], path, "column score") if scored else np.ones(len(rows))
        found.append(MicrographPicks(str(name), Picks(x, y, merit), scored, None, path))
    return found


def write(path: Path, micrographs: Sequence[MicrographPicks]) -> None:
    """Write one table with the micrograph in its first column."""
    tables = [_table(each).assign(**{MICROGRAPH: each.name}) for each in micrographs]
    every = pd.concat(tables) if tables else pd.DataFrame(columns=["x", "y", "score", MICROGRAPH])
    write_atomic(path, every[[MICROGRAPH, *(name for name in every if name != MICROGRAPH)]].to_csv(index=False))


def write_each(folder: Path, each: MicrographPicks) -> Path:
    """Write the table of one micrograph."""
    path = folder / f"{each.stem}.csv"
    write_atomic(path, _table(each).to_csv(index=False))
    return path


def is_of_many(path: Path) -> bool:
    """Tell a table of many micrographs from that of one."""
    try:
        return MICROGRAPH in pd.read_csv(path, nrows=0).columns
    except (ValueError, OSError):
        return False


def _table(each: MicrographPicks) -> pd.DataFrame:
    columns = {"x": each.picks.x, "y": each.picks.y}
    return pd.DataFrame(columns | ({"score": each.picks.score} if each.scored else {}))


FORMAT = Format("csv", "CSV", ".csv", read, write, write_each)
