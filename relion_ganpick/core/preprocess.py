"""Bring a micrograph to the scale and contrast that the networks know."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

# The networks are trained on pictures made with these numbers: a new value needs a new model. All but FILLED were set by hand
# and never compared with others.
PARTICLE_PX = 16.0  # one size for all particles; a micrograph of 4096 pixels becomes about 600
FILLED = 0.93  # of the diameter that is given: people give it generously, as that of a mask (measured: docs/notebook.md)
HIGH_PASS_DIAMETERS = 0.75  # ice gradients are wider than this, particles narrower
CLIP = 6.0  # noise of unit spread stays below it; gold and ice crystals go beyond
FLAT = 1e-6  # of the largest value: differences below are rounding errors of float32
LEAST_ROW = 1e-9  # a smaller part of a row is a rounding error
HARDLY, FINER = 1.2, 2  # below this ratio area means leave a pattern in the noise (tests/test_frame_and_preprocess.py)


def normalise(picture: Image, particle_px: float = PARTICLE_PX) -> Image:
    """Remove the background and scale the contrast, so that noise has about unit spread.

    The background is a Gaussian mean with a standard deviation of 0.75 diameters; spread is the median absolute
    deviation (times 1.4826) about the median; values are clipped at 6. Hot pixels are bounded first.

    Parameters
    ----------
    picture
        (h, w) float32 at the working scale.
    particle_px
        Diameter in pixels.

    Returns
    -------
    (h, w) float32, all 0 for a picture without contrast.
    """
    if np.ptp(picture) <= FLAT * float(np.abs(picture).max()):
        return np.zeros_like(picture)
    picture = _without_hot_pixels(picture)
    flat = picture - _blur(picture, HIGH_PASS_DIAMETERS * particle_px)
    middle = np.median(flat)
    spread = 1.4826 * float(np.median(np.abs(flat - middle))) or float(flat.std())
    if not spread > 0:
        return np.zeros_like(picture)
    return np.asarray(np.clip((flat - middle) / np.float32(spread), -CLIP, CLIP), dtype=np.float32)


def resize(pixels: Image, shape: tuple[int, int]) -> Image:
    """Resize a picture: area means when it shrinks, cubic when it grows, (h, w) -> ``shape`` float32.

    Where it shrinks by little, some of the areas are one pixel and others parts of two, and the noise comes and goes across
    the picture; so it is made finer first.
    """
    shrinks = shape[0] <= pixels.shape[0]
    if shape[0] < pixels.shape[0] < HARDLY * shape[0]:
        finer = (FINER * pixels.shape[1], FINER * pixels.shape[0])
        pixels = np.asarray(cv2.resize(pixels, finer, interpolation=cv2.INTER_CUBIC), dtype=np.float32)
    if not shrinks:
        return np.asarray(cv2.resize(pixels, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
    rows = _row_means(pixels, shape[0])
    return np.asarray(cv2.resize(rows, (shape[1], shape[0]), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _row_means(pixels: Image, n: int) -> Image:
    """Average rows to ``n`` of them, (h, w) -> (n, w): area means along one axis, at the speed of the memory.

    OpenCV, which does the other axis, does both in three times the time.
    """
    means = np.empty((n, pixels.shape[1]), np.float32)
    factor = pixels.shape[0] / n
    for k in range(n):
        top, bottom = k * factor, min((k + 1) * factor, pixels.shape[0])
        rows = np.arange(int(top), min(int(np.ceil(bottom - LEAST_ROW)), pixels.shape[0]))
        weights = (np.minimum(rows + 1, bottom) - np.maximum(rows, top)) / (bottom - top)
        np.dot(weights.astype(np.float32), pixels[rows[0] : rows[-1] + 1], out=means[k])
    return means


def _without_hot_pixels(picture: Image) -> Image:
    """Bound what no specimen can cause, before it smears over the background: 40 spreads from the median."""
    sample = picture[::3, ::3]
    middle = float(np.median(sample))
    reach = 40 * 1.4826 * float(np.median(np.abs(sample - middle)))
    return np.clip(picture, middle - reach, middle + reach) if reach > 0 else picture


def _blur(picture: Image, sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), dtype=np.float32)
