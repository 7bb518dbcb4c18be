"""A smaller picture of a micrograph that still shows all that the network sees, for what looks at it several times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.preprocess import PARTICLE_PX, resize

Image = NDArray[np.float32]

AMPLE = 4.0  # times the working scale; a micrograph that is finer yet is halved, which saves most of the time


def halved(image: Image) -> Image:
    """Halve a picture, (h, w) -> (h // 2, w // 2) float32; of an odd side, the last row or column is left out."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    return resize(image[: 2 * height, : 2 * width], (height, width))


def middle(image: Image, most: int) -> Image:
    """Cut out the middle, at most ``most`` pixels along each side."""
    height, width = image.shape
    top, left = max((height - most) // 2, 0), max((width - most) // 2, 0)
    return image[top : top + min(most, height), left : left + min(most, width)]


def is_ample(diameter_px: float) -> bool:
    """Tell whether a particle of that many pixels is shown so finely that the micrograph may be halved."""
    return diameter_px >= AMPLE * PARTICLE_PX
