"""Markers to particle centres."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.picks import Picks

MARKER_RADIUS = 0.25
SMOOTHING = 0.1
FLOOR = 0.05


def peaks(marked: NDArray[np.float32], particle_px: float, min_distance_px: float, floor: float = FLOOR) -> Picks:
    """Find one particle in every peak of the smoothed marker image.

    The image is smoothed by a Gaussian of 0.1 diameters; a pixel that is the largest within half a minimum distance is a
    peak; its centre is refined to the centre of mass of the marker within a marker's radius; its figure of merit is the
    height of the peak, where 1 is a full marker. Of two peaks closer than the minimum distance the lower one goes.

    Parameters
    ----------
    marked
        (h, w) float32, the probability that a pixel belongs to a particle's marker.
    particle_px
        Diameter in pixels.
    min_distance_px
        Smallest distance between two centres in pixels.
    floor
        Peaks lower than this are dropped.

    Returns
    -------
    Picks, in pixels of ``marked``.
    """
    sigma = SMOOTHING * particle_px
    full = 1 - np.exp(-0.5 * (MARKER_RADIUS / SMOOTHING) ** 2)
    smooth = cv2.GaussianBlur(marked, (0, 0), sigma, borderType=cv2.BORDER_REFLECT) / np.float32(full)
    reach = max(int(min_distance_px / 2), 1)
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    rows, columns = np.nonzero((smooth >= cv2.dilate(smooth, window)) & (smooth >= floor))
    if not len(rows):
        return Picks.none()
    x, y = _centres_of_mass(smooth, rows, columns, int(np.ceil(MARKER_RADIUS * particle_px)))
    score = np.clip(smooth[rows, columns].astype(np.float64), 0.0, 1.0)
    return Picks(x, y, score).thinned(min_distance_px)


def _centres_of_mass(
    image: NDArray[np.float32], rows: NDArray[np.intp], columns: NDArray[np.intp], radius: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    dy, dx = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = dx**2 + dy**2 <= radius**2
    dy, dx = dy[disc], dx[disc]
    padded = np.pad(image, radius)
    weight = padded[rows[:, None] + dy + radius, columns[:, None] + dx + radius].astype(np.float64) ** 2
    total = np.maximum(weight.sum(axis=1), 1e-12)
    x = columns + (weight * dx).sum(axis=1) / total
    y = rows + (weight * dy).sum(axis=1) / total
    return np.clip(x, 0, image.shape[1] - 1), np.clip(y, 0, image.shape[0] - 1)
