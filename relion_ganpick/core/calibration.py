"""From the height of a marker to a figure of merit that says how likely the pick is to be right.

Two steps, both fitted on held-out synthetic scenes (`model.validate.calibrate`): a monotone curve through the raw scores, and
an empirical-Bayes correction by what else is in the micrograph: where many sure particles are, a faint one is likely to
be one more of them; where there is hardly any, it is likely to be noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from relion_ganpick.core.picks import Picks

Scores = NDArray[np.float64]

LEAST = 1e-3
SPARSE = 2e-3
RIDGE = 1e-4


def calibrated(raw: Scores, area: float, calibration: Mapping[str, Sequence[float]]) -> Scores:
    """Turn the raw scores of one micrograph's picks into figures of merit.

    Parameters
    ----------
    raw
        (n,) float64 in [0, 1], of everything that the localisation found.
    area
        Of the picture, in squared diameters.
    calibration
        The model card's: knots ``raw`` and ``score``, and ``context``, the three coefficients of the correction; without
        them there is none.

    Returns
    -------
    (n,) float64 in [0, 1], in the same order.
    """
    score = np.interp(raw, calibration["raw"], calibration["score"])
    if not len(score) or "context" not in calibration:
        return score
    return np.asarray(expit(features(score, area) @ np.asarray(calibration["context"])))


def rescored(picks: Picks, area: float, calibration: Mapping[str, Sequence[float]]) -> Picks:
    """Give the picks of one micrograph their figures of merit in place of raw scores."""
    return Picks(picks.x, picks.y, calibrated(picks.score, area, calibration))


def features(score: Scores, area: float) -> NDArray[np.float64]:
    """Make the three terms of the correction: 1, the score's log odds, the logarithm of the expected number per squared diameter.

    Returns
    -------
    (n, 3) float64.
    """
    density = np.log(score.sum() / area + SPARSE)
    return np.stack([np.ones(len(score)), logit(np.clip(score, LEAST, 1 - LEAST)), np.full(len(score), density)], axis=1)


def fit_context(terms: NDArray[np.float64], right: NDArray[np.bool_]) -> list[float] | None:
    """Fit the three coefficients by logistic regression with a slight ridge.

    Parameters
    ----------
    terms
        (n, 3) float64, `features` of all micrographs.
    right
        (n,) bool, whether a pick is one.

    Returns
    -------
    The coefficients, or None where a higher score would not mean a better pick.
    """
    truth = right.astype(float)

    def cost(weights: NDArray[np.float64]) -> float:
        odds = terms @ weights
        return float(np.mean(np.logaddexp(0, odds) - truth * odds) + RIDGE * np.sum(weights**2))

    weights = minimize(cost, np.array([0.0, 1.0, 0.0])).x
    return [round(float(each), 4) for each in weights] if weights[1] > 0 else None
