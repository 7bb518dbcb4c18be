"""Pictures of micrographs with a circle around every pick."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.blank import find_blank
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import atomic
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import CLIP, HIGH_PASS_DIAMETERS
from relion_ganpick.core.standardise import standardise

Colours = NDArray[np.uint8]

LONGEST_SIDE = 1024
SOFTNESS = 0.04
HALF = 2  # background, and whether all of it is image, are found at half the size
SAMPLED = 4  # contrast comes from every 4th pixel of each row and column
SHIFT = 4
THICKNESS = 2
KEPT_COLOUR, DROPPED_COLOUR, TRUTH_COLOUR = (0, 159, 230), (233, 180, 86), (255, 255, 255)
"""Blue, green, red; orange and sky blue are also told apart by the colour-blind (Okabe and Ito)."""


def which_overlays(n_micrographs: int, n: int) -> list[int]:
    """Choose ``n`` of ``n_micrographs``: the first, the last, and others evenly between them, in order."""
    n = min(n, n_micrographs)
    if n <= 0:
        return []
    return [round(k * (n_micrographs - 1) / max(n - 1, 1)) for k in range(n)]


def shrunk(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shrink a micrograph, (h, w) float32, until its longer side has at most 1024 pixels; a small one stays as it is."""
    shrink = max(pixels.shape) / LONGEST_SIDE
    if shrink <= 1:
        return pixels
    size = (max(round(pixels.shape[1] / shrink), 1), max(round(pixels.shape[0] / shrink), 1))
    return np.asarray(cv2.resize(np.asarray(pixels, np.float32), size, interpolation=cv2.INTER_AREA), np.float32)


def draw_overlay(
    pixels: NDArray[np.float32],
    picks: Picks,
    diameter_px: float,
    truth: NDArray[np.float64] | None = None,
    dropped: Picks | None = None,
    shape: tuple[int, int] | None = None,
) -> Colours:
    """Draw a micrograph, shrunk to at most 1024 pixels, with circles at the picks.

    Picks that are kept have orange circles, those that are not thin blue ones; reference centres are small white circles.

    Parameters
    ----------
    pixels
        (h, w) float32, the micrograph, or what `shrunk` made of it.
    picks
        Those that are kept, in pixels of the micrograph.
    diameter_px
        Diameter of the circles in pixels of the micrograph.
    truth
        (n, 2) float64, (x, y) of reference centres, or None.
    dropped
        Picks that are not kept, or None.
    shape
        (h, w) of the micrograph, where ``pixels`` is a shrunk one.

    Returns
    -------
    (h', w', 3) uint8, blue green red.
    """
    small = shrunk(pixels)
    height, width = shape or pixels.shape
    factors = np.array([small.shape[1] / width, small.shape[0] / height])
    shrink = 1 / float(factors.max())
    picture = np.asarray(cv2.cvtColor(_grey(small, diameter_px / shrink), cv2.COLOR_GRAY2BGR), np.uint8)
    radius = diameter_px / 2 / shrink
    for circles, colour, thickness in ((dropped, DROPPED_COLOUR, 1), (picks, KEPT_COLOUR, THICKNESS)):
        for point in np.empty((0, 2)) if circles is None else circles.xy:
            _circle(picture, (point + 0.5) * factors - 0.5, radius, colour, thickness)
    for point in np.empty((0, 2)) if truth is None else truth:
        _circle(picture, (point + 0.5) * factors - 0.5, max(radius / 8, 1.5), TRUTH_COLOUR)
    return picture


def write_overlay(
    pixels: NDArray[np.float32],
    picks: Picks,
    diameter_px: float,
    path: Path,
    truth: NDArray[np.float64] | None = None,
    dropped: Picks | None = None,
    shape: tuple[int, int] | None = None,
) -> None:
    """Write what `draw_overlay` draws as a PNG, under another name first.

    Raises
    ------
    GanpickError
        If the file cannot be written.
    """
    _, data = cv2.imencode(".png", draw_overlay(pixels, picks, diameter_px, truth, dropped, shape))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary:
            temporary.write_bytes(data.tobytes())
    except OSError as error:
        raise GanpickError(f"{path}: the picture cannot be written ({error.strerror})") from error


def _grey(small: NDArray[np.float32], diameter: float) -> Colours:
    """Take the background away, smooth a little, and stretch the contrast so that a person sees particles."""
    flat = _flat(np.asarray(small, np.float32), diameter)
    soft = cv2.GaussianBlur(flat, (0, 0), max(SOFTNESS * diameter, 0.3))
    low, high = np.percentile(soft[::SAMPLED, ::SAMPLED], (0.5, 99.5))
    stretched = (soft - low) / max(float(high - low), 1e-6)
    return np.asarray(np.clip(255 * stretched, 0, 255), dtype=np.uint8)


def _flat(small: NDArray[np.float32], diameter: float) -> NDArray[np.float32]:
    """Take away what is wider than a particle, in less time than `standardise`, which is exact, where all of it is image."""
    if find_blank(np.ascontiguousarray(small[::HALF, ::HALF]), diameter / HALF) is not None:
        return standardise(small, diameter)[0]
    height, width = small.shape
    coarse = (max(width // HALF, 1), max(height // HALF, 1))
    level = cv2.resize(small, coarse, interpolation=cv2.INTER_AREA)
    wide = cv2.GaussianBlur(level, (0, 0), HIGH_PASS_DIAMETERS * diameter / HALF, borderType=cv2.BORDER_REFLECT)
    flat = small - cv2.resize(wide, (width, height), interpolation=cv2.INTER_LINEAR)
    some = flat[::SAMPLED, ::SAMPLED]
    middle = float(np.median(some))
    reach = CLIP * 1.4826 * float(np.median(np.abs(some - middle)))
    return np.asarray(np.clip(flat, middle - reach, middle + reach) if reach > 0 else flat, np.float32)


def _circle(
    picture: Colours, centre: NDArray[np.float64], radius: float, colour: tuple[int, ...], thickness: int = THICKNESS
) -> None:
    """Draw an anti-aliased circle at sixteenths of a pixel."""
    at = np.rint(centre * 2**SHIFT).astype(int)
    reach = max(round(radius * 2**SHIFT), 1)
    cv2.circle(picture, (int(at[0]), int(at[1])), reach, colour, thickness, cv2.LINE_AA, SHIFT)
