"""The filter that a set teaches: how a particle's mean profile differs from whatever else is in the pictures.

The generator knows particles in general. The surest of its marks, even where most of them are wrong, show what the particles
of this very set look like on average. A linear filter (Fisher's discriminant) on the means in rings around a place is learned
from them in one pass, and a peak of its answer counts beside the generator's mark. It is learned on one half of the micrographs
and applied to the other, so that no noise speaks for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.blank import Mask
from relion_ganpick.core.localize import FLOOR, peaks
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.core.windows import sums_around
from relion_ganpick.evidence.view import View

Image = NDArray[np.float32]
Values = NDArray[np.float64]

N_RINGS = 15
REACH = 24  # pixels
BOUND = 4.0  # spreads of the picture; what is darker is no protein
RIDGE = 0.02
SPACING = 0.5  # diameters between two seeds
CLEAN = 0.3  # contamination below which a place counts
MIDDLE, AROUND = (0.0, 0.3), (0.6, 1.0)  # diameters
TYPICAL = 2.5  # median deviations
BEST, FEWEST_TAKEN, FEWEST = 0.6, 30, 8
GRID_PX, MOST_PLACES = 7, 2000
FURTHEST = 8.0
DISC_PX, RIM_PX = 6.4, (8.0, 13.0)


@dataclass(frozen=True)
class SetFilter:
    """A filter learned from a part of a set.

    Attributes
    ----------
    weights
        (15,) float64, of the ring means; the answer at places without particles has mean 0 and spread 1.
    offset
        What is taken off the weighted sum.
    seeds
        Number of places that it was learned from.
    profile
        (15,) float64, mean picture of those places in the rings, minus that of the background.
    """

    weights: Values
    offset: float
    seeds: int
    profile: Values


@dataclass(frozen=True)
class Lesson:
    """What one micrograph, or one half of it, teaches: (n, 15) ring means of seeds with their (n,) heights, and of places."""

    seeds: Values
    heights: Values
    places: Values


def ring_of() -> NDArray[np.int64]:
    """(49, 49) int, number of the ring that each pixel around a place lies in, -1 beyond the last."""
    steps = np.arange(-REACH, REACH + 1)
    away = np.hypot(steps[:, None], steps[None, :])
    ring = np.minimum(away * N_RINGS / REACH, N_RINGS).astype(int)
    ring[ring >= N_RINGS] = -1
    return ring


RING = ring_of()
PIXELS = np.bincount(RING[RING >= 0], minlength=N_RINGS)
MEANS = ((RING.reshape(-1, 1) == np.arange(N_RINGS)) / PIXELS).astype(np.float32)  # a window's pixels to its ring means


def bounded(picture: Image) -> Image:
    """Bound a picture, (h, w) float32 -> the same, lest a few very dark pixels count more than all others."""
    return np.clip(picture, -BOUND, BOUND)


def ring_means(picture: Image, columns: NDArray[np.intp], rows: NDArray[np.intp]) -> Values:
    """Mean of a picture in rings around places inside it, (n,) and (n,) int -> (n, 15) float64."""
    return np.asarray(sums_around(picture, REACH, rows, columns, MEANS)[0], dtype=np.float64)


def lesson_of(view: View, inside: NDArray[np.bool_] | None = None) -> Lesson:
    """Collect seeds and places of a micrograph.

    Parameters
    ----------
    view
        The micrograph.
    inside
        (h, w) bool, the part to learn from; all of it by default.
    """
    found = peaks(view.marker, PARTICLE_PX, SPACING * PARTICLE_PX, FLOOR)
    columns, rows = np.rint(found.x).astype(np.intp), np.rint(found.y).astype(np.intp)
    keep = view.contamination[rows, columns] < CLEAN
    grid = np.mgrid[GRID_PX // 2 : view.picture.shape[0] : GRID_PX, GRID_PX // 2 : view.picture.shape[1] : GRID_PX]
    place_rows, place_columns = grid.reshape(2, -1)
    if view.closed is not None:
        inside = ~view.closed if inside is None else inside & ~view.closed
    if inside is not None:
        keep &= inside[rows, columns]
        there = inside[place_rows, place_columns]
        place_rows, place_columns = place_rows[there], place_columns[there]
    columns, rows = columns[keep], rows[keep]
    picture = bounded(view.picture)
    places = _places_at(picture, place_columns, place_rows)
    return Lesson(ring_means(picture, columns, rows), view.height[rows, columns].astype(float), places)


def lesson_at(picture: Image, columns: NDArray[np.intp], rows: NDArray[np.intp]) -> Lesson:
    """Collect known seeds, and places of a picture, (h, w) float32; all seeds are of one height."""
    grid = np.mgrid[GRID_PX // 2 : picture.shape[0] : GRID_PX, GRID_PX // 2 : picture.shape[1] : GRID_PX]
    place_rows, place_columns = grid.reshape(2, -1)
    cut = bounded(picture)
    return Lesson(ring_means(cut, columns, rows), np.ones(len(rows)), _places_at(cut, place_columns, place_rows))


def _places_at(picture: Image, columns: NDArray[np.intp], rows: NDArray[np.intp]) -> Values:
    """Ring means of at most 2000 places, evenly chosen."""
    if len(rows) > MOST_PLACES:
        chosen = np.linspace(0, len(rows) - 1, MOST_PLACES).astype(int)
        rows, columns = rows[chosen], columns[chosen]
    return ring_means(picture, columns, rows)


def learn(lessons: Sequence[Lesson]) -> SetFilter:
    """Learn a filter from some micrographs, or from a half of one.

    The seeds are marks that look like the others: their middles and their surroundings are within 2.5 median deviations of the
    median. The upper 60 % by height are taken. With fewer than eight the filter is a disc against its rim.

    Parameters
    ----------
    lessons
        At least one.
    """
    seeds, heights, places = (
        np.concatenate([getattr(each, name) for each in lessons]) for name in ("seeds", "heights", "places")
    )
    keep = _typical(seeds)
    seeds, heights = seeds[keep], heights[keep]
    n_taken = max(round(BEST * len(seeds)), FEWEST_TAKEN)
    return filter_of(seeds[np.argsort(-heights, kind="stable")[:n_taken]], places)


def filter_of(seeds: Values, places: Values) -> SetFilter:
    """Make the filter that tells seeds from places, (n, 15) and (m, 15) ring means; with fewer than eight seeds it is a disc."""
    background = places.mean(axis=0)
    spread = np.cov(places.T)
    if len(seeds) < FEWEST:
        profile, weights = np.zeros(N_RINGS), _disc()
    else:
        profile = seeds.mean(axis=0) - background
        weights = np.linalg.solve(spread + RIDGE * np.trace(spread) / N_RINGS * np.eye(N_RINGS), profile)
    weights = weights / max(float(np.sqrt(weights @ spread @ weights)), 1e-9)
    return SetFilter(weights, float(weights @ background), len(seeds), profile)


def mean_filter(filters: Sequence[SetFilter]) -> SetFilter:
    """Average filters, for micrographs that none of them was learned from."""
    weights = np.mean([each.weights for each in filters], axis=0)
    offset = float(np.mean([each.offset for each in filters]))
    return SetFilter(weights, offset, sum(each.seeds for each in filters), np.mean([each.profile for each in filters], axis=0))


def answer(view: View, of_set: SetFilter) -> Image:
    """Apply a filter to a micrograph.

    Returns
    -------
    (h, w) float32, in median deviations (times 1.4826) from the micrograph's median, bounded at 8.
    """
    kernel = np.where(RING >= 0, (of_set.weights / PIXELS)[RING], 0).astype(np.float32)
    raw = np.asarray(cv2.filter2D(bounded(view.picture), cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT), np.float32)
    values = view.open_values(raw)
    middle = np.median(values)
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    return np.asarray(np.clip((raw - middle) / np.float32(max(spread, 1e-6)), -FURTHEST, FURTHEST), dtype=np.float32)


def halves(shape: tuple[int, int], closed: Mask | None = None) -> tuple[Mask, Mask]:
    """Cut a single picture across its longer side so that particles can be found on as much of either half, (h, w) bool each."""
    first = np.zeros(shape, bool)
    along = 0 if shape[0] > shape[1] else 1
    middle = shape[along] // 2
    if closed is not None:
        so_far = np.cumsum((~closed).sum(axis=1 - along))
        middle = int(np.searchsorted(so_far, so_far[-1] / 2)) + 1
    if along == 0:
        first[:middle] = True
    else:
        first[:, :middle] = True
    return first, ~first


def _typical(seeds: Values) -> NDArray[np.bool_]:
    """Tell which seeds have a middle and surroundings like the others', (n, 15) -> (n,) bool."""
    keep = np.ones(len(seeds), bool)
    if len(seeds) < FEWEST:
        return keep
    centre = (np.arange(N_RINGS) + 0.5) * REACH / N_RINGS / PARTICLE_PX
    for inner, outer in (MIDDLE, AROUND):
        rings = (centre >= inner) & (centre < outer)
        value = seeds[:, rings] @ (PIXELS[rings] / PIXELS[rings].sum())
        middle = np.median(value)
        deviation = max(float(np.median(np.abs(value - middle))), 1e-6)
        keep &= np.abs(value - middle) <= TYPICAL * deviation * 1.4826
    return keep


def _disc() -> Values:
    """Weights of a dark disc against its rim, (15,) float64."""
    centre = (np.arange(N_RINGS) + 0.5) * REACH / N_RINGS
    disc, rim = centre < DISC_PX, (centre >= RIM_PX[0]) & (centre < RIM_PX[1])
    return np.asarray(np.where(rim, PIXELS / PIXELS[rim].sum(), 0) - np.where(disc, PIXELS / PIXELS[disc].sum(), 0))
