"""Local power: how strongly a micrograph varies around a pick, for the second slider of Inspect Particle Picks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.picks import Picks
from relion_ganpick.core.power import local_power
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


class RatingPicker(Picker):
    """The picker, which also takes down the local power while the picture is at hand."""

    def locate(self, prepared: Prepared, marked: NDArray[np.float32]) -> RatedPicks:
        """Turn markers into picks as `Picker` does, and rate them."""
        picks = super().locate(prepared, marked)
        in_area = Picks(picks.x - prepared.area.left, picks.y - prepared.area.top, picks.score)
        at = prepared.scale.to_working(in_area)
        diameter = self.settings.diameter / prepared.pixel_size / float(np.mean(prepared.scale.factors))
        return RatedPicks(picks.x, picks.y, picks.score, local_power(prepared.picture, at.x, at.y, diameter))
