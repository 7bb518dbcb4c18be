"""Why a particle was missed or a pick is wrong, as far as distances and the truth of a simulation can tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scoring import duplicates, near_edge

from relion_ganpick.core.evaluate import match
from relion_ganpick.synthesis.scene import Scene

Points = NDArray[np.float64]
Image = NDArray[np.float32]

CLOSE = 0.8
WEAK = 0.7

OFF_CENTRE, CLOSE_BY, EDGE, DIRT = "off centre", "neighbour", "edge", "dirt"
DROWNED, FAINT, SECOND, OTHER = "drowned", "weak", "second", "other"
MISSED = (OFF_CENTRE, CLOSE_BY, EDGE, DIRT, DROWNED, FAINT, OTHER)
FALSE = (OFF_CENTRE, SECOND, DIRT, EDGE, OTHER)


@dataclass(frozen=True)
class Field:
    """A micrograph with its picks and the truth about it.

    Attributes
    ----------
    picks, truth
        (n, 2) and (m, 2) float64, (x, y) in pixels.
    diameter_px
        In the same pixels.
    shape
        (h, w) in pixels.
    contaminated
        (h, w) bool where contamination shows, or None where nobody knows.
    depth
        (m,) float64, root mean square of each particle's clean signal within its diameter in sigma of the noise, or None.
    around
        (m,) float64, the same in a ring of 0.5 to 0.9 diameters about its centre, in units of the scene's contrast, or None.
    """

    picks: Points
    truth: Points
    diameter_px: float
    shape: tuple[int, int]
    contaminated: NDArray[np.bool_] | None = None
    depth: NDArray[np.float64] | None = None
    around: NDArray[np.float64] | None = None


@dataclass
class Tally:
    """Counts over several micrographs: all, and failures by cause."""

    micrographs: int = 0
    picks: int = 0
    truth: int = 0
    missed: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)

    def add(self, seen: Field) -> None:
        """Count one micrograph."""
        self.micrographs += 1
        self.picks += len(seen.picks)
        self.truth += len(seen.truth)
        self.missed.update(cause for cause in why_missed(seen) if cause)
        self.false.update(cause for cause in why_false(seen) if cause)


def why_missed(seen: Field) -> list[str]:
    """Name a cause for every particle without a pick within a quarter diameter; "" for those that have one.

    The first that applies: a pick of its own lies between a quarter and half a diameter off ("off centre"); its nearest
    neighbour is closer than 0.8 diameters ("neighbour"); it is within half a diameter of the micrograph's edge ("edge");
    contamination shows within half a diameter ("dirt"); the specimen around it is deeper than particles are, as a film's grain
    is ("drowned"); its signal is weaker than 0.7 sigma of the noise ("weak"); "other".
    """
    found = match(seen.truth, seen.picks, seen.diameter_px / 4)
    tests = (
        (OFF_CENTRE, _partnered(seen.truth, seen.picks, seen.diameter_px)),
        (CLOSE_BY, nearest_other(seen.truth) < CLOSE * seen.diameter_px),
        (EDGE, near_edge(seen.truth, seen.shape, seen.diameter_px / 2)),
        (DIRT, _on_dirt(seen.truth, seen, seen.diameter_px / 2)),
        (DROWNED, np.zeros(len(seen.truth), bool) if seen.around is None else seen.around > 1),
        (FAINT, np.zeros(len(seen.truth), bool) if seen.depth is None else seen.depth < WEAK),
    )
    return _first(found, tests)


def why_false(seen: Field) -> list[str]:
    """Name a cause for every pick without a particle within a quarter diameter; "" for those that have one.

    The first that applies: it is the pick of a missed particle between a quarter and half a diameter off ("off centre"); it is
    a second pick within half a diameter of a particle that has one ("second"); contamination shows within a quarter diameter
    ("dirt"); it is within half a diameter of the micrograph's edge ("edge"); "other".
    """
    right = match(seen.picks, seen.truth, seen.diameter_px / 4)
    tests = (
        (OFF_CENTRE, _partnered(seen.picks, seen.truth, seen.diameter_px)),
        (SECOND, duplicates(seen.picks, seen.truth, seen.diameter_px / 2)),
        (DIRT, _on_dirt(seen.picks, seen, seen.diameter_px / 4)),
        (EDGE, near_edge(seen.picks, seen.shape, seen.diameter_px / 2)),
    )
    return _first(right, tests)


def nearest_other(points: Points) -> NDArray[np.float64]:
    """Distance of every point, (n, 2), to the nearest other one, (n,); infinite for a lone one."""
    if len(points) < 2:
        return np.full(len(points), np.inf)
    return np.asarray(cKDTree(points).query(points, k=2)[0][:, 1])


def depths(scene: Scene, signal: Image, ring: tuple[float, float] = (0.0, 0.5)) -> NDArray[np.float64]:
    """Root mean square of the clean signal in a ring, radii in diameters, about every centre: (n,) in sigma of the noise.

    The simulator's noise has unit spread. What lies outside the picture does not count.
    """
    particle_px = scene.diameter / scene.pixel_size
    reach = int(np.ceil(ring[1] * particle_px))
    away = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) / particle_px
    kernel = ((away >= ring[0]) & (away <= ring[1])).astype(np.float32)
    power, area = (
        cv2.filter2D(each, cv2.CV_32F, kernel, borderType=cv2.BORDER_CONSTANT) for each in (signal * signal, np.ones_like(signal))
    )
    column, row = (np.clip(np.rint(scene.centres[:, k]).astype(int), 0, signal.shape[1 - k] - 1) for k in (0, 1))
    return np.asarray(np.sqrt(np.maximum(power[row, column], 0) / area[row, column]), np.float64)


def _first(good: NDArray[np.bool_], tests: Sequence[tuple[str, NDArray[np.bool_]]]) -> list[str]:
    return ["" if fine else next((cause for cause, applies in tests if applies[k]), OTHER) for k, fine in enumerate(good)]


def _partnered(points: Points, others: Points, diameter_px: float) -> NDArray[np.bool_]:
    """Tell which points have no partner within a quarter diameter, but one that is left over within half of it."""
    alone = ~match(points, others, diameter_px / 4)
    left = others[~match(others, points, diameter_px / 4)]
    near = np.zeros(len(points), bool)
    near[alone] = match(points[alone], left, diameter_px / 2)
    return near


def _on_dirt(points: Points, seen: Field, reach: float) -> NDArray[np.bool_]:
    if seen.contaminated is None or not seen.contaminated.any() or not len(points):
        return np.zeros(len(points), bool)
    rows, columns = np.nonzero(seen.contaminated)
    return np.asarray(cKDTree(np.stack([columns, rows], axis=1)).query(points)[0] <= reach, dtype=bool)
