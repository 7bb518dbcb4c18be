"""Which of the eight orientations of coordinates fits micrographs.

Programs differ in where they count rows from, and motion correction in which way up it writes a micrograph. At the right
orientation the places that coordinates name look like particles: darker than what is around them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.preprocess import PARTICLE_PX, resize
from relion_ganpick.core.scale import working_scale

Points = NDArray[np.float64]

CLEAR = 5.0
"""Smallest deviation from chance, in standard errors, that counts as a fit."""

MARGIN = 3.0
"""By how much the best orientation must be ahead of the next, in standard errors."""

MOST_OUTSIDE = 0.1
INNER, OUTER = 0.35, 0.9
"""Widths, in diameters, of the blurs whose difference is the contrast at a place."""

Size = tuple[int, int]
ORIENTATIONS: dict[str, tuple[str, Callable[[Points, Size], Points]]] = {
    "as they are": ("(x, y)", lambda p, s: p),
    "y flipped": ("(x, h-1-y)", lambda p, s: np.stack([p[:, 0], s[0] - 1 - p[:, 1]], 1)),
    "x flipped": ("(w-1-x, y)", lambda p, s: np.stack([s[1] - 1 - p[:, 0], p[:, 1]], 1)),
    "turned by 180 degrees": ("(w-1-x, h-1-y)", lambda p, s: np.stack([s[1] - 1 - p[:, 0], s[0] - 1 - p[:, 1]], 1)),
    "x and y exchanged": ("(y, x)", lambda p, s: p[:, ::-1]),
    "turned by 90 degrees": ("(w-1-y, x)", lambda p, s: np.stack([s[1] - 1 - p[:, 1], p[:, 0]], 1)),
    "turned by 270 degrees": ("(y, h-1-x)", lambda p, s: np.stack([p[:, 1], s[0] - 1 - p[:, 0]], 1)),
    "exchanged and turned": ("(w-1-y, h-1-x)", lambda p, s: np.stack([s[1] - 1 - p[:, 1], s[0] - 1 - p[:, 0]], 1)),
}
"""Name, place in the file, and function (points, (h, w)) -> points, for coordinates (x, y) of a micrograph w x h."""


@dataclass(frozen=True)
class Fit:
    """How well one orientation fits.

    Attributes
    ----------
    name
        One of `ORIENTATIONS`.
    deviation
        Mean contrast at the coordinates against that of chance, in standard errors; None if they do not lie in the pictures.
    """

    name: str
    deviation: float | None


def deviations(pixels: NDArray[np.float32], diameter_px: float, points: Points) -> dict[str, Points]:
    """Compare the contrast at coordinates with that of chance, for each orientation.

    Parameters
    ----------
    pixels
        (h, w) float32, particles dark.
    diameter_px
        Diameter of a particle in pixels.
    points
        (n, 2) float64, columns x and y in pixels.

    Returns
    -------
    By name of orientation, (n,) float64: contrast less that of chance, over its spread; NaN for what lies outside.
    """
    height, width = pixels.shape
    picture = contrast_map(pixels, diameter_px)
    mean, spread = float(picture.mean()), float(picture.std()) or 1.0
    factors = np.array([picture.shape[1] / width, picture.shape[0] / height])
    found = {}
    for name, (_, turn) in ORIENTATIONS.items():
        at = np.rint((turn(points, (height, width)) + 0.5) * factors - 0.5).astype(int)
        inside = ((at >= 0) & (at < [picture.shape[1], picture.shape[0]])).all(axis=1)
        values = np.full(len(points), np.nan)
        values[inside] = (picture[at[inside, 1], at[inside, 0]] - mean) / spread
        found[name] = values
    return found


def pooled(parts: Sequence[Points]) -> float | None:
    """Mean deviation in standard errors; None if too many coordinates lie outside the pictures."""
    values = np.concatenate(parts)
    inside = np.isfinite(values)
    if inside.mean() < 1 - MOST_OUTSIDE:
        return None
    return float(values[inside].mean() * np.sqrt(inside.sum()))


def verdict(fits: Sequence[Fit]) -> tuple[str | None, str]:
    """Choose the orientation that fits, if one is clearly ahead; returns its name and a sentence."""
    known = sorted((each.deviation, each.name) for each in fits if each.deviation is not None)
    if not known or known[-1][0] < CLEAR:
        return None, "no orientation fits: are these the right micrographs, `diameter` and `contrast`?"
    if len(known) > 1 and known[-1][0] - known[-2][0] < MARGIN:
        return None, f"'{known[-1][1]}' and '{known[-2][1]}' fit about equally: give more micrographs"
    best = known[-1][1]
    if best == "as they are":
        return best, "they fit as they are"
    hint = "; cryosparc_ganpick `coordinates` takes them with `flip_y`" if best == "y flipped" else ""
    return best, f"they are {best}: (x, y) belongs to {ORIENTATIONS[best][0]} of the file, w pixels wide and h high{hint}"


def contrast_map(pixels: NDArray[np.float32], diameter_px: float) -> NDArray[np.float32]:
    """Darkness of each place against its surroundings, at the working scale, in units of its spread and bounded."""
    scale = working_scale((pixels.shape[0], pixels.shape[1]), diameter_px, PARTICLE_PX)
    small = resize(pixels, scale.working_shape)
    inner, outer = (cv2.GaussianBlur(small, (0, 0), width * PARTICLE_PX / 2) for width in (INNER, OUTER))
    difference = np.asarray(outer - inner, np.float64)
    difference -= np.median(difference)
    spread = 1.4826 * float(np.median(np.abs(difference))) or float(difference.std()) or 1.0
    # a few crystals of ice must not outweigh all particles
    return np.clip(difference / spread, -4, 4).astype(np.float32)
