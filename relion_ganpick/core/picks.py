"""Picks: particle centres with a figure of merit, and the rules that thin them out."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = tuple(k / 10 for k in range(1, 10))


def counts_above(scores: NDArray[np.float64]) -> tuple[int, ...]:
    """Count the scores at or above 0.1, 0.2 ... 0.9."""
    return tuple(int((scores >= cut).sum()) for cut in THRESHOLDS)


@dataclass(frozen=True)
class Picks:
    """Particle centres on one picture, best first; two of them are equal when all their numbers are.

    Attributes
    ----------
    x, y
        (n,) float64, column and row in pixels; (0, 0) is the centre of the first pixel.
    score
        (n,) float64, figure of merit in [0, 1].
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    score: NDArray[np.float64]

    @classmethod
    def none(cls) -> Picks:
        """No picks."""
        return cls(np.empty(0), np.empty(0), np.empty(0))

    def __len__(self) -> int:
        return len(self.x)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(np.array_equal(getattr(self, each.name), getattr(other, each.name)) for each in fields(self))

    __hash__ = None  # type: ignore[assignment]  # arrays can change

    @property
    def xy(self) -> NDArray[np.float64]:
        """(n, 2) float64, columns x and y."""
        return np.stack([self.x, self.y], axis=1)

    def where(self, keep: NDArray[np.bool_] | NDArray[np.intp]) -> Picks:
        """Select picks by a mask or by indices."""
        return Picks(self.x[keep], self.y[keep], self.score[keep])

    def above(self, threshold: float) -> Picks:
        """Keep the picks whose figure of merit is at least ``threshold``."""
        return self.where(self.score >= threshold)

    def without(self, others: Picks) -> Picks:
        """Leave out the picks that lie exactly where others do."""
        taken = set(zip(others.x.tolist(), others.y.tolist(), strict=True))
        free = [place not in taken for place in zip(self.x.tolist(), self.y.tolist(), strict=True)]
        return self.where(np.array(free, bool))

    def inside(self, left: float, top: float, right: float, bottom: float) -> Picks:
        """Keep the picks with left <= x <= right and top <= y <= bottom, all in pixels."""
        return self.where((self.x >= left) & (self.x <= right) & (self.y >= top) & (self.y <= bottom))

    def sorted(self) -> Picks:
        """Order by falling figure of merit, then by row and column."""
        return self.where(np.lexsort((self.x, self.y, -self.score)))

    def thinned(self, min_distance: float) -> Picks:
        """Drop every pick that lies closer than ``min_distance`` pixels to a better one, best first."""
        best = self.sorted()
        if len(best) < 2 or min_distance <= 0:
            return best
        from scipy.spatial import cKDTree

        pairs = cKDTree(best.xy).query_pairs(min_distance, output_type="ndarray")
        gap = np.hypot(*(best.xy[pairs[:, 0]] - best.xy[pairs[:, 1]]).T)
        pairs = pairs[gap < min_distance]
        keep = bytearray(b"\1") * len(best)
        for better, worse in pairs[np.argsort(pairs[:, 0], kind="stable")].tolist():  # a better one comes first
            if keep[better]:
                keep[worse] = 0
        return best.where(np.frombuffer(keep, bool))

    def rounded(self) -> Picks:
        """Move to whole pixels, since RELION cuts fractions off."""
        return Picks(np.rint(self.x), np.rint(self.y), self.score)
