"""CryoSPARC's ``.cs`` datasets: locations as shares of the micrograph's width and height, rows as in the MRC file."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.lib.format import MAGIC_PREFIX, read_array_header_1_0, read_array_header_2_0, read_magic
from numpy.typing import NDArray

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import atomic
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.micrograph_picks import Format, MicrographPicks, full_name, known_shape

SCORE, DIGITS = "pick_stats/ncc_score", 3
LOCATIONS = ("location/micrograph_path", "location/micrograph_shape", "location/center_x_frac", "location/center_y_frac")


def read(path: Path) -> list[MicrographPicks]:
    """Read particle locations by micrograph; an index k of N pixels is stored as k / N.

    Raises
    ------
    GanpickError
        If the file is no dataset with locations.
    """
    table = load_cs(path)
    try:
        micrographs, shapes, x, y = (np.asarray(table[name]) for name in LOCATIONS)
    except (KeyError, ValueError) as error:
        raise GanpickError(f"{path}: has no {error}: give a dataset of particles with locations") from error
    columns = table.dtype.names if isinstance(table, np.ndarray) else list(table)
    names = np.array([text_of(each) for each in micrographs], dtype=str)
    shapes = shapes.reshape(-1, 2).astype(int)
    merit = np.asarray(table[SCORE], np.float64).round(6) if SCORE in columns else np.ones(len(names))
    found = []
    for name in dict.fromkeys(names.tolist()):
        mine = names == name
        shape = (int(shapes[mine][0, 0]), int(shapes[mine][0, 1]))
        column, row = (np.asarray(share[mine], float) * side for share, side in ((x, shape[1]), (y, shape[0])))
        more = {
            "pixel_size": _first(table, columns, "location/micrograph_psize_A", mine),
            "uid": _first(table, columns, "location/micrograph_uid", mine),
            "group": _first(table, columns, "location/exp_group_id", mine),
        }
        found.append(
            MicrographPicks(
                name, Picks(column.round(DIGITS), row.round(DIGITS), merit[mine]), SCORE in columns, None, path, shape, **more
            )
        )
    return found


def write(path: Path, micrographs: Sequence[MicrographPicks]) -> None:
    """Write a dataset that CryoSPARC, its client and numpy read; micrographs without a uid get one by their name."""
    n = sum(len(each.picks) for each in micrographs)
    paths = [full_name(each).encode() for each in micrographs]
    longest = max(map(len, paths), default=1)
    kinds: list[Any] = [
        ("uid", "<u8"),
        ("location/micrograph_uid", "<u8"),
        ("location/exp_group_id", "<u4"),
        ("location/micrograph_path", f"S{longest}"),
        ("location/micrograph_shape", "<u4", (2,)),
        ("location/center_x_frac", "<f4"),
        ("location/center_y_frac", "<f4"),
        ("location/micrograph_psize_A", "<f4"),
        (SCORE, "<f4"),
        ("pick_stats/power", "<f4"),
        ("pick_stats/template_idx", "<u4"),
        ("pick_stats/angle_rad", "<f4"),
    ]
    table = np.zeros(n, kinds)
    begin = 0
    for each, name in zip(micrographs, paths, strict=True):
        rows = table[begin : begin + len(each.picks)]
        begin += len(each.picks)
        height, width = known_shape(each)
        rows["uid"] = [_number(f"{each.name} {k}") for k in range(len(rows))]
        rows["location/micrograph_uid"] = _number(each.name) if each.uid is None else each.uid
        rows["location/exp_group_id"] = 1 if each.group is None else each.group
        rows["location/micrograph_path"] = name
        rows["location/micrograph_shape"] = (height, width)
        rows["location/center_x_frac"] = each.picks.x / width
        rows["location/center_y_frac"] = each.picks.y / height
        rows["location/micrograph_psize_A"] = each.pixel_size or 0.0
        rows[SCORE], rows["pick_stats/power"] = each.merit, 1.0
    with atomic(path) as temporary, temporary.open("wb") as out:
        np.save(out, table, allow_pickle=False)


def load_cs(path: Path) -> Any:
    """Load a dataset; those in CryoSPARC's own stream format need its client.

    Raises
    ------
    GanpickError
        If it cannot be read.
    """
    try:
        _check_size(path)
        return np.load(path, allow_pickle=False)
    except OSError as error:
        raise GanpickError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, EOFError) as error:
        try:
            dataset = import_module("cryosparc.dataset")
        except ImportError:
            raise GanpickError(
                f"{path}: cannot be read without cryosparc-tools: pip install 'relion-ganpick[cryosparc]'"
            ) from error
        try:
            return dataset.Dataset.load(path)
        except Exception as second:
            raise GanpickError(f"{path}: not a dataset of CryoSPARC ({second})") from second


def _check_size(path: Path) -> None:
    """Check that a table is no larger than its file, before memory is asked for it."""
    with path.open("rb") as file:
        if file.read(len(MAGIC_PREFIX)) != MAGIC_PREFIX:
            return
        file.seek(0)
        version = read_magic(file)
        shape, _, kind = read_array_header_1_0(file) if version == (1, 0) else read_array_header_2_0(file)
        left = path.stat().st_size - file.tell()
    rows = math.prod(shape)
    if rows < 0 or not kind.itemsize or rows * kind.itemsize > left:
        raise GanpickError(f"{path}: truncated: its header says {rows} rows of {kind.itemsize} bytes, but {left} bytes are there")


def text_of(name: Any) -> str:
    """Read a path of a dataset, without the mark of an exported one."""
    return str(PurePosixPath((name.decode() if isinstance(name, bytes) else str(name)).removeprefix(">")))


def _first(table: Any, columns: Sequence[str], name: str, mine: NDArray[np.bool_]) -> Any:
    """Give the first value of some rows, as a person would have written it: 1.06, not 1.05999994; None for 0."""
    if name not in columns:
        return None
    value = np.asarray(table[name])[mine][0]
    return (float(str(value)) if isinstance(value, np.floating) else int(value)) or None


def _number(text: str) -> int:
    """Make a number that CryoSPARC takes for a uid, the same for the same text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


FORMAT = Format("cs", "CryoSPARC .cs", ".cs", read, write, None)
