"""Bring a micrograph to the scale and contrast that the networks know."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

PARTICLE_PX = 16.0
HIGH_PASS_DIAMETERS = 0.75
CLIP = 6.0


def normalise(picture: Image, valid: NDArray[np.bool_] | None = None, particle_px: float = PARTICLE_PX) -> Image:
    """Remove the background and scale the contrast, so that noise has about unit spread.

    The background is a Gaussian mean with a standard deviation of 0.75 diameters over valid pixels; spread is the
    median absolute deviation (times 1.4826) about the median; values are clipped at 6. Hot pixels are bounded first.

    Parameters
    ----------
    picture
        (h, w) float32 at the working scale.
    valid
        (h, w) bool, False where there is no image; those pixels do not count and become 0.
    particle_px
        Diameter in pixels.

    Returns
    -------
    (h, w) float32, all 0 for a picture without contrast.
    """
    sigma = HIGH_PASS_DIAMETERS * particle_px
    picture = _without_hot_pixels(picture)
    if valid is None or valid.all():
        inside = None
        flat = picture - _blur(picture, sigma)
        sample = flat
    else:
        inside = valid.astype(np.float32)
        level = float(picture[valid].mean()) if valid.any() else 0.0
        filled = np.where(valid, picture - np.float32(level), np.float32(0))
        flat = (filled - _blur(filled, sigma) / np.maximum(_blur(inside, sigma), 1e-3)) * inside
        sample = flat[valid]
    if not sample.size:
        return np.zeros_like(picture)
    middle = np.median(sample)
    spread = 1.4826 * float(np.median(np.abs(sample - middle)))
    if not spread > 1e-12:
        spread = float(sample.std())
    if not spread > 1e-12:
        return np.zeros_like(picture)
    scaled = np.clip((flat - middle) / np.float32(spread), -CLIP, CLIP)
    return np.asarray(scaled if inside is None else scaled * inside, dtype=np.float32)


def _without_hot_pixels(picture: Image) -> Image:
    """Bound what no specimen can cause, before it smears over the background: 40 spreads from the median."""
    sample = picture[::3, ::3]
    middle = float(np.median(sample))
    reach = 40 * 1.4826 * float(np.median(np.abs(sample - middle)))
    return np.clip(picture, middle - reach, middle + reach) if reach > 0 else picture


def _blur(picture: Image, sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), dtype=np.float32)
