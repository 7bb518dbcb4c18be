"""From the height of a marker to a figure of merit that says how likely the pick is to be right.

What is fitted on held-out synthetic scenes (`model.validate.calibrate`): where the model has one, a rescorer, which judges the
candidates of a micrograph beside each other (`model.rescorer`), and a monotone curve, which makes a score the share of
picks that are right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]


def calibrated(score: Scores, calibration: Mapping[str, Sequence[float]]) -> Scores:
    """Turn scores into figures of merit.

    Parameters
    ----------
    score
        (n,) float64 in [0, 1].
    calibration
        The model card's: knots ``raw`` and ``score`` of a piecewise linear curve.

    Returns
    -------
    (n,) float64 in [0, 1], in the same order.
    """
    return np.interp(score, calibration["raw"], calibration["score"])
