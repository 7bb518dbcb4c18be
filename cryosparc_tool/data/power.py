"""Local power: how strongly a micrograph varies around a pick, for the second slider of Inspect Particle Picks."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.picks import Picks
from relion_ganpick.picking.picker import Picker, Prepared

Column = NDArray[np.float64]
UNKNOWN = 1.0
"""Power of coordinates that were not picked by us: that of an average place."""


@dataclass(frozen=True, eq=False)
class RatedPicks(Picks):
    """Picks with their local power.

    Attributes
    ----------
    power
        (n,) float64, mean square of the background-free micrograph within one diameter around the pick, over that of
        the whole micrograph. About 1 in an average place, much more on ice crystals, carbon edges and gold.
    """

    power: Column = field(default_factory=lambda: np.empty(0))

    def where(self, keep: NDArray[np.bool_] | NDArray[np.intp]) -> RatedPicks:
        """Select picks by a mask or by indices."""
        return RatedPicks(self.x[keep], self.y[keep], self.score[keep], self.power[keep])


def rated(picks: Picks) -> RatedPicks:
    """Give picks without power that of an average place."""
    return picks if isinstance(picks, RatedPicks) else RatedPicks(picks.x, picks.y, picks.score, np.full(len(picks), UNKNOWN))


def local_power(picture: NDArray[np.float32], x: Column, y: Column, diameter_px: float) -> Column:
    """Mean square within a disc around points, over the mean square of the whole picture.

    Parameters
    ----------
    picture
        (h, w) float32, without the micrograph's slow background.
    x, y
        (n,) float64, pixels of the picture.
    diameter_px
        Diameter of the disc in pixels of the picture.

    Returns
    -------
    (n,) float64.
    """
    square = np.square(picture - picture.mean(), dtype=np.float32)
    radius = max(int(diameter_px / 2), 1)
    steps = np.arange(-radius, radius + 1)
    disc = (np.hypot(*np.meshgrid(steps, steps)) <= max(diameter_px / 2, 1)).astype(np.float32)
    area = cv2.filter2D(np.ones_like(square), -1, disc, borderType=cv2.BORDER_CONSTANT)
    mean = cv2.filter2D(square, -1, disc, borderType=cv2.BORDER_CONSTANT) / np.maximum(area, 1)
    rows = np.clip(np.rint(y).astype(int), 0, picture.shape[0] - 1)
    columns = np.clip(np.rint(x).astype(int), 0, picture.shape[1] - 1)
    here = np.maximum(np.asarray(mean, float)[rows, columns], 0) / max(float(square.mean(dtype=float)), 1e-12)
    return np.asarray(np.round(here, 4), float)


class RatingPicker(Picker):
    """The picker, which also takes down the local power while the picture is at hand."""

    def locate(self, prepared: Prepared, marked: NDArray[np.float32]) -> RatedPicks:
        """Turn markers into picks as `Picker` does, and rate them."""
        picks = super().locate(prepared, marked)
        in_area = Picks(picks.x - prepared.area.left, picks.y - prepared.area.top, picks.score)
        at = prepared.scale.to_working(in_area)
        diameter = self.settings.diameter / prepared.pixel_size / float(np.mean(prepared.scale.factors))
        return RatedPicks(picks.x, picks.y, picks.score, local_power(prepared.picture, at.x, at.y, diameter))
