"""EMAN's ``.box``: x and y of the box's corner, width, height, one line a box, one file a micrograph.

The corner is that of smallest x and y; the centre lies half a box further. RELION, Topaz, crYOLO and EMAN read it so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import write_atomic
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.micrograph_picks import Format, MicrographPicks, corner, numbers
from relion_ganpick.formats.names import micrograph_stem

COLUMNS = 4


def read(path: Path) -> list[MicrographPicks]:
    """Read boxes. A fifth column of numbers from 0 to 1 holds figures of merit; else it is EMAN's mode, which is left out.

    Raises
    ------
    GanpickError
        If a line has fewer than four columns, or something is no number.
    """
    rows = [line.split() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    short = next((row for row in rows if len(row) < COLUMNS), None)
    if short is not None:
        raise GanpickError(f"{path}: {' '.join(short)!r} is no box: x, y, width and height are needed")
    x, y, width, height = (numbers([row[k] for row in rows], path, f"column {k + 1}") for k in range(COLUMNS))
    merit, scored = np.ones(len(rows)), False
    if rows and all(len(row) > COLUMNS for row in rows):
        fifth = numbers([row[COLUMNS] for row in rows], path, "column 5")
        if ((fifth >= 0) & (fifth <= 1)).all():
            merit, scored = fifth, True
    picks = Picks(x + width / 2, y + height / 2, merit)
    box = float(np.median((width + height) / 2)) if rows else None
    return [MicrographPicks(micrograph_stem(path), picks, scored, box, path)]


def write_each(folder: Path, each: MicrographPicks) -> Path:
    """Write one micrograph's boxes, in whole pixels, as whole numbers, which Topaz insists on."""
    x, y, side = corner(each)
    path = folder / f"{each.stem}.box"
    write_atomic(path, "".join(f"{a}\t{b}\t{side}\t{side}\n" for a, b in zip(x, y, strict=True)))
    return path


FORMAT = Format("box", "EMAN .box", ".box", read, None, write_each, needs_box=True)
