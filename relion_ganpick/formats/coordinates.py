"""Read coordinates of picks and references, by micrograph, from STAR and CSV files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.left_out import LeftOut, reading
from relion_ganpick.formats.names import micrograph_stem
from relion_ganpick.formats.pick_files import check_whole
from relion_ganpick.formats.star_frames import read_frames

Points = NDArray[np.float64]

X, Y, SCORE, MICROGRAPH = "rlnCoordinateX", "rlnCoordinateY", "rlnAutopickFigureOfMerit", "rlnMicrographName"
LISTED = "rlnMicrographCoordinates"
PICKERS = ("_autopick", "_manualpick")  # files of a micrograph's picks end so
SUFFIX_FILE = "coords_suffix_"  # RELION 3.1 looks there for how they end


@dataclass(frozen=True)
class Coordinates:
    """Coordinates on one micrograph.

    Attributes
    ----------
    picks
        Centres in pixels; the figure of merit is 1 where the file has none.
    ignore
        (n, 2) float64, places where a pick counts neither as right nor as wrong.
    source
        The file they come from.
    name
        The micrograph as the file names it; empty where it does not.
    scored
        Whether the file has figures of merit.
    """

    picks: Picks
    ignore: Points = field(default_factory=lambda: np.empty((0, 2)))
    source: Path = Path()
    name: str = ""
    scored: bool = True


def read_coordinates(paths: Sequence[Path], left_out: LeftOut | None = None) -> dict[str, Coordinates]:
    """Read coordinates from files and folders.

    A file is a CSV with columns x and y (optional: score, and kind, which is "particle" or "ignore"), or a STAR file: of
    one micrograph, of many (with rlnMicrographName), or a list of coordinate files (rlnMicrographCoordinates). In a folder
    every file with coordinates is read, also below it, but for hidden ones; a CSV goes before a STAR file of the same name,
    as it can say more.

    Parameters
    ----------
    paths
        Files or folders.
    left_out
        Takes down files that cannot be read; None raises at the first of them.

    Returns
    -------
    Coordinates by the micrograph's stem.

    Raises
    ------
    GanpickError
        If a file cannot be understood, there are no coordinates, or two files are about the same micrograph.
    """
    found: dict[str, Coordinates] = {}
    for path in paths:
        if not path.exists():
            raise GanpickError(f"{path}: there is no such file or folder")
        before = len(found) + _count(left_out)
        for stem, coordinates in _read_folder(path, left_out) if path.is_dir() else _read_file(path, left_out):
            add_once(found, stem, coordinates)
        if path.is_dir() and len(found) + _count(left_out) == before:
            raise GanpickError(f"{path}: there are no STAR or CSV files with coordinates in this folder")
    return found


def add_once(found: dict[str, Coordinates], stem: str, coordinates: Coordinates) -> None:
    """Add the coordinates of a micrograph to those of others.

    Raises
    ------
    GanpickError
        If they hold some of this micrograph already.
    """
    if stem in found:
        raise GanpickError(
            f"{found[stem].source} and {coordinates.source} both have coordinates of micrograph {stem}: "
            "give one of them, or rename the micrographs"
        )
    found[stem] = coordinates


def has_coordinates(path: Path) -> bool:
    """Tell a STAR file with coordinates from one about something else, such as the list of a job's coordinate files."""
    return _hold_coordinates(_star_tables(path), path)


def without_ignored(coordinates: Picks, ignore: Points, reach: float) -> Picks:
    """Drop the picks within ``reach`` pixels of a place to ignore."""
    if not len(ignore) or not len(coordinates):
        return coordinates
    return coordinates.where(np.asarray(cKDTree(ignore).query(coordinates.xy)[0] > reach))


def _count(left_out: LeftOut | None) -> int:
    return 0 if left_out is None else len(left_out.files)


