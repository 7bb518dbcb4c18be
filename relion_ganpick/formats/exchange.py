"""Picks from the files of any program into those of any other. Each format's own rules are in its module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.micrograph import TIFF_SUFFIXES
from relion_ganpick.formats import (
    coco_json,
    cryolo_cbox,
    cryosparc_cs,
    eman_box,
    eman_json,
    picks_csv,
    relion_star,
    topaz_txt,
)
from relion_ganpick.formats.coordinates import has_coordinates
from relion_ganpick.formats.left_out import LeftOut, reading
from relion_ganpick.formats.micrograph_picks import Format, MicrographPicks

_MODULES = (relion_star, picks_csv, cryosparc_cs, topaz_txt, cryolo_cbox, eman_box, eman_json, coco_json)
FORMATS: dict[str, Format] = {module.FORMAT.name: module.FORMAT for module in _MODULES}


def format_of(path: Path) -> Format:
    """Tell a file's format by its suffix, and by a look into it where two share one.

    Raises
    ------
    GanpickError
        If it is none that we know.
    """
    found = _known_format(path)
    if found is None:
        known = ", ".join(dict.fromkeys(each.suffix for each in FORMATS.values()))
        raise GanpickError(f"{path}: not a file of picks that is known; {known} files are read")
    return found


def read_picks_of(paths: Sequence[Path], form: Format | None = None, left_out: LeftOut | None = None) -> list[MicrographPicks]:
    """Read picks from files and folders.

    Parameters
    ----------
    paths
        Files or folders; of a folder every file of picks is read, also below it, but for hidden ones.
    form
        The format; None tells it of each file by itself.
    left_out
        Takes down files that cannot be read; None raises at the first of them.

    Returns
    -------
    One entry a micrograph, in the order of the files. Rows are counted as each format does, see `in_our_rows`.

    Raises
    ------
    GanpickError
        If a file cannot be understood, a folder holds none, or two files are about the same micrograph.
    """
    found: dict[str, MicrographPicks] = {}
    for path in paths:
        if not path.exists():
            raise GanpickError(f"{path}: there is no such file or folder")
        for file in _files(path, form, left_out) if path.is_dir() else [path]:
            read: list[MicrographPicks] = []
            with reading(left_out, file):
                of_file = form or format_of(file)
                found_here = relion_star.read(file, left_out) if of_file is relion_star.FORMAT else of_file.read(file)
                read = [replace(each, file_rows=of_file.file_rows) for each in found_here]
            for each in read:
                if each.name in found:
                    raise GanpickError(
                        f"{found[each.name].source} and {file} both have picks of micrograph {each.name}: give one"
                    )
                found[each.name] = each
    return list(found.values())


def in_our_rows(micrographs: Sequence[MicrographPicks]) -> list[MicrographPicks]:
    """Count the rows of TIFF files as RELION does, where the format they were read from counts them as they lie in the file."""
    return [replace(each.turned() if _is_tiff(each) and each.file_rows else each, file_rows=False) for each in micrographs]


def write_picks_of(micrographs: Sequence[MicrographPicks], form: Format, out: Path) -> list[Path]:
    """Write picks: into one file if ``out`` has the format's suffix, else one file for each micrograph into the folder.

    Returns
    -------
    The files that were written.

    Raises
    ------
    GanpickError
        If the format cannot do that, or lacks something, such as the size of the boxes.
    """
    if form.file_rows:
        micrographs = [each.turned() if _is_tiff(each) else each for each in micrographs]
    if out.suffix == form.suffix:
        if form.write is None:
            raise GanpickError(f"`out` {out}: {form.title} has a file for each micrograph: give a folder")
        out.parent.mkdir(parents=True, exist_ok=True)
        form.write(out, micrographs)
        return [out]
    if form.write_each is None:
        raise GanpickError(
            f"`out` {out}: {form.title} has one file for all micrographs: give a name that ends with {form.suffix}"
        )
    if out.is_file():
        raise GanpickError(f"`out` {out}: is a file; give a folder, or a name that ends with {form.suffix}")
    _check_apart(micrographs, form)
    out.mkdir(parents=True, exist_ok=True)
    return [form.write_each(out, each) for each in micrographs]


def with_boxes(micrographs: Sequence[MicrographPicks], box_px: int | None, diameter: float | None) -> list[MicrographPicks]:
    """Give picks boxes: of a given side in pixels, else as the file had them, else of a diameter in Angstrom."""
    found = []
    for each in micrographs:
        box: float | None = box_px or each.box
        if box is None and diameter is not None and each.pixel_size is not None:
            box = 2.0 * max(round(diameter / each.pixel_size / 2), 1)
        found.append(replace(each, box=box))
    return found


def _known_format(path: Path) -> Format | None:
    near = [each for each in FORMATS.values() if each.suffix == path.suffix]
    if len(near) == 1 and path.suffix != topaz_txt.FORMAT.suffix:
        return near[0]
    return next((each for each in near if each.recognise(path)), None)


def _files(folder: Path, form: Format | None, left_out: LeftOut | None) -> list[Path]:
    """Files of picks in a folder; those that are about something else are left out, and a STAR file beside a CSV of its name."""
    every = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    every = [path for path in every if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if form is not None:
        found = [path for path in every if path.suffix == form.suffix]
    else:
        found = [path for path in every if _known_format(path) is not None]
    tables = {path.with_suffix("") for path in found if path.suffix == ".csv"}
    before = 0 if left_out is None else len(left_out.files)
    found = [path for path in found if path.suffix != ".star" or _is_wanted(path, tables, left_out)]
    if not found and (left_out is None or len(left_out.files) == before):
        what = "files of picks" if form is None else f"files of {form.title}"
        raise GanpickError(f"{folder}: there are no {what} in this folder")
    return found


def _is_wanted(path: Path, tables: set[Path], left_out: LeftOut | None) -> bool:
    """Tell a STAR file with coordinates from one about something else, and from one that has a table beside it."""
    with reading(left_out, path):
        return path.with_suffix("") not in tables and has_coordinates(path)
    return False


def _check_apart(micrographs: Sequence[MicrographPicks], form: Format) -> None:
    seen: dict[str, str] = {}
    for each in micrographs:
        if each.stem in seen:
            raise GanpickError(
                f"{seen[each.stem]} and {each.name} would write the same file of {form.title}: convert one folder at a time"
            )
        seen[each.stem] = each.name


def _is_tiff(each: MicrographPicks) -> bool:
    return PurePath(each.name).suffix.lower() in TIFF_SUFFIXES
