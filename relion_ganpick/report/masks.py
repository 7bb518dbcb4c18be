"""Where a micrograph is contaminated, as a file for other programs."""

from __future__ import annotations

from pathlib import Path

import cv2
import mrcfile
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import atomic
from relion_ganpick.core.frame import ImageArea

Image = NDArray[np.float32]


def whole_mask(contamination: Image, area: ImageArea, shape: tuple[int, int]) -> Image:
    """Lay the map of an image area into the whole micrograph; a frame around the image counts as contaminated.

    Parameters
    ----------
    contamination
        (h, w) float32, chance of contamination at the working scale.
    area
        Where the image is, in pixels of the file.
    shape
        (h, w) of the micrograph in pixels of the file.

    Returns
    -------
    (h, w) float32 at the working scale, the whole micrograph.
    """
    factors = contamination.shape[0] / (area.bottom - area.top), contamination.shape[1] / (area.right - area.left)
    sides = zip(shape, factors, contamination.shape, strict=True)
    height, width = (max(round(side * factor), part) for side, factor, part in sides)
    whole = np.ones((height, width), np.float32)
    top = min(round(area.top * factors[0]), height - contamination.shape[0])
    left = min(round(area.left * factors[1]), width - contamination.shape[1])
    whole[top : top + contamination.shape[0], left : left + contamination.shape[1]] = contamination
    return whole


def write_mask(path: Path, mask: Image, pixel_size: float) -> None:
    """Write a mask under another name first: MRC holds chances from 0 to 1, PNG grey values from 0 to 255.

    Parameters
    ----------
    path
        Where to; its ending decides the format, and its folder is made.
    mask
        (h, w) float32 in [0, 1].
    pixel_size
        Angstrom per pixel of the mask, for the MRC header.

    Raises
    ------
    GanpickError
        If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary:
            if path.suffix == ".mrc":
                with mrcfile.new(temporary) as mrc:
                    mrc.set_data(np.asarray(mask, np.float32))
                    mrc.voxel_size = pixel_size
            else:
                temporary.write_bytes(cv2.imencode(".png", np.asarray(np.rint(255 * mask), np.uint8))[1].tobytes())
    except OSError as error:
        raise GanpickError(f"{path}: the mask cannot be written ({error.strerror})") from error