def _read_folder(folder: Path, left_out: LeftOut | None) -> Iterator[tuple[str, Coordinates]]:
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in (".star", ".csv") and path.is_file()]
    files = [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    for path in files:
        if path.suffix == ".csv":
            yield from _read_file(path, left_out)
        elif path.with_suffix(".csv") not in files:
            found: list[tuple[str, Coordinates]] = []
            with reading(left_out, path):
                tables = _star_tables(path)
                if _hold_coordinates(tables, path):
                    found = list(_from_tables(tables, path))
            yield from found


def _hold_coordinates(tables: Sequence[Any], path: Path) -> bool:
    """Tell whether a file in a folder holds coordinates, or is about something else.

    Raises
    ------
    GanpickError
        If it is about nothing, or its name says that it should hold coordinates.
    """
    if any(X in table for table in tables):
        return True
    if not path.stat().st_size or path.name.startswith(SUFFIX_FILE) or any(LISTED in table for table in tables):
        return False
    if not tables or path.stem.endswith(PICKERS):
        raise GanpickError(f"{path}: holds no columns _{X} and _{Y}")
    return False


def _read_file(path: Path, left_out: LeftOut | None) -> list[tuple[str, Coordinates]]:
    with reading(left_out, path):
        return list(_in_file(path, left_out))
    return []


def _in_file(path: Path, left_out: LeftOut | None) -> Iterator[tuple[str, Coordinates]]:
    if path.suffix == ".csv":
        return iter([(micrograph_stem(path), _from_csv(path))])
    if path.suffix != ".star":
        raise GanpickError(f"{path}: coordinates are read from .star and .csv files only")
    tables = _star_tables(path)
    for table in tables:
        if LISTED in table:
            return _from_list(table, path, left_out)
    if not any(X in table for table in tables):
        raise GanpickError(f"{path}: there is no column {X}, and no list of coordinate files")
    return _from_tables(tables, path)


def _from_csv(path: Path) -> Coordinates:
    try:
        table = pd.read_csv(path, skipinitialspace=True)
    except (ValueError, OSError) as error:
        raise GanpickError(f"{path}: not a CSV file that can be read ({error})") from error
    missing = {"x", "y"} - set(table.columns)
    if missing:
        raise GanpickError(f"{path}: column {' and '.join(sorted(missing))} is missing; the first line must name x and y")
    if "kind" not in table:
        return Coordinates(_picks(table, ("x", "y", "score"), path), source=path, scored="score" in table)
    unknown = set(table["kind"]) - {"particle", "ignore"}
    if unknown:
        raise GanpickError(f"{path}: kind {sorted(map(str, unknown))[0]!r} is not known; give 'particle' or 'ignore'")
    ignored = table["kind"] == "ignore"
    names = ("x", "y", "score")
    return Coordinates(_picks(table[~ignored], names, path), _picks(table[ignored], names, path).xy, path)


def _from_tables(tables: Iterable[Any], path: Path) -> Iterator[tuple[str, Coordinates]]:
    """Coordinates in the first table that has them, by micrograph where it names them."""
    table = next(each for each in tables if X in each)
    names = (X, Y, SCORE)
    if MICROGRAPH not in table:
        yield micrograph_stem(path), Coordinates(_picks(table, names, path), source=path, scored=SCORE in table)
        return
    seen: dict[str, str] = {}
    for micrograph, rows in table.groupby(table[MICROGRAPH].astype(str), sort=True):
        stem = micrograph_stem(str(micrograph))
        if stem in seen:
            raise GanpickError(
                f"{path}: micrographs {seen[stem]} and {micrograph} have the same name, and so cannot be told apart"
            )
        seen[stem] = str(micrograph)
        yield stem, Coordinates(_picks(rows, names, path), source=path, name=str(micrograph), scored=SCORE in table)


def _from_list(table: Any, path: Path, left_out: LeftOut | None) -> Iterator[tuple[str, Coordinates]]:
    """Coordinates from the files that RELION's list names, relative to the project's folder."""
    for micrograph, name in zip(table[MICROGRAPH].astype(str), table[LISTED].astype(str), strict=True):
        found: list[Coordinates] = []
        with reading(left_out, Path(name)):
            found.append(replace(_listed(name, path), name=micrograph))
        yield from ((micrograph_stem(micrograph), each) for each in found)


def _listed(name: str, path: Path) -> Coordinates:
    """Read a coordinate file that a list names."""
    bases = (Path(), *path.absolute().parents)
    file = next((base / name for base in bases if (base / name).is_file()), None)
    if file is None:
        raise GanpickError(f"{path}: lists {name}, which is not there; run the command in the project's folder")
    coordinates = dict(_from_tables(_star_tables(file, X), file))
    return next(iter(coordinates.values()), Coordinates(Picks.none(), source=file))


def _star_tables(path: Path, needed: str | None = None) -> list[Any]:
    if path.stat().st_size == 0 and needed == X:  # RELION's Display leaves this where all picks were deleted
        return [pd.DataFrame({name: np.empty(0) for name in (X, Y)})]
    check_whole(path)
    tables = read_frames(path)
    if needed is not None and not any(needed in table for table in tables):
        raise GanpickError(f"{path}: has no column {needed}")
    return tables


def _picks(table: Any, names: tuple[str, str, str], path: Path) -> Picks:
    columns = []
    for name in names:
        if name not in table and name == names[2]:
            columns.append(np.ones(len(table)))
            continue
        if name not in table:
            raise GanpickError(f"{path}: column {name} is missing")
        values = np.asarray(pd.to_numeric(table[name], errors="coerce"), np.float64)
        if not np.isfinite(values).all():
            wrong = table[name].iloc[int(np.argmin(np.isfinite(values)))]
            raise GanpickError(f"{path}: column {name} holds {str(wrong)!r}, which is not a number")
        columns.append(values)
    return Picks(*columns)
