"""crYOLO's ``.cbox``: a STAR file with the block ``cryolo``, boxes by their corner of smallest x and y, one file a micrograph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import starfile

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import write_atomic
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.micrograph_picks import Format, MicrographPicks, corner, numbers
from relion_ganpick.formats.names import micrograph_stem

BLOCK, NONE = "cryolo", "<NA>"
NEEDED = ("CoordinateX", "CoordinateY", "Width", "Height")
END = f"data_{BLOCK}_include\n\nloop_\n_slice_index #1\n\n"
COLUMNS = (*NEEDED[:2], "CoordinateZ", *NEEDED[2:], "Depth", "EstWidth", "EstHeight", "Confidence", "NumBoxes", "Angle")


def read(path: Path) -> list[MicrographPicks]:
    """Read boxes, all of them: crYOLO keeps faint ones in the file and leaves the threshold to the reader.

    Raises
    ------
    GanpickError
        If it is no such file, or one of a tomogram.
    """
    try:
        blocks = starfile.read(path, always_dict=True)
    except (ValueError, LookupError, OSError) as error:
        raise GanpickError(f"{path}: not a .cbox file that can be read ({error})") from error
    table = blocks.get(BLOCK)
    table = pd.DataFrame([table]) if isinstance(table, dict) else table
    stem = micrograph_stem(f"{path.stem}.cbox")
    if table is None:
        raise GanpickError(f"{path}: has no block data_{BLOCK}")
    missing = [name for name in NEEDED if name not in table]
    if missing:
        raise GanpickError(f"{path}: column _{missing[0]} is missing")
    if "CoordinateZ" in table and pd.to_numeric(table["CoordinateZ"], errors="coerce").notna().any():
        raise GanpickError(f"{path}: its boxes have a third coordinate: tomograms are not read")
    x, y, width, height = (numbers(table[name], path, f"column _{name}") for name in NEEDED)
    merit = pd.to_numeric(table["Confidence"], errors="coerce") if "Confidence" in table else pd.Series([np.nan] * len(table))
    scored = bool(merit.notna().all())
    picks = Picks(x + width / 2, y + height / 2, merit.to_numpy(float) if scored else np.ones(len(table)))
    box = float(np.median((width + height) / 2)) if len(table) else None
    return [MicrographPicks(stem, picks, scored, box, path)]


def write_each(folder: Path, each: MicrographPicks) -> Path:
    """Write one micrograph's boxes, in whole pixels, with the figure of merit as confidence."""
    x, y, side = corner(each)
    head = "".join(f"_{name} #{k}\n" for k, name in enumerate(COLUMNS, 1))
    rows = "".join(
        f"{a}.0 {b}.0 {NONE} {side}.0 {side}.0 {NONE} {side}.0 {side}.0 {round(float(merit), 6)!r} {NONE} {NONE}\n"
        for a, b, merit in zip(x, y, each.merit, strict=True)
    )
    text = f"data_global\n\n_cbox_format_version 1.0\n\ndata_{BLOCK}\n\nloop_\n{head}{rows}\n{END}"
    path = folder / f"{each.stem}.cbox"
    write_atomic(path, text)
    return path


FORMAT = Format("cbox", "crYOLO .cbox", ".cbox", read, None, write_each, needs_box=True)
