"""What every candidate looks like: the numbers that the judge of sets goes by."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.core.windows import distances, sums_around
from relion_ganpick.evidence.candidates import Spots
from relion_ganpick.evidence.filter import SetFilter
from relion_ganpick.evidence.view import View
from relion_ganpick.model.judge import N_SPOT_FEATURES

Image = NDArray[np.float32]

RINGS = (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 1.0, 1.25, 1.7)  # diameters
DISC = 0.5  # diameters
CLOSE_BY = 2.0  # diameters
LEAST_SEEDS = 2e-3  # per squared diameter


def describe_spots(view: View, spots: Spots, of_set: SetFilter, seed_density: float) -> NDArray[np.float32]:
    """Describe candidates.

    Parameters
    ----------
    view
        Their micrograph.
    spots
        The candidates.
    of_set
        The filter that found them.
    seed_density
        Seeds per squared diameter that it was learned from.

    Returns
    -------
    (n, 24) float32: height of the peak, log odds of the mark, answer of the filter; the picture's mean in nine rings, at
    `RINGS` diameters; the logarithm of the marker's mass, and the square root of the contamination within half a diameter;
    the latter around that, and in the whole micrograph; the logarithm of the picture's spread around; how directed the picture
    is there; the logarithm of the number of higher candidates per squared diameter; the same of candidates close by; for all
    candidates alike, the logarithm of the seeds' density, how well the seeds stand out, and the upper tail of the filter's
    answers and of the marks.
    """
    out = np.zeros((len(spots), N_SPOT_FEATURES), np.float32)
    if not len(spots):
        return out
    row = np.clip(np.rint(spots.y).astype(int), 0, view.picture.shape[0] - 1)
    column = np.clip(np.rint(spots.x).astype(int), 0, view.picture.shape[1] - 1)
    out[:, 0], out[:, 1], out[:, 2] = spots.total, spots.mark, spots.answer
    _fill_rings(out, view, row, column)
    out[:, 15] = np.sqrt(view.open_values(view.contamination).mean(dtype=float))
    out[:, 17] = _directedness(view.picture)[row, column]
    out[:, 18] = np.log((np.arange(len(spots)) + 0.5) / view.area)
    out[:, 19] = np.log(_higher_close_by(spots))
    out[:, 20] = np.log(seed_density + LEAST_SEEDS)
    out[:, 21] = of_set.weights @ of_set.profile
    top = max(round(0.02 * view.area), 3)
    out[:, 22] = np.sort(spots.answer)[-top:].mean()
    out[:, 23] = np.sort(spots.mark)[-top:].mean()
    return out


def _higher_close_by(spots: Spots) -> NDArray[np.float64]:
    """Count the candidates within two diameters that are not lower by more than 1, each itself among them, (n,) float64."""
    pairs = cKDTree(np.stack([spots.x, spots.y], axis=1)).query_pairs(CLOSE_BY * PARTICLE_PX, output_type="ndarray")
    count = np.ones(len(spots))
    for one, other in (pairs.T, pairs.T[::-1]):
        count += np.bincount(one[spots.total[other] >= spots.total[one] - 1], minlength=len(spots))
    return count


def _fill_rings(out: NDArray[np.float32], view: View, row: NDArray[np.intp], column: NDArray[np.intp]) -> None:
    """Fill in what is added up around each candidate."""
    reach = int(np.ceil(RINGS[-1] * PARTICLE_PX))
    away = distances(reach) / PARTICLE_PX
    rings = np.stack([(away >= inner) & (away < outer) for inner, outer in itertools.pairwise(RINGS)], axis=1)
    inside = (away < RINGS[-1])[:, None]
    means, square = sums_around(view.picture, reach, row, column, _shares(np.hstack([rings, inside])), _shares(inside))
    out[:, 3:12] = means[:, :-1]
    out[:, 16] = 0.5 * np.log(np.maximum(square[:, 0] - means[:, -1] ** 2, 1e-4))
    near = int(np.ceil(DISC * PARTICLE_PX))
    disc = (distances(near) / PARTICLE_PX < DISC)[:, None].astype(np.float32)
    out[:, 12] = np.log1p(sums_around(view.marker, near, row, column, disc)[0][:, 0])
    parts = np.stack([away < DISC, (away >= DISC) & (away < RINGS[-1])], axis=1)
    out[:, 13:15] = np.sqrt(np.maximum(sums_around(view.contamination, reach, row, column, _shares(parts))[0], 0))


def _shares(parts: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Weights that make means of parts of a window, (pixels, n) bool -> float32."""
    return np.asarray(parts / parts.sum(axis=0), dtype=np.float32)


def _directedness(picture: Image) -> Image:
    """How much more the picture changes along one way than across it within a diameter, (h, w) float32 in [0, 1]."""
    soft = cv2.GaussianBlur(picture, (0, 0), 0.1 * PARTICLE_PX, borderType=cv2.BORDER_REFLECT)
    gx, gy = cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    side = (int(PARTICLE_PX) + 1, int(PARTICLE_PX) + 1)
    xx, xy, yy = (cv2.blur(a * b, side) for a, b in ((gx, gx), (gx, gy), (gy, gy)))
    return np.asarray(np.sqrt((xx - yy) ** 2 + 4 * xy**2) / (xx + yy + 1e-6), dtype=np.float32)
