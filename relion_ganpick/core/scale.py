"""The one place where coordinates change between the working scale and the micrograph as it is on disk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relion_ganpick.core.picks import Picks


@dataclass(frozen=True)
class Scale:
    """Sizes of the same picture on disk and at the working scale.

    The centre of the first pixel is 0 in both, so that x_file = (x_working + 1/2) * w_file / w_working - 1/2.

    Attributes
    ----------
    file_shape, working_shape
        (h, w) in pixels.
    """

    file_shape: tuple[int, int]
    working_shape: tuple[int, int]

    @property
    def factors(self) -> tuple[float, float]:
        """Pixels on disk per working pixel, (along x, along y)."""
        return self.file_shape[1] / self.working_shape[1], self.file_shape[0] / self.working_shape[0]

    def to_file(self, picks: Picks) -> Picks:
        """Move picks from the working scale to pixels of the file."""
        fx, fy = self.factors
        return Picks((picks.x + 0.5) * fx - 0.5, (picks.y + 0.5) * fy - 0.5, picks.score)

    def to_working(self, picks: Picks) -> Picks:
        """Move picks from pixels of the file to the working scale."""
        fx, fy = self.factors
        return Picks((picks.x + 0.5) / fx - 0.5, (picks.y + 0.5) / fy - 0.5, picks.score)


def working_scale(file_shape: tuple[int, int], diameter_px: float, particle_px: float) -> Scale:
    """Scale at which a particle of ``diameter_px`` pixels on disk is ``particle_px`` wide."""
    factor = particle_px / diameter_px
    height, width = (max(int(np.rint(side * factor)), 1) for side in file_shape)
    return Scale(file_shape, (height, width))
