"""The sets that `downstream.py` works on, with what each picker finds in them by default."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from every_set import Pickers, Shown
from numpy.typing import NDArray
from phantom import PhantomSettings, write_set
from sets import RealSet
from stage import FOLDER

from relion_ganpick.core.picks import Picks

Points = NDArray[np.float64]
Found = dict[str, Picks]

REFERENCE = "reference"
RANDOM = "random"
STREAM = 62_002
PHANTOM = "simulated"


@dataclass(frozen=True)
class Source:
    """A set of micrographs with its reference.

    Attributes
    ----------
    real
        Its folder, diameter, pixel size and reference.
    ctf
        Whether its STAR file knows the defocus.
    """

    real: RealSet
    ctf: bool

    @cached_property
    def names(self) -> list[str]:
        """Names of the micrographs in its STAR file."""
        return [f"{FOLDER}/{path.name}" for path in self.real.paths]

    def truth(self, name: str) -> Points:
        """Give a micrograph's reference centres, (n, 2)."""
        return self.real.truth[Path(name).stem].picks.xy


def simulated_set(settings: PhantomSettings, folder: Path) -> RealSet:
    """Simulate the set with a known structure, if it is not there yet."""
    wanted = {"name": PHANTOM, "diameter": settings.diameter, "angpix": settings.pixel_size, "settings": repr(settings)}
    path = folder / "set.json"
    if path.exists() and json.loads(path.read_text()) != wanted:
        raise SystemExit(f"{folder}: was simulated with other settings; delete it or give another --out")
    if not path.exists():
        write_set(settings, folder)
        path.write_text(json.dumps(wanted) + "\n")
    return RealSet(folder, settings.diameter, settings.pixel_size)


def all_picks(source: Source, pickers: Pickers, folder: Path) -> dict[str, Found]:
    """Pick a set with every picker by default; what has been picked is read again."""
    found = {}
    real = source.real
    folder.mkdir(parents=True, exist_ok=True)
    for name, find in pickers.all.items():
        path = folder / f"{name}.json"
        if not path.exists():
            default, _ = find(Shown(real.paths, real.pixel_size, real.diameter))
            kept = [real.item(each.stem, default[each])[0] for each in real.paths]
            path.write_text(json.dumps([[picks.x.tolist(), picks.y.tolist(), picks.score.tolist()] for picks in kept]))
        columns = [[np.array(column, float) for column in each] for each in json.loads(path.read_text())]
        found[name] = {which: Picks(*each) for which, each in zip(source.names, columns, strict=True)}
    centres = {name: source.truth(name) for name in source.names}
    found[RANDOM] = {name: random_places(len(xy), source, number) for number, (name, xy) in enumerate(centres.items())}
    return found | {REFERENCE: {name: Picks(xy[:, 0], xy[:, 1], np.ones(len(xy))) for name, xy in centres.items()}}


def random_places(count: int, source: Source, number: int) -> Picks:
    """Draw places at random on a micrograph, away from its edge: what comes of them is worth nothing."""
    rng = np.random.default_rng((STREAM, number))
    margin = source.real.diameter_px / 2
    height, width = source.real.shape
    return Picks(rng.uniform(margin, width - margin, count), rng.uniform(margin, height - margin, count), np.zeros(count))


def coordinates(rows: Any) -> Points:
    """Coordinates in a particles table, (n, 2)."""
    return np.stack([rows["rlnCoordinateX"].to_numpy(float), rows["rlnCoordinateY"].to_numpy(float)], axis=1)
