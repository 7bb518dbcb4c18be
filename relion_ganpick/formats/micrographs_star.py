"""The micrographs STAR file: names and pixel sizes."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import starfile

from relion_ganpick.core.errors import GanpickError

_NAME_LIKE_BLOCK = re.compile(r"^data_\S*/\S+|^data_\S+(?=[ \t]+[^\s#])", re.MULTILINE)


@dataclass(frozen=True)
class MicrographEntry:
    """One row of the micrographs STAR file.

    Attributes
    ----------
    name
        As written there, character for character.
    pixel_size
        Angstrom per pixel; None if only the micrograph file itself can tell.
    """

    name: str
    pixel_size: float | None


def read_micrographs(path: Path, angpix: float | None = None) -> list[MicrographEntry]:
    """Read names and pixel sizes.

    A micrograph's pixel size is, in this order: rlnMicrographPixelSize of its optics group; rlnImagePixelSize of it;
    10000 * rlnDetectorPixelSize / rlnMagnification (RELION 3.0); ``angpix``; None.

    Parameters
    ----------
    path
        STAR file of Import, MotionCorr, CtfFind, Select or ManualPick, of RELION 3.0 to 5.
    angpix
        Angstrom per pixel where the file has none.

    Returns
    -------
    One entry per micrograph, in the file's order; a name that stands there twice counts once.

    Raises
    ------
    GanpickError
        If the file cannot be read, holds no micrographs, or has an impossible pixel size.
    """
    blocks = _read(path)
    table = _micrographs_block(path, blocks)
    sizes = _pixel_sizes(path, table, blocks.get("optics"))
    entries: dict[str, MicrographEntry] = {}
    for name, size in zip(table["rlnMicrographName"].astype(str), sizes, strict=True):
        if size is not None and not 0 < size < 1e4:
            raise GanpickError(
                f"{path}: {name} has a pixel size of {size:g} A; correct the optics table, or leave it out and give `angpix`"
            )
        entries.setdefault(name, MicrographEntry(name, angpix if size is None else size))
    return list(entries.values())


def read_defocus(path: Path) -> dict[str, float]:
    """Read each micrograph's defocus in Angstrom, the mean of U and V; micrographs without one are left out.

    Raises
    ------
    GanpickError
        If the file cannot be read or holds no micrographs.
    """
    table = _micrographs_block(path, _read(path))
    if "rlnDefocusU" not in table:
        return {}
    values = pd.to_numeric(table["rlnDefocusU"], errors="coerce")
    if "rlnDefocusV" in table:
        values = (values + pd.to_numeric(table["rlnDefocusV"], errors="coerce")) / 2
    pairs = zip(table["rlnMicrographName"].astype(str), values, strict=True)
    return {name: float(value) for name, value in pairs if pd.notna(value)}


def _read(path: Path) -> dict[str, pd.DataFrame]:
    try:
        blocks = _parse(path)
    except FileNotFoundError as error:
        raise GanpickError(
            f"{path}: no such file; give `in_mics` a micrographs STAR file, relative to the project's folder"
        ) from error
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise GanpickError(f"{path}: not a STAR file that can be read ({error})") from error
    return {name: pd.DataFrame([block]) if isinstance(block, dict) else block for name, block in blocks.items()}


def _parse(path: Path) -> dict[str, Any]:
    """Read a STAR file; rows whose name begins like a block (``data_set1/mic.mrc``) are put in quotes first."""
    text = path.read_text()
    quoted = _NAME_LIKE_BLOCK.sub(r'"\g<0>"', text)
    if quoted == text:
        blocks: dict[str, Any] = starfile.read(path, always_dict=True)
        return blocks
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.write_text(quoted)
        blocks = starfile.read(copy, always_dict=True)
    return blocks


def _micrographs_block(path: Path, blocks: dict[str, pd.DataFrame]) -> pd.DataFrame:
    for name in ("micrographs", "", *blocks):
        if name in blocks and "rlnMicrographName" in blocks[name]:
            if not len(blocks[name]):
                raise GanpickError(f"{path}: holds no micrographs: its table is empty")
            return blocks[name]
    if any("rlnMicrographMovieName" in block for block in blocks.values()):
        raise GanpickError(f"{path}: holds movies; run motion correction and give its corrected_micrographs.star")
    raise GanpickError(
        f"{path}: no column _rlnMicrographName in its blocks ({', '.join(blocks) or 'none'}); give a micrographs STAR file"
    )


def _pixel_sizes(path: Path, table: pd.DataFrame, optics: pd.DataFrame | None) -> list[float | None]:
    if optics is not None and "rlnOpticsGroup" in table:
        return _sizes_of_groups(path, table, optics)
    for column in ("rlnMicrographPixelSize", "rlnImagePixelSize"):
        if column in table:
            return _numbers(path, table[column])
    if {"rlnDetectorPixelSize", "rlnMagnification"} <= set(table.columns):
        detector, magnification = (_numbers(path, table[name]) for name in ("rlnDetectorPixelSize", "rlnMagnification"))
        return [1e4 * d / m if d and m else None for d, m in zip(detector, magnification, strict=True)]
    return [None] * len(table)


def _sizes_of_groups(path: Path, table: pd.DataFrame, optics: pd.DataFrame) -> list[float | None]:
    column = next((name for name in ("rlnMicrographPixelSize", "rlnImagePixelSize") if name in optics), None)
    if "rlnOpticsGroup" not in optics:
        raise GanpickError(f"{path}: its optics table has no column _rlnOpticsGroup")
    if column is None:
        return [None] * len(table)
    groups = dict(zip(optics["rlnOpticsGroup"].astype(str), _numbers(path, optics[column]), strict=True))
    missing = sorted(set(table["rlnOpticsGroup"].astype(str)) - set(groups))
    if missing:
        raise GanpickError(f"{path}: optics group {', '.join(missing)} is used by micrographs but not in the optics table")
    return [groups[group] for group in table["rlnOpticsGroup"].astype(str)]


def _numbers(path: Path, column: pd.Series[float]) -> list[float | None]:
    try:
        values = pd.to_numeric(column)
    except (ValueError, TypeError) as error:
        raise GanpickError(f"{path}: column _{column.name} holds something that is not a number ({error})") from error
    return [None if pd.isna(value) else float(value) for value in values]
