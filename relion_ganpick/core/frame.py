"""Find the outer frame of a micrograph that holds no image: repeated or constant rows and columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Set by hand in the first version and not tuned since; tests/test_frame_and_preprocess.py holds the cases that they must tell
# apart. That particles at a frame are left out was measured (docs/notebook.md, second row).
SMOOTHER = 0.25  # a repeated row differs from its neighbour by less than this share of the usual difference
PARTS, ALIVE, PART_SMOOTHER = 16, 3, 0.75  # a row of which three sixteenths differ by this share still holds an image
SHORTEST = 3  # rows; fewer alike are chance
DEEPEST = 0.25  # share of a side; a deeper frame would be a picture of something
SAMPLES = 512  # pixels looked at in each row: enough for a mean, whatever the micrograph's size


@dataclass(frozen=True)
class ImageArea:
    """Part of a micrograph that holds an image, in pixels: rows top to bottom - 1, columns left to right - 1."""

    left: int
    top: int
    right: int
    bottom: int


def find_image_area(pixels: NDArray[np.float32]) -> ImageArea:
    """Find where the image begins on each side.

    A row belongs to no image when it equals its neighbour (mean absolute difference below a quarter of the picture's median,
    and less than usual all along it) or is constant. From each side, the frame reaches to the last such row that has at least
    as many of its kind before it as others; fewer than three are no frame, and it is never deeper than a quarter of the picture.

    Parameters
    ----------
    pixels
        (h, w) float32.

    Returns
    -------
    ImageArea
    """
    rows = np.ascontiguousarray(pixels[:, :: max(pixels.shape[1] // SAMPLES, 1)])
    columns = pixels[:: max(pixels.shape[0] // SAMPLES, 1)]
    top, bottom = _frame_depths(rows, np.abs(rows[1:] - rows[:-1]).mean(axis=1), rows.std(axis=1))
    left, right = _frame_depths(columns.T, np.abs(columns[:, 1:] - columns[:, :-1]).mean(axis=0), columns.std(axis=0))
    return ImageArea(left, top, pixels.shape[1] - right, pixels.shape[0] - bottom)


def _frame_depths(lines: NDArray[np.float32], step: NDArray[np.float32], spread: NDArray[np.float32]) -> tuple[int, int]:
    """Depth of the frame at the beginning and at the end of n lines.

    Parameters
    ----------
    lines
        (n, samples).
    step
        (n - 1,) mean absolute difference between each line and the next.
    spread
        (n,) standard deviation of each line.
    """
    if len(spread) < 4 * SHORTEST:
        return 0, 0
    typical_step, typical_spread = float(np.median(step)), float(np.median(spread))
    same = step < SMOOTHER * typical_step
    for row in np.nonzero(same)[0]:  # a row that is blank in part still holds an image
        parts = np.array_split(np.abs(lines[row + 1] - lines[row]), PARTS)
        same[row] = sorted(float(part.mean()) for part in parts)[-ALIVE] < PART_SMOOTHER * typical_step
    flat = spread < 0.1 * typical_spread
    if flat.any():  # against rows that are blank in part, a row of nothing but image looks flat
        rough = np.abs(np.diff(lines, axis=1)).mean(axis=1)
        flat &= rough < SMOOTHER * float(np.median(rough[~flat]) if not flat.all() else 0)
    from_start = np.append(same, False) | flat
    from_end = (np.insert(same, 0, False) | flat)[::-1]
    return _depth(from_start), _depth(from_end)


def _depth(empty: NDArray[np.bool_]) -> int:
    outer = empty[: max(int(len(empty) * DEEPEST), 1)]
    count = np.cumsum(outer)
    inside = outer & (count >= SHORTEST) & (2 * count >= np.arange(1, len(outer) + 1))
    found = np.nonzero(inside)[0]
    return int(found[-1]) + 1 if len(found) else 0
