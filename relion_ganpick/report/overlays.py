"""Pictures of micrographs with a circle around every pick."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import atomic
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import normalise

Colours = NDArray[np.uint8]

LONGEST_SIDE = 1000
SOFTNESS = 0.04
SHIFT = 4
THICKNESS = 2
TRUTH_COLOUR = (255, 255, 255)


def which_overlays(n_micrographs: int, n: int) -> list[int]:
    """Choose ``n`` of ``n_micrographs``: the first, the last, and others evenly between them, in order."""
    n = min(n, n_micrographs)
    if n <= 0:
        return []
    return [round(k * (n_micrographs - 1) / max(n - 1, 1)) for k in range(n)]


def draw_overlay(
    pixels: NDArray[np.float32], picks: Picks, diameter_px: float, truth: NDArray[np.float64] | None = None
) -> Colours:
    """Draw a micrograph, shrunk to about 1000 pixels, with circles at the picks.

    Circles go from violet (figure of merit 0) to yellow (1); reference centres are small white circles.

    Parameters
    ----------
    pixels
        (h, w) float32.
    picks
        In pixels of the micrograph.
    diameter_px
        Diameter of the circles in pixels of the micrograph.
    truth
        (n, 2) float64, (x, y) of reference centres, or None.

    Returns
    -------
    (h', w', 3) uint8, blue green red.
    """
    shrink = max(max(pixels.shape) / LONGEST_SIDE, 1.0)
    shape = (max(round(pixels.shape[0] / shrink), 1), max(round(pixels.shape[1] / shrink), 1))
    factors = np.array([shape[1] / pixels.shape[1], shape[0] / pixels.shape[0]])
    picture = np.asarray(cv2.cvtColor(_grey(pixels, shape, diameter_px / shrink), cv2.COLOR_GRAY2BGR), np.uint8)
    colours = cv2.applyColorMap(np.arange(256, dtype=np.uint8), cv2.COLORMAP_PLASMA).reshape(256, 3)
    radius = diameter_px / 2 / shrink
    for k in np.argsort(picks.score):
        centre = (picks.xy[k] + 0.5) * factors - 0.5
        level = int(np.clip(round(255 * float(picks.score[k])), 0, 255))
        _circle(picture, centre, radius, tuple(int(c) for c in colours[level]))
    for point in np.empty((0, 2)) if truth is None else truth:
        _circle(picture, (point + 0.5) * factors - 0.5, max(radius / 8, 1.5), TRUTH_COLOUR)
    return picture


def write_overlay(
    pixels: NDArray[np.float32],
    picks: Picks,
    diameter_px: float,
    path: Path,
    truth: NDArray[np.float64] | None = None,
) -> None:
    """Write what `draw_overlay` draws as a PNG, under another name first.

    Raises
    ------
    GanpickError
        If the file cannot be written.
    """
    _, data = cv2.imencode(".png", draw_overlay(pixels, picks, diameter_px, truth))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary:
            temporary.write_bytes(data.tobytes())
    except OSError as error:
        raise GanpickError(f"{path}: the picture cannot be written ({error.strerror})") from error


def _grey(pixels: NDArray[np.float32], shape: tuple[int, int], diameter: float) -> Colours:
    """Shrink, take the background away, smooth a little, and stretch the contrast so that a person sees particles."""
    small = cv2.resize(np.asarray(pixels, np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    flat = normalise(np.asarray(small, np.float32), particle_px=diameter)
    soft = cv2.GaussianBlur(flat, (0, 0), max(SOFTNESS * diameter, 0.3))
    low, high = np.percentile(soft, (0.5, 99.5))
    stretched = (soft - low) / max(float(high - low), 1e-6)
    return np.asarray(np.clip(255 * stretched, 0, 255), dtype=np.uint8)


def _circle(picture: Colours, centre: NDArray[np.float64], radius: float, colour: tuple[int, ...]) -> None:
    """Draw an anti-aliased circle at sixteenths of a pixel."""
    at = np.rint(centre * 2**SHIFT).astype(int)
    reach = max(round(radius * 2**SHIFT), 1)
    cv2.circle(picture, (int(at[0]), int(at[1])), reach, colour, THICKNESS, cv2.LINE_AA, SHIFT)
