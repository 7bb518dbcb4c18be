"""Tables of STAR files as data frames, with numbers where a column holds nothing else."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from relion_ganpick.formats.star import Table, read_star


def read_frames(path: Path) -> list[pd.DataFrame]:
    """Read every block of a STAR file by RELION's rules; see `star`.

    Raises
    ------
    GanpickError
        If the file or one of its blocks cannot be read; the message names the line.
    """
    return [as_frame(table) for table in read_star(path).tables()]


def as_frame(table: Table) -> pd.DataFrame:
    """Turn a table into a data frame."""
    return pd.DataFrame({column: _numbers(table.words(column)) for column in table.columns}, columns=list(table.columns))


def _numbers(words: list[str]) -> pd.Series[float]:
    column = pd.Series(words, dtype=object)
    try:
        return pd.to_numeric(column)
    except ValueError:
        return column
