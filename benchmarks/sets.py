"""The real sets of the benchmarks: what their folders hold, and picks in them.

A folder of sets has <set>/{set.json, micrographs.star, Micrographs/*.mrc, truth/*.csv}; set.json gives the diameter in
Angstrom and the pixel size.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.micrograph import read_micrograph
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.coordinates import Coordinates, read_coordinates, without_ignored
from relion_ganpick.picking.auto_diameter import MOST_LOOKED_AT, preferred
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Task, stream
from relion_ganpick.picking.working_diameter import tuned

Item = tuple[Picks, NDArray[np.float64], float]


@dataclass(frozen=True)
class RealSet:
    """One set of real micrographs with reference centres.

    Attributes
    ----------
    root
        Its folder.
    diameter
        In Angstrom.
    pixel_size
        Angstrom per pixel.
    """

    root: Path
    diameter: float
    pixel_size: float

    @property
    def name(self) -> str:
        """Name of the set."""
        return self.root.name

    @property
    def diameter_px(self) -> float:
        """Diameter in pixels of the files."""
        return self.diameter / self.pixel_size

    @cached_property
    def paths(self) -> list[Path]:
        """The micrographs."""
        return sorted((self.root / "Micrographs").glob("*.mrc"))

    @cached_property
    def truth(self) -> dict[str, Coordinates]:
        """Reference centres by the micrograph's stem."""
        return read_coordinates([self.root / "truth"])

    def item(self, stem: str, picks: Picks) -> Item:
        """Put picks beside their reference; picks at places to ignore are left out."""
        reference = self.truth[stem]
        return without_ignored(picks, reference.ignore, self.diameter_px / 2), reference.picks.xy, self.diameter_px / 4

    def picked(self, picker: Picker) -> Iterator[tuple[str, Picks]]:
        """Pick every micrograph with all scores above the floor; yields the micrograph's stem and its picks."""
        tasks = [Task(path.stem, path, self.pixel_size) for path in self.paths]
        for result in stream(tasks, picker, os.cpu_count() or 1):
            assert result.picks is not None, result.error
            yield result.task.name, result.picks

    def pictures(self, picker: Picker, most: int | None = None) -> list[NDArray[np.float32]]:
        """Prepare micrographs, at most ``most`` of them evenly from the set, each (h, w) float32 at the working scale."""
        every = max(len(self.paths) / (most or len(self.paths)), 1.0)
        chosen = [self.paths[int(k * every)] for k in range(min(most or len(self.paths), len(self.paths)))]
        return [picker.prepare(read_micrograph(path, self.pixel_size)).picture for path in chosen]

    def tuned(self, picker: Picker) -> Picker:
        """Choose the diameter that the network assumes, on as many micrographs as a job does."""
        chosen = [self.paths[k] for k in preferred(len(self.paths))[:MOST_LOOKED_AT]]
        return tuned(picker, (read_micrograph(path, self.pixel_size) for path in chosen))

    @cached_property
    def shape(self) -> tuple[int, int]:
        """(h, w) in pixels of the set's micrographs, all of one size."""
        height, width = read_micrograph(self.paths[0], self.pixel_size).pixels.shape
        return height, width


def real_sets(folder: Path | None) -> list[RealSet]:
    """Find the sets in a folder; none without one."""
    if folder is None:
        return []
    found = []
    for path in sorted(folder.glob("*/set.json")):
        facts = json.loads(path.read_text())
        found.append(RealSet(path.parent, float(facts["diameter"]), float(facts["angpix"])))
    return found
