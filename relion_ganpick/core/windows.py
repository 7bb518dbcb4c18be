"""Weighted sums over the surroundings of places in a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Places = NDArray[np.intp]

AT_ONCE = 256  # places; their windows stay within the processor's cache


def sums_around(
    picture: Image, reach: int, rows: Places, columns: Places, weights: Image, of_squares: Image | None = None
) -> tuple[Image, Image]:
    """Add up pixels around places, by several sets of weights.

    Parameters
    ----------
    picture
        (h, w) float32; beyond its edges it is continued by reflection.
    reach
        Pixels on each side of a place that its window has.
    rows, columns
        (n,) int, places inside the picture.
    weights
        ((2 reach + 1)^2, k) float32, of the window's pixels row by row.
    of_squares
        The same, (..., l), for the squares of the pixels.

    Returns
    -------
    (n, k) and (n, l) float32; l is 0 without ``of_squares``.
    """
    side = 2 * reach + 1
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(picture, reach, "symmetric"), (side, side))
    sums = np.empty((len(rows), weights.shape[1]), np.float32)
    squares = np.empty((len(rows), 0 if of_squares is None else of_squares.shape[1]), np.float32)
    for first in range(0, len(rows), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        pixels = windows[rows[part], columns[part]].reshape(len(rows[part]), -1)
        np.matmul(pixels, weights, out=sums[part])
        if of_squares is not None:
            np.matmul(np.square(pixels, out=pixels), of_squares, out=squares[part])
    return sums, squares


def distances(reach: int) -> NDArray[np.float64]:
    """Distance of a window's pixels from its middle, row by row, ((2 reach + 1)^2,) float64 pixels."""
    steps = np.arange(-reach, reach + 1)
    return np.hypot(steps[:, None], steps[None, :]).ravel()
