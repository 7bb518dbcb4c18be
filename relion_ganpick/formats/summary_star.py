"""``summary.star`` of a job: its micrographs with what was found on each, which RELION takes wherever it takes micrographs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.formats.pick_lists import MEAN, NAME, PICKS, SHARE, UNKNOWN
from relion_ganpick.formats.picks_json import Head
from relion_ganpick.formats.star import read_star

Columns = dict[str, list[str]]
OPTICS, MICROGRAPHS = "optics", "micrographs"


def summary_tables(heads: Mapping[str, Head], in_mics: Path | None = None) -> dict[str, Columns]:
    """Make the tables of ``summary.star``.

    Parameters
    ----------
    heads
        What was found, by micrograph.
    in_mics
        The micrographs STAR file, whose columns (defocus, optics group and all others) stay; None for names alone.

    Returns
    -------
    Columns by table. As RELION's own pickers have them in their summary: rlnGroupNrParticles, the number of picks, and
    rlnAutopickFigureOfMerit, their mean; and ganpickContaminatedShare. A number that is not known is -1.
    """
    tables = {} if in_mics is None else _tables_of(in_mics)
    table = tables.get(MICROGRAPHS, {NAME: list(heads)})
    rows = {name: number for number, name in reversed(list(enumerate(table[NAME]))) if name in heads}
    numbers = sorted(rows.values())
    table = {column: [words[number] for number in numbers] for column, words in table.items()}
    found = [heads[name] for name in table[NAME]]
    table[PICKS] = [str(each.n_picks) for each in found]
    table[MEAN] = [_word(each.mean) for each in found]
    table[SHARE] = [_word(each.contaminated_share) for each in found]
    return {**({OPTICS: tables[OPTICS]} if OPTICS in tables else {}), MICROGRAPHS: table}


def _tables_of(in_mics: Path) -> dict[str, Columns]:
    """Tables of a micrographs STAR file; one that cannot be read any more has none."""
    try:
        file = read_star(in_mics)
        optics, micrographs = file.table(OPTICS), file.table(MICROGRAPHS)
        if micrographs is None and optics is None:  # of RELION 3.0
            micrographs = file.table("")
    except (GanpickError, OSError):
        return {}
    if micrographs is None or NAME not in micrographs:
        return {}
    found = {MICROGRAPHS: micrographs} | ({} if optics is None else {OPTICS: optics})
    return {name: {column: table.words(column) for column in table.columns} for name, table in found.items()}


def _word(value: float | None) -> str:
    return f"{UNKNOWN if value is None else value:.6f}"
