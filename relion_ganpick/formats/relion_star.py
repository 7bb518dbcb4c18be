"""RELION's STAR files: coordinates of one micrograph, or particles of many; centres in pixels, the MRC file's first row first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import starfile

from relion_ganpick.core.files import write_atomic
from relion_ganpick.formats.coordinates import MICROGRAPH, SCORE, X, Y, read_coordinates
from relion_ganpick.formats.left_out import LeftOut
from relion_ganpick.formats.micrograph_picks import Format, MicrographPicks, full_name
from relion_ganpick.formats.pick_files import write_picks

VERSIONS = {"3.1": 30001, "4.0": 30001, "5.0": 50001}
NEWEST = "5.0"


def read(path: Path, left_out: LeftOut | None = None) -> list[MicrographPicks]:
    """Read coordinates of one micrograph, of many, or of those on a list of coordinate files.

    Parameters
    ----------
    path
        The file.
    left_out
        Takes down what cannot be read of a list; None raises at the first of them.

    Raises
    ------
    GanpickError
        If there are none, or something is no number.
    """
    found = read_coordinates([path], left_out)
    return [MicrographPicks(each.name or stem, each.picks, each.scored, None, path) for stem, each in found.items()]


def write(path: Path, micrographs: Sequence[MicrographPicks], version: str = NEWEST) -> None:
    """Write one file with the particles of all micrographs, and their optics where pixel sizes are known."""
    sizes = sorted({each.pixel_size for each in micrographs if each.pixel_size})
    complete = bool(sizes) and all(each.pixel_size for each in micrographs)
    blocks: dict[str, object] = {}
    if complete:
        groups = range(1, len(sizes) + 1)
        blocks["optics"] = pd.DataFrame(
            {
                "rlnOpticsGroupName": [f"opticsGroup{k}" for k in groups],
                "rlnOpticsGroup": list(groups),
                "rlnMicrographPixelSize": sizes,
            }
        )
    tables = [_particles(each, sizes if complete else []) for each in micrographs if len(each.picks)]
    blocks["particles"] = pd.concat(tables) if tables else pd.DataFrame(columns=[MICROGRAPH, X, Y, SCORE])
    body = starfile.to_string(blocks)
    write_atomic(path, f"\n# version {VERSIONS[version]}\n\n{body[body.index('data_') :]}")


def write_each(folder: Path, each: MicrographPicks) -> Path:
    """Write the coordinate file of one micrograph, in whole pixels, as RELION cuts fractions off."""
    path = folder / f"{each.stem}_autopick.star"
    write_picks(path, each.picks.rounded())
    return path


def _particles(each: MicrographPicks, sizes: Sequence[float]) -> pd.DataFrame:
    columns: dict[str, object] = {MICROGRAPH: np.repeat(full_name(each), len(each.picks)), X: each.picks.x, Y: each.picks.y}
    if each.scored:
        columns[SCORE] = each.picks.score
    if sizes and each.pixel_size:
        columns["rlnOpticsGroup"] = np.full(len(each.picks), sizes.index(each.pixel_size) + 1)
    return pd.DataFrame(columns)


FORMAT = Format("star", "RELION STAR", ".star", read, write, write_each)
