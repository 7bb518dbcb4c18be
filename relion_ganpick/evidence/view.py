"""One micrograph as the evidence sees it: its picture, and the generator's marks, smoothed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from relion_ganpick.core.blank import Mask, grown
from relion_ganpick.core.localize import MARKER_RADIUS, SMOOTHING
from relion_ganpick.core.preprocess import PARTICLE_PX

Image = NDArray[np.float32]

LEAST_MARK = 1e-4
FULL = 1 - np.exp(-0.5 * (MARKER_RADIUS / SMOOTHING) ** 2)


@dataclass(frozen=True)
class View:
    """A prepared picture with its marks.

    Attributes
    ----------
    picture
        (h, w) float32 at the working scale, normalised.
    marker
        (h, w) float32, the probability that a pixel belongs to a particle's marker.
    smooth
        (h, w) float32 in [0, 1], the marker smoothed by a tenth of a diameter; 1 is the middle of a full marker.
    contamination
        (h, w) float32, the probability that a pixel shows contamination; 0 where the model does not say.
    closed
        (h, w) bool, where no particle can be found: there is no image within half a diameter. None if there is none such.
    """

    picture: Image
    marker: Image
    smooth: Image
    contamination: Image
    closed: Mask | None = None

    @property
    def height(self) -> Image:
        """(h, w) float32, log odds of the smoothed marker, bounded at 1e-4 and 1 - 1e-4."""
        return np.asarray(logit(np.clip(self.smooth, LEAST_MARK, 1 - LEAST_MARK)), dtype=np.float32)

    @property
    def area(self) -> float:
        """Area in squared diameters of the picture where particles can be found."""
        return self.n_open / PARTICLE_PX**2

    @property
    def n_open(self) -> int:
        """Number of pixels where particles can be found."""
        return self.picture.size - (0 if self.closed is None else int(np.count_nonzero(self.closed)))

    def open_values(self, layer: Image) -> Image:
        """Values of a layer, (h, w), where particles can be found; the layer itself if that is everywhere."""
        return layer if self.closed is None or not self.n_open else layer[~self.closed]


def view_of(picture: Image, marked: Image, blank: Mask | None = None) -> View:
    """Make a view of a prepared picture, (h, w) float32, and of what the generator made of it, (c, h, w) float32.

    Where there is no image (``blank``, (h, w) bool), and near it, the view has no marks.
    """
    closed = None if blank is None else grown(blank, round(PARTICLE_PX / 2))
    if closed is not None:
        marked = np.where(closed, np.float32(0), marked)
    marker = np.ascontiguousarray(marked[0], dtype=np.float32)
    smooth = cv2.GaussianBlur(marker, (0, 0), SMOOTHING * PARTICLE_PX, borderType=cv2.BORDER_REFLECT) / np.float32(FULL)
    contamination = np.ascontiguousarray(marked[1], dtype=np.float32) if len(marked) > 1 else np.zeros_like(marker)
    return View(picture, marker, np.clip(smooth, 0, 1), contamination, closed)
