"""From the height of a marker to a figure of merit that says how likely the pick is to be right.

What is fitted on held-out synthetic scenes (`training.validate.calibrate`): where the model has one, a rescorer, which judges the
candidates of a micrograph beside each other (`model.rescorer`), and a monotone curve, which makes a score the share of
picks that are right. A rescorer forgives a diameter that is a little wrong. Where that is what is asked for, as in
`picking.diameter`, the heights alone count (`training.validate.calibrate_heights`): a curve, and an empirical-Bayes
correction by what else is in the micrograph: where many sure particles are, a faint one is likely to be one more of them;
where there is hardly any, it is likely to be noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

Scores = NDArray[np.float64]

LEAST = 1e-3
SPARSE = 2e-3  # picks per squared diameter; where there are fewer, it hardly matters how few
RIDGE = 1e-4


def calibrated(score: Scores, calibration: Mapping[str, Sequence[float]], area: float) -> Scores:
    """Turn the scores of one micrograph's picks into figures of merit.

    Parameters
    ----------
    score
        (n,) float64 in [0, 1], of everything that the localisation found.
    calibration
        A model card's: knots ``raw`` and ``score`` of a piecewise linear curve and, where others in the micrograph are to
        count, ``context``, the three coefficients of the correction.
    area
        Of the picture, in squared diameters; without ``context`` it does not matter.

    Returns
    -------
    (n,) float64 in [0, 1], in the same order.
    """
    merit = np.interp(score, calibration["raw"], calibration["score"])
    if not len(merit) or "context" not in calibration:
        return merit
    return np.asarray(expit(context_terms(merit, area) @ np.asarray(calibration["context"])))


def context_terms(merit: Scores, area: float) -> NDArray[np.float64]:
    """Make the correction's three terms: 1, the merit's log odds, the logarithm of the expected number per squared diameter.

    Returns
    -------
    (n, 3) float64.
    """
    density = np.log(merit.sum() / area + SPARSE)
    return np.stack([np.ones(len(merit)), logit(np.clip(merit, LEAST, 1 - LEAST)), np.full(len(merit), density)], axis=1)


def fit_context(terms: NDArray[np.float64], right: NDArray[np.bool_]) -> list[float] | None:
    """Fit the three coefficients by logistic regression with a slight ridge.

    Parameters
    ----------
    terms
        (n, 3) float64, `context_terms` of all micrographs.
    right
        (n,) bool, whether a pick is one.

    Returns
    -------
    The coefficients, or None where a higher merit would not mean a better pick.
    """
    from scipy.optimize import minimize

    truth = right.astype(float)

    def cost(weights: NDArray[np.float64]) -> float:
        odds = terms @ weights
        return float(np.mean(np.logaddexp(0, odds) - truth * odds) + RIDGE * np.sum(weights**2))

    weights = minimize(cost, np.array([0.0, 1.0, 0.0])).x
    return [round(float(each), 4) for each in weights] if weights[1] > 0 else None
