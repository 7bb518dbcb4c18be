"""The paper's step 1 (section 2.1): from a micrograph to an 8-bit grey picture of 512 x 512 with equalised contrast."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.preprocess import resize

Grey = NDArray[np.uint8]
Image = NDArray[np.float32]

PAPER_SIDE = 512
SPREADS = 10.0
HOT = (0.05, 99.95)
CLIP_LIMIT = 2.0
GRID = (8, 8)


def to_grey(pixels: Image) -> Grey:
    """Convert to 8-bit grey: 0 and 255 lie ten standard deviations below and above the mean.

    The paper leaves the limits to EMAN2. These are wide, because what is black already cannot be marked: Algorithm 3 sees
    input - output. For the deviation, the highest and lowest of 2000 pixels are bounded, lest a hot one stretch it.

    Parameters
    ----------
    pixels
        (h, w) float32.

    Returns
    -------
    (h, w) uint8, all 0 for a picture without contrast.
    """
    low, high = np.percentile(pixels, HOT)
    bounded = np.clip(pixels, low, high)
    reach = SPREADS * float(bounded.std())
    if not reach > 0:
        return np.zeros(pixels.shape, np.uint8)
    scaled = (pixels - np.float32(float(bounded.mean()) - reach)) * np.float32(255 / (2 * reach))
    return np.asarray(np.rint(np.clip(scaled, 0, 255)), dtype=np.uint8)


def equalise(grey: Grey) -> Grey:
    """Equalise the histogram adaptively, OpenCV's CLAHE with 8 x 8 tiles and a clip limit of 2, (h, w) uint8 -> the same."""
    return np.asarray(cv2.createCLAHE(CLIP_LIMIT, GRID).apply(grey), dtype=np.uint8)


def preprocess(pixels: Image, side: int = PAPER_SIDE) -> Grey:
    """Do step 1 on the image area of a micrograph: 8-bit grey, adaptive histogram equalisation, resize.

    Equalised at full size, where the noise is strong, the picture keeps to a narrow range of grey values when it is shrunk.

    Parameters
    ----------
    pixels
        (h, w) float32, without a frame (`find_image_area`), particles dark.
    side
        Sides of the result in pixels; both axes are scaled to it, each by its own factor.

    Returns
    -------
    (side, side) uint8.
    """
    grey = equalise(to_grey(pixels)).astype(np.float32)
    return np.asarray(np.rint(np.clip(resize(grey, (side, side)), 0, 255)), dtype=np.uint8)


def as_input(grey: Grey) -> Image:
    """Scale grey values to what the networks see, 0 to 1, (h, w) uint8 -> (h, w) float32."""
    return np.asarray(grey, dtype=np.float32) / np.float32(255)
