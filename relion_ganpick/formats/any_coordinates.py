"""Coordinates of any program that we read, by micrograph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.formats.coordinates import Coordinates, add_once, read_coordinates
from relion_ganpick.formats.exchange import read_picks_of
from relion_ganpick.formats.left_out import LeftOut
from relion_ganpick.formats.micrograph_picks import MicrographPicks
from relion_ganpick.formats.pick_lists import LIST_FILE
from relion_ganpick.formats.picks_csv import is_of_many

DATASET = "picked_particles.cs"


def read_any(paths: Sequence[Path], left_out: LeftOut | None = None) -> dict[str, Coordinates]:
    """Read coordinates by the micrograph's stem, from files of any format that is known and folders of them.

    Parameters
    ----------
    paths
        Files or folders.
    left_out
        Takes down files that cannot be read; None raises at the first of them.

    Raises
    ------
    GanpickError
        If a file cannot be understood, or two are about the same micrograph.
    """
    found: dict[str, Coordinates] = {}
    for path in paths:
        for stem, each in _read(path, left_out).items():
            add_once(found, stem, each)
    return found


def _read(path: Path, left_out: LeftOut | None) -> dict[str, Coordinates]:
    ours = {".star", ".csv"}
    if (path / DATASET).is_file():  # a CryoSPARC run's folder has tables, too; its list is of the files that a person may edit
        whole = path / (LIST_FILE if (path / LIST_FILE).is_file() else DATASET)
        return _read(whole, left_out)
    if path.is_dir():
        has_ours = any(each.suffix in ours for each in path.rglob("*"))
        return read_coordinates([path], left_out) if has_ours else _by_stem(read_picks_of([path], left_out=left_out))
    if path.suffix in ours and not (path.suffix == ".csv" and is_of_many(path)):
        return read_coordinates([path], left_out)
    return _by_stem(read_picks_of([path], left_out=left_out))


def _by_stem(micrographs: Sequence[MicrographPicks]) -> dict[str, Coordinates]:
    found: dict[str, Coordinates] = {}
    for each in micrographs:
        if each.stem in found:
            raise GanpickError(f"{each.source}: two micrographs are called {each.stem}, and cannot be told apart")
        found[each.stem] = Coordinates(each.picks, source=each.source, name=each.name, scored=each.scored)
    return found
