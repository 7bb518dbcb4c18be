"""Local power: how strongly a micrograph varies around a place. Ice crystals, carbon edges and gold stand out by it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]


def local_power(picture: NDArray[np.float32], x: Column, y: Column, diameter_px: float) -> Column:
    """Mean square within a disc around points, over the mean square of the whole picture.

    Parameters
    ----------
    picture
        (h, w) float32, without the micrograph's slow background.
    x, y
        (n,) float64, pixels of the picture.
    diameter_px
        Diameter of the disc in pixels of the picture.

    Returns
    -------
    (n,) float64.
    """
    square = np.square(picture - picture.mean(), dtype=np.float32)
    radius = max(int(diameter_px / 2), 1)
    steps = np.arange(-radius, radius + 1)
    disc = (np.hypot(*np.meshgrid(steps, steps)) <= max(diameter_px / 2, 1)).astype(np.float32)
    area = cv2.filter2D(np.ones_like(square), -1, disc, borderType=cv2.BORDER_CONSTANT)
    mean = cv2.filter2D(square, -1, disc, borderType=cv2.BORDER_CONSTANT) / np.maximum(area, 1)
    rows = np.clip(np.rint(y).astype(int), 0, picture.shape[0] - 1)
    columns = np.clip(np.rint(x).astype(int), 0, picture.shape[1] - 1)
    here = np.maximum(np.asarray(mean, float)[rows, columns], 0) / max(float(square.mean(dtype=float)), 1e-12)
    return np.asarray(np.round(here, 4), float)
