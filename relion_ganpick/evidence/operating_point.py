"""Where to cut: the figure of merit from which a candidate is a pick, and what is expected of it.

The figures of merit are probabilities, so they say how many particles there are and how many of the picks are right. The cut
is where the expected F0.75 is largest, as van Rijsbergen's F with precision a third more important than recall. Where the
candidates of a whole set hardly reach any F, they may all be wrong together; there the cut moves to the strict one, by
degrees.

The same holds for each micrograph of a set: where its own candidates hardly reach any F, its figures of merit are lowered, so
that only those above the strict cut remain. So ice beside real particles is not picked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

BETA = 0.75
DOUBTFUL, TRUSTED = 0.2, 0.3  # expected F below which the strict cut holds, and above which the best one does
LEAST_CUT = 0.05


@dataclass(frozen=True)
class OperatingPoint:
    """A cut and what is expected of it.

    Attributes
    ----------
    cut
        Smallest figure of merit of a pick.
    strict
        The model's own threshold, which the cut never exceeds.
    best
        The figure of merit at which the expected F is largest, at most ``strict``.
    expected_f
        That largest expected F; how much speaks for particles at all.
    picks, particles
        Number of candidates above the cut, and how many of them are expected to be particles.
    """

    cut: float
    strict: float
    best: float
    expected_f: float
    picks: int
    particles: float

    @property
    def lenient(self) -> float:
        """The threshold that gives the doubtful ones as well."""
        return self.best

    @property
    def doubtful(self) -> bool:
        """Whether hardly anything speaks for particles."""
        return self.expected_f < DOUBTFUL

    def words(self) -> str:
        """Say it in one line."""
        if not self.picks:
            return f"cut at {self.cut:.2f}: no candidates above it"
        expected = f"{self.particles:,.0f} particles expected among them ({self.particles / self.picks:.0%})"
        return f"cut at {self.cut:.2f}: {self.picks:,} candidates above it, {expected}"


def expected_f(merit: Values) -> tuple[float, float]:
    """Find the cut with the largest expected F0.75.

    With k picks, s expected particles among them and t in all, F is (1 + b^2) s / (k + b^2 t), b = 0.75.

    Parameters
    ----------
    merit
        (n,) float64, probabilities of all candidates.

    Returns
    -------
    The largest expected F, and the smallest merit that is above the cut; 0 and 1 without candidates.
    """
    if not len(merit):
        return 0.0, 1.0
    falling = np.sort(merit)[::-1]
    f = (1 + BETA**2) * np.cumsum(falling) / (np.arange(1, len(falling) + 1) + BETA**2 * falling.sum())
    best = int(f.argmax())
    return float(f[best]), float(falling[best])


def operating_point(merit: Values, strict: float) -> OperatingPoint:
    """Choose the cut for a set.

    Parameters
    ----------
    merit
        (n,) float64, figures of merit of all candidates of the micrographs that are looked at.
    strict
        The model's own threshold.
    """
    most, best = expected_f(merit)
    best = float(np.clip(best, LEAST_CUT, strict))
    return counted(OperatingPoint(_between(strict, best, most), strict, best, most, 0, 0.0), merit)


def counted(point: OperatingPoint, merit: Values) -> OperatingPoint:
    """Count the candidates above the cut, (n,) float64 figures of merit, and the particles expected among them."""
    above = merit >= point.cut
    return replace(point, picks=int(above.sum()), particles=float(merit[above].sum()))


def lowered(merit: Values, point: OperatingPoint) -> Values:
    """Lower the figures of merit of a micrograph that hardly speaks for particles, so that its strict cut lies at the set's.

    Parameters
    ----------
    merit
        (n,) float64, figures of merit of its candidates.
    point
        The set's.

    Returns
    -------
    (n,) float64, in the same order of size; the same figures where enough speaks for particles.
    """
    own = _between(point.strict, point.best, expected_f(merit)[0])
    return merit * min(point.cut / own, 1.0)


def _between(strict: float, best: float, expected: float) -> float:
    """Go from the strict cut to the best one, by degrees, as the expected F rises; never above the strict one."""
    trust = float(np.clip((expected - DOUBTFUL) / (TRUSTED - DOUBTFUL), 0, 1))
    return min(float(np.floor(1e4 * strict ** (1 - trust) * best**trust) / 1e4), strict)
