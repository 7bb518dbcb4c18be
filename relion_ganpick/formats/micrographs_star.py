"""The micrographs STAR file: names and pixel sizes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.text import printable
from relion_ganpick.formats.star import StarFile, Table, read_star

log = logging.getLogger(__name__)

NAME, GROUP = "rlnMicrographName", "rlnOpticsGroup"
OWN_SIZE, IMAGE_SIZE = "rlnMicrographPixelSize", "rlnImagePixelSize"
DETECTOR, MAGNIFICATION = "rlnDetectorPixelSize", "rlnMagnification"
DEFOCUS = ("rlnDefocusU", "rlnDefocusV")

# what else a STAR file may hold, told by a column, and the way out
OTHER_KINDS = {
    "rlnImageName": "particles: give the micrographs STAR file that they were extracted from",
    "rlnCoordinateX": "coordinates: give the micrographs STAR file that they were picked on",
    "rlnMicrographCoordinates": "a list of coordinate files: give the micrographs STAR file that they were picked on",
    "rlnTomoName": "tilt series: only single micrographs can be picked",
    "rlnTomoNominalStageTiltAngle": "a tilt series: only single micrographs can be picked",
}
FIRST_WITH_OPTICS = 30001
NAMELESS = ("", '""')  # RELION takes quotation marks within others for an empty word
MOVIES = "rlnMicrographMovieName"


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

    A micrograph's pixel size is, in this order: rlnMicrographPixelSize of its optics group, or of its own row; rlnImagePixelSize
    likewise; 10000 * rlnDetectorPixelSize / rlnMagnification (RELION 3.0); ``angpix``; None.

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
    file = _open(path)
    table = _micrographs_table(file)
    _warn(file, table)
    optics = file.table("optics")
    if optics is None and file.version() >= FIRST_WITH_OPTICS:
        raise _without_optics(file)
    sizes = _pixel_sizes(table, optics)
    entries: dict[str, MicrographEntry] = {}
    for name, size, line in zip(table.words(NAME), sizes, table.lines, strict=True):
        if name in NAMELESS:
            raise GanpickError(f"{path}: line {line}: the micrograph's name is empty; delete this line")
        if size is not None and not 0 < size < 1e4:
            raise GanpickError(
                f"{path}: {printable(name)} has a pixel size of {size:g} A; "
                "correct the optics table, or leave it out and give `angpix`"
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
    table = _micrographs_table(_open(path))
    columns = [table.words(name) for name in DEFOCUS if name in table]
    if DEFOCUS[0] not in table:
        return {}
    found = {}
    for name, *words in zip(table.words(NAME), *columns, strict=True):
        try:
            found[name] = sum(map(float, words)) / len(words)
        except ValueError:
            continue
    return {name: value for name, value in found.items() if value == value}  # noqa: PLR0124  nan is no defocus


def _open(path: Path) -> StarFile:
    if not path.exists():
        raise GanpickError(f"{path}: no such file; give `in_mics` a micrographs STAR file, relative to the project's folder")
    return read_star(path)


def _micrographs_table(file: StarFile) -> Table:
    """Find the table that RELION would read: the block of micrographs; without an optics table (RELION 3.0) the first block."""
    path = file.path
    table = file.table("micrographs")
    if file.table("optics") is None:
        first = file.table("")
        table = first if first is not None and (NAME in first or table is None) else table
    if table is None:
        raise _without_micrographs(file)
    if MOVIES in table and NAME not in table:
        raise GanpickError(f"{path}: holds movies; run motion correction and give its corrected_micrographs.star")
    for column, what in OTHER_KINDS.items():
        if column in table:
            raise GanpickError(f"{path}: line {table.line}: holds {what}")
    if NAME not in table:
        raise _without_micrographs(file)
    if not len(table):
        raise GanpickError(f"{path}: line {table.line}: holds no micrographs: its table is empty")
    return table


def _without_micrographs(file: StarFile) -> GanpickError:
    """Say what a file holds that has no table of micrographs for RELION."""
    path, blocks = file.path, file.blocks()
    for name, line in blocks:
        if name.endswith("\r") or file.has_windows_ends:
            return GanpickError(f"{path}: line {line} ends as on Windows (CR LF), which RELION cannot read: run dos2unix {path}")
        if name != "micrographs" and name.split()[:1] == ["micrographs"]:
            rest = printable(name.removeprefix("micrographs").strip()) or "a tab"
            return GanpickError(
                f"{path}: line {line}: RELION takes what stands behind data_micrographs ({rest}) for a part of the block's name; "
                "delete it"
            )
    for name, line in blocks:
        other = file.table(name)
        if other is None:
            continue
        if MOVIES in other:
            return GanpickError(f"{path}: holds movies; run motion correction and give its corrected_micrographs.star")
        for column, what in OTHER_KINDS.items():
            if column in other:
                return GanpickError(f"{path}: line {line}: holds {what}")
    names = ", ".join(printable(name) or "data_" for name, _ in blocks) or "none"
    return GanpickError(f"{path}: no column _{NAME} in its blocks ({names}); give a micrographs STAR file")


def _without_optics(file: StarFile) -> GanpickError:
    for name, line in file.blocks():
        if name.split()[:1] == ["optics"]:
            rest = printable(name.removeprefix("optics").strip()) or "a tab"
            return GanpickError(
                f"{file.path}: line {line}: RELION takes what stands behind data_optics ({rest}) for a part of the block's name; "
                "delete it"
            )
    return GanpickError(
        f"{file.path}: has no optics table (data_optics), without which RELION reads no file of this version; "
        "give the file as the job before has written it, or delete its lines with '# version'"
    )


def _warn(file: StarFile, table: Table) -> None:
    """Say what RELION leaves out without a word."""
    same = [line for name, line in file.blocks() if name == table.name]
    if len(same) > 1:
        log.warning(
            f"{file.path}: has {len(same)} blocks data_{printable(table.name)} (lines {', '.join(map(str, same))}): "
            "as RELION does, only the first is read; put all rows into one table to have the others too"
        )
    if table.left_over is not None:
        log.warning(
            f"{file.path}: a blank line ends the table for RELION, so line {table.left_over} and what follows are not read; "
            "delete the blank line to have them too"
        )


def _pixel_sizes(table: Table, optics: Table | None) -> Sequence[float | None]:
    of_groups = {} if optics is None or GROUP not in table else _sizes_of_groups(table, optics)
    for column in (OWN_SIZE, IMAGE_SIZE):
        if column in of_groups:
            if column in table and list(of_groups[column]) != table.numbers(column):
                log.warning(
                    f"{table.path}: _{column} of the optics table and of the micrographs differ: "
                    "as RELION does, that of the optics table is used"
                )
            if column == IMAGE_SIZE:
                log.warning(
                    f"{table.path}: its optics table has no _{OWN_SIZE}: as RELION does, _{IMAGE_SIZE} is used; "
                    "if this is the size of binned particles, correct it"
                )
            return of_groups[column]
        if column in table:
            return table.numbers(column)
    if DETECTOR in table and MAGNIFICATION in table:
        pairs = zip(table.numbers(DETECTOR), table.numbers(MAGNIFICATION), strict=True)
        return [1e4 * detector / magnification if detector and magnification else None for detector, magnification in pairs]
    return [None] * len(table)


def _sizes_of_groups(table: Table, optics: Table) -> dict[str, list[float]]:
    """Pixel sizes of the micrographs by what the optics table calls them."""
    path = optics.path
    if GROUP not in optics:
        raise GanpickError(f"{path}: its optics table has no column _{GROUP}")
    groups, used = optics.whole_numbers(GROUP), table.whole_numbers(GROUP)
    missing = sorted(set(used) - set(groups))
    if missing:
        first = table.lines[used.index(missing[0])]
        shown = ", ".join(map(str, missing))
        raise GanpickError(
            f"{path}: line {first}: optics group {shown} is used by micrographs but not in the optics table; add it there"
        )
    found = {}
    for column in (OWN_SIZE, IMAGE_SIZE):
        if column in optics:
            sizes = dict(zip(groups, optics.numbers(column), strict=True))
            found[column] = [sizes[group] for group in used]
    return found
