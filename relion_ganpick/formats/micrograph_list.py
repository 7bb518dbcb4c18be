"""What is known of the micrographs that picks belong to: name, size, pixel size, CryoSPARC's number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.micrograph import MRC_SUFFIXES, TIFF_SUFFIXES, read_header
from relion_ganpick.formats.cryosparc_cs import load_cs, text_of
from relion_ganpick.formats.left_out import LeftOut, reading
from relion_ganpick.formats.micrograph_picks import MicrographPicks
from relion_ganpick.formats.micrographs_star import read_micrographs
from relion_ganpick.formats.names import find_name, micrograph_stem

NEEDED = ("uid", "micrograph_blob/path", "micrograph_blob/shape")


@dataclass(frozen=True)
class KnownMicrograph:
    """A micrograph, as a list of them names it.

    Attributes
    ----------
    name
        With folders and extension.
    shape
        (h, w) in pixels; None where only the file itself can tell.
    pixel_size
        Angstrom per pixel; None where only the file itself can tell.
    uid, group
        CryoSPARC's number of it and of its exposure group; None where they are not known.
    """

    name: str
    shape: tuple[int, int] | None = None
    pixel_size: float | None = None
    uid: int | None = None
    group: int | None = None


def known_micrographs(paths: Sequence[Path], angpix: float | None = None) -> list[KnownMicrograph]:
    """Read a list of micrographs: STAR files, CryoSPARC's ``.cs`` of exposures, micrographs themselves, or folders of them.

    Raises
    ------
    GanpickError
        If a file is none of these.
    """
    found: list[KnownMicrograph] = []
    for path in paths:
        if not path.exists():
            raise GanpickError(f"{path}: there is no such file or folder")
        if path.is_dir():
            files = [each for each in sorted(path.rglob("*")) if each.suffix.lower() in (*MRC_SUFFIXES, *TIFF_SUFFIXES)]
            if not files:
                raise GanpickError(f"{path}: there are no micrographs in this folder")
            found += [KnownMicrograph(str(each), pixel_size=angpix) for each in files]
        elif path.suffix == ".star":
            found += [KnownMicrograph(each.name, pixel_size=each.pixel_size) for each in read_micrographs(path, angpix)]
        elif path.suffix == ".cs":
            found += _exposures(path)
        else:
            found.append(KnownMicrograph(str(path), pixel_size=angpix))
    return found


def completed(
    micrographs: Sequence[MicrographPicks],
    known: Sequence[KnownMicrograph],
    angpix: float | None = None,
    left_out: LeftOut | None = None,
) -> list[MicrographPicks]:
    """Add to picks what is known of their micrographs.

    Parameters
    ----------
    micrographs
        Picks by micrograph.
    known
        The micrographs; if there are none, only the files that the picks name are looked at.
    angpix
        Angstrom per pixel where nothing else tells.
    left_out
        Takes down micrographs that cannot be read, whose picks are left out; None raises at the first of them.

    Raises
    ------
    GanpickError
        If a micrograph is not among those that are known.
    """
    if not known:
        return _measured(micrographs, angpix, left_out)
    by_name = {each.name: each for each in known}
    by_stem: dict[str, list[KnownMicrograph]] = {}
    for one in known:
        by_stem.setdefault(micrograph_stem(one.name), []).append(one)
    return _measured([_with(each, _find(each, by_name, by_stem)) for each in micrographs], angpix, left_out)


def _find(
    each: MicrographPicks, by_name: dict[str, KnownMicrograph], by_stem: dict[str, list[KnownMicrograph]]
) -> KnownMicrograph:
    if each.name in by_name:
        return by_name[each.name]
    stem = find_name(each.stem, by_stem)
    if stem is None:
        raise GanpickError(f"{each.source}: micrograph {each.name} is not among those that `micrographs` names")
    if len(by_stem[stem]) > 1:
        raise GanpickError(
            f"{each.source}: {each.name} may be {by_stem[stem][0].name} or {by_stem[stem][1].name}: give one folder at a time"
        )
    return by_stem[stem][0]


def _with(each: MicrographPicks, known: KnownMicrograph) -> MicrographPicks:
    return replace(
        each,
        name=known.name,
        shape=known.shape or each.shape,
        pixel_size=known.pixel_size or each.pixel_size,
        uid=each.uid if known.uid is None else known.uid,
        group=each.group if known.group is None else known.group,
    )


def _measured(micrographs: Sequence[MicrographPicks], angpix: float | None, left_out: LeftOut | None) -> list[MicrographPicks]:
    """Look into the micrographs' headers for what is missing, where the files are at hand."""
    found = []
    for each in micrographs:
        with reading(left_out, Path(each.name)):
            found.append(_measured_one(each, angpix))
    return found


def _measured_one(each: MicrographPicks, angpix: float | None) -> MicrographPicks:
    shape, pixel_size = each.shape, each.pixel_size or angpix
    if (shape is None or pixel_size is None) and Path(each.name).is_file():
        in_file = read_header(each.name)
        shape, pixel_size = shape or in_file[0], pixel_size or in_file[1]
    return replace(each, shape=shape, pixel_size=pixel_size)


def _exposures(path: Path) -> list[KnownMicrograph]:
    table = load_cs(path)
    try:
        uids, names, shapes = (np.asarray(table[name]) for name in NEEDED)
    except (KeyError, ValueError) as error:
        raise GanpickError(f"{path}: has no {error}: give a dataset of exposures with micrograph_blob") from error
    columns = table.dtype.names if isinstance(table, np.ndarray) else list(table)
    sizes = [0.0] * len(uids)
    if "micrograph_blob/psize_A" in columns:
        sizes = [float(str(each)) for each in np.asarray(table["micrograph_blob/psize_A"])]
    groups = [1] * len(uids)
    if "mscope_params/exp_group_id" in columns:
        groups = [int(each) for each in np.asarray(table["mscope_params/exp_group_id"])]
    return [
        KnownMicrograph(text_of(name), (int(shape[0]), int(shape[1])), size or None, int(uid), group)
        for uid, name, shape, size, group in zip(uids, names, shapes.reshape(-1, 2), sizes, groups, strict=True)
    ]
