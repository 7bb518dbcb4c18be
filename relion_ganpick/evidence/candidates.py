"""Where particles may be: peaks of the generator's mark and of the set's filter together, with a floor far below any cut."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.localize import MARKER_RADIUS
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.core.settings import MIN_DISTANCE_DIAMETERS
from relion_ganpick.evidence.view import View

Image = NDArray[np.float32]

MARK_WEIGHT = 0.8
FLOOR = -5.9
NOWHERE = -99
MOST = 1.3  # candidates per squared diameter


@dataclass(frozen=True)
class Spots:
    """Candidates of one micrograph, in pixels of the working scale, highest first.

    Attributes
    ----------
    x, y
        (n,) float64.
    total, mark, answer
        (n,) float64, the height of the peak, and what the mark (log odds) and the filter say there.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    total: NDArray[np.float64]
    mark: NDArray[np.float64]
    answer: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.x)


def find_spots(view: View, answer: Image, min_distance_px: float = MIN_DISTANCE_DIAMETERS * PARTICLE_PX) -> Spots:
    """Find the peaks of answer + 0.8 log odds of the mark.

    Parameters
    ----------
    view
        The micrograph.
    answer
        (h, w) float32, what the set's filter says (`filter.answer`).
    min_distance_px
        Smallest distance between two candidates.
    """
    height = view.height
    total = answer + np.float32(MARK_WEIGHT) * height
    if view.closed is not None:
        total[view.closed] = NOWHERE
    reach = max(int(min_distance_px / 2), 1)
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    rows, columns = np.nonzero((total >= cv2.dilate(total, window)) & (total >= FLOOR))
    x, y = _centres(view, total, rows, columns)
    value = total[rows, columns].astype(float)
    marks = Picks(x, y, value).where(np.argsort(-value, kind="stable")[: 2 * round(MOST * view.area)])
    kept = marks.thinned(min_distance_px)
    kept = kept.where(np.arange(min(len(kept), round(MOST * view.area))))
    row, column = np.rint(kept.y).astype(int), np.rint(kept.x).astype(int)
    return Spots(kept.x, kept.y, kept.score, height[row, column].astype(float), answer[row, column].astype(float))


def _centres(
    view: View, total: Image, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Refine peaks to a centre of mass within a marker's radius: of the mark where there is one, else of the peak itself."""
    radius = int(np.ceil(MARKER_RADIUS * PARTICLE_PX))
    dy, dx = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = dx**2 + dy**2 <= radius**2
    dy, dx = dy[disc], dx[disc]
    at = rows[:, None] + dy + radius, columns[:, None] + dx + radius
    soft = np.exp(np.pad(total, radius, constant_values=NOWHERE)[at] - total[rows, columns][:, None]).astype(np.float64)
    sum_ = soft.sum(axis=1)
    x = columns + (soft * dx).sum(axis=1) / sum_
    y = rows + (soft * dy).sum(axis=1) / sum_
    return np.clip(x, 0, total.shape[1] - 1), np.clip(y, 0, total.shape[0] - 1)
