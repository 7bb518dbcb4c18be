"""What particles that a user has kept say about all candidates of a set: a correction of their figures of merit.

Only some of the particles are approved; the others are among the candidates, unlabelled. If a share c of all particles has been
approved, whatever they look like, a candidate with the probability p is approved with c p, and is not with 1 - c p. The
correction is the logistic one that makes what was seen most likely, with c found together with it (positive-unlabelled learning:
Elkan and Noto 2008, Teisseyre et al. 2020). Where c is small, a candidate that nobody has approved hardly counts. Where it is
near 1, a sure candidate that was not approved has been rejected, and counts as wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import rankdata

from relion_ganpick.model.approved import Correction, log_odds

Values = NDArray[np.float64]
Marks = NDArray[np.bool_]

RIDGE, RIDGE_OF_FACTOR = 10.0, 40.0
SHARE_SPREAD = 0.5
LEAST_SHARE, MOST_SHARE = 0.01, 0.98
LEAST_SCALE = 1e-3
FOLDS = 4


@dataclass(frozen=True)
class Candidates:
    """Candidates of some micrographs, one micrograph after the other.

    Attributes
    ----------
    features
        (n, k) float32.
    merit
        (n,) float64, figures of merit by the model alone.
    approved
        (n,) bool, which of them the user has kept.
    micrograph
        (n,) int, number of each one's micrograph.
    """

    features: NDArray[np.float32]
    merit: Values
    approved: Marks
    micrograph: NDArray[np.intp]


def fit_correction(candidates: Candidates, rings: int = 0) -> tuple[Correction, float]:
    """Fit the correction, with a ridge that holds it to the model's own figures of merit.

    Features that are the same for all candidates of a micrograph are left out: they cannot tell one from another.

    Parameters
    ----------
    candidates
        At least one of them approved.
    rings
        Number of rings of the filter that the correction is to keep.

    Returns
    -------
    The correction, and the share of the particles that the user has approved, as far as can be told.
    """
    found = Correction(candidates.features.shape[1], rings)
    found.mean = torch.from_numpy(candidates.features.mean(axis=0))
    found.scale = torch.from_numpy(np.maximum(candidates.features.std(axis=0), LEAST_SCALE))
    use = np.nonzero(_varies(candidates))[0]
    odds, x = log_odds(candidates.merit), found.standardised(candidates.features)[:, use]
    table = np.concatenate([odds[:, None], np.ones((len(odds), 1)), x], axis=1)
    first = float(np.clip(candidates.approved.sum() / max(candidates.merit.sum(), 1.0), LEAST_SHARE, MOST_SHARE))
    values = _most_likely(table, candidates.approved, first)
    found.line = torch.from_numpy(values[:2].astype(np.float32))
    weight = np.zeros(candidates.features.shape[1], np.float32)
    weight[use] = values[2:-1]
    found.weight = torch.from_numpy(weight)
    return found, float(expit(values[-1]))


def standing(score: Values, approved: Marks) -> float:
    """Tell which share of the other candidates an approved one is ahead of, on average; a half is by chance."""
    n, n_approved = len(score), int(approved.sum())
    if not 0 < n_approved < n:
        return 0.5
    return float((rankdata(score)[approved].sum() - n_approved * (n_approved + 1) / 2) / (n_approved * (n - n_approved)))


def standing_held_back(candidates: Candidates, usual: Values | None = None, seed: int = 1) -> tuple[float, float]:
    """Compare how approved particles stand without a correction and by one that was learned without them, in four parts.

    Parameters
    ----------
    candidates
        At least four of them approved.
    usual
        (n,) float64, the figures of merit that a job would give without approved particles; by default the model's own.
    seed
        Names the random stream.
    """
    usual = candidates.merit if usual is None else usual
    which = np.nonzero(candidates.approved)[0]
    part = np.random.default_rng(seed).permutation(len(which)) % FOLDS
    before, after = [], []
    for fold in range(FOLDS):
        known, held_back = candidates.approved.copy(), np.zeros_like(candidates.approved)
        known[which[part == fold]] = False
        held_back[which[part == fold]] = True
        correction, _ = fit_correction(replace(candidates, approved=known))
        others = ~known  # what was learned from judges nothing
        score = correction.correct(candidates.merit, candidates.features)
        before.append(standing(usual[others], held_back[others]))
        after.append(standing(score[others], held_back[others]))
    return float(np.mean(before)), float(np.mean(after))


def _varies(candidates: Candidates) -> Marks:
    """Tell which features differ within micrographs, (k,) bool."""
    within = np.zeros(candidates.features.shape[1])
    for number in np.unique(candidates.micrograph):
        within = np.maximum(within, np.ptp(candidates.features[candidates.micrograph == number], axis=0))
    return np.asarray(within > LEAST_SCALE)


def _most_likely(table: Values, approved: Marks, first_share: float) -> Values:
    """Find factor, offset, weights, and the log odds of the share that make the approvals most likely, (k + 3,) float64."""
    ridge = np.full(table.shape[1], RIDGE)
    ridge[:2] = RIDGE_OF_FACTOR, 0.0
    centre = np.zeros(table.shape[1] + 1)
    centre[0], centre[-1] = 1.0, logit(first_share)

    def cost(values: Values) -> tuple[float, Values]:
        theta, share = values[:-1], float(expit(values[-1]))
        z = table @ theta
        p = expit(z)
        rest = np.clip(1 - share * p, 1e-9, 1)
        away, doubt = theta - centre[:-1], values[-1] - centre[-1]
        loss = np.logaddexp(0, -z[approved]).sum() - approved.sum() * np.log(share) - np.log(rest[~approved]).sum()
        loss += (ridge * away**2).sum() / 2 + doubt**2 / (2 * SHARE_SPREAD**2)
        by_z = np.where(approved, p - 1, share * p * (1 - p) / rest)
        by_share = (p / rest)[~approved].sum() - approved.sum() / share
        return float(loss), np.append(table.T @ by_z + ridge * away, by_share * share * (1 - share) + doubt / SHARE_SPREAD**2)

    return np.asarray(minimize(cost, centre, jac=True, method="L-BFGS-B", options={"maxiter": 1000}).x)
