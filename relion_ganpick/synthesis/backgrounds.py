"""Areas without particles (section 2.2.2), found in the user's own micrographs without labels.

A particle is a dark blob of about its diameter. Noise makes dark and bright blobs alike, so that the bright ones, which are never
particles, tell how strong a blob of noise is. Areas are the largest squares in which no dark blob is stronger than that.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.equalise import PAPER_SIDE, Grey, preprocess, to_grey
from relion_ganpick.core.preprocess import resize

Image = NDArray[np.float32]

LARGEST = 127
QUANTILE = 0.9
MOST_SHIFT, LEAST_SPREAD, MOST_SPREAD = 0.75, 0.4, 1.25
MOST_PER_MICROGRAPH = 4


@dataclass(frozen=True)
class Area:
    """A square without particles.

    Attributes
    ----------
    left, top, side
        Corner and size, in pixels of the micrograph shrunk to 512 x 512.
    grey
        (512, 512) uint8, the square cut from the micrograph at full size, after step 1.
    """

    left: int
    top: int
    side: int
    grey: Grey


def blob_answer(grey: Grey, diameters: tuple[int, int]) -> Image:
    """Filter a picture by Laplacians of Gaussians for blobs of several diameters.

    Parameters
    ----------
    grey
        (h, w) uint8.
    diameters
        Smallest and largest diameter of a particle in pixels.

    Returns
    -------
    (3, h, w) float32 in grey values, positive where it is dark; for the smallest, the middle and the largest diameter.
    """
    answers = []
    for diameter in np.geomspace(*diameters, 3):
        sigma = diameter / np.sqrt(8)
        smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), float(sigma), borderType=cv2.BORDER_REFLECT)
        answers.append(sigma**2 * cv2.Laplacian(smooth, cv2.CV_32F, borderType=cv2.BORDER_REFLECT))
    return np.asarray(np.stack(answers), dtype=np.float32)


def particle_free_areas(pixels: Image, diameters: tuple[int, int], most: int = MOST_PER_MICROGRAPH) -> list[Area]:
    """Find the largest squares of a micrograph that hold no particles.

    No dark answer in a square is stronger than the 90 % quantile of the bright ones, at each diameter; and neither its mean
    nor its spread sets it apart from the micrograph, as those of carbon, ice and holes do.

    Parameters
    ----------
    pixels
        (h, w) float32, the image area of a micrograph, particles dark.
    diameters
        Smallest and largest diameter of a particle when the micrograph is 512 pixels wide.
    most
        Number of squares, which do not overlap.

    Returns
    -------
    Areas, the largest first: at least as wide as the largest particle, at most 127 pixels of 512.
    """
    grey = to_grey(resize(pixels, (PAPER_SIDE, PAPER_SIDE)))
    answer = blob_answer(grey, diameters)
    strongest_noise = np.quantile(-answer, QUANTILE, axis=(1, 2), keepdims=True)
    free = np.pad((answer <= strongest_noise).all(axis=0).astype(np.uint8), 1)
    chosen: list[Area] = []
    while len(chosen) < most:
        # In the chessboard metric the distance to the nearest pixel that is taken is half a square's side.
        distance = cv2.distanceTransform(free, cv2.DIST_C, 3)
        row, column = np.unravel_index(distance.argmax(), distance.shape)
        half = min(int(distance[row, column]) - 1, LARGEST // 2)
        left, top, side = int(column) - 1 - half, int(row) - 1 - half, 2 * half + 1
        if side < diameters[1]:
            break
        free[top + 1 : top + 1 + side, left + 1 : left + 1 + side] = 0
        if _ordinary(grey[top : top + side, left : left + side], grey):
            chosen.append(Area(left, top, side, _cut(pixels, left, top, side)))
    return chosen


def _ordinary(square: Grey, grey: Grey) -> bool:
    """Tell whether a square has about the mean and the spread of the whole picture."""
    spread = float(grey.std())
    return abs(float(square.mean()) - float(np.median(grey))) <= MOST_SHIFT * spread and bool(
        LEAST_SPREAD * spread <= square.std() <= MOST_SPREAD * spread
    )


def _cut(pixels: Image, left: int, top: int, side: int) -> Grey:
    """Cut a square, given in pixels of 512 x 512, from the micrograph at full size."""
    height, width = pixels.shape
    rows = slice(top * height // PAPER_SIDE, (top + side) * height // PAPER_SIDE)
    columns = slice(left * width // PAPER_SIDE, (left + side) * width // PAPER_SIDE)
    return preprocess(pixels[rows, columns])
