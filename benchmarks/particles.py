"""Particles put into pictures: what a picture with its truth is, where particles may be, and how deep a projection is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Drawn:
    """One drawn micrograph.

    Attributes
    ----------
    pixels
        (h, w) float32, particles dark.
    centres
        (n, 2) float64, (x, y) in pixels.
    """

    pixels: Image
    centres: Points


def apart(tried: Points, distance: float, most: int) -> Points:
    """Take places one after the other, each at a distance from all before: (n, 2) -> (at most ``most``, 2) float64."""
    kept = np.empty((0, 2))
    for place in tried:
        if len(kept) == most:
            break
        if not (np.linalg.norm(kept - place, axis=1) < distance).any():
            kept = np.vstack([kept, place])
    return kept


def typical_mass(view: Image) -> float:
    """Say what a projection typically holds where the particle is: the upper quartile there."""
    return float(np.percentile(view[view > 0.02 * view.max()], 75))
