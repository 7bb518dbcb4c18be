"""Positive-unlabelled learning on made-up candidates, where it is known which are particles."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from relion_ganpick.adaptation.approved_fit import Candidates, fit_correction, standing, standing_held_back

N_MICROGRAPHS, PER_MICROGRAPH, N_FEATURES = 4, 500, 6
TELLING, OF_MICROGRAPH = 2, 5


def candidates(share: float, seed: int = 1) -> tuple[Candidates, np.ndarray]:
    """Candidates of which 40 % are particles; the model sees only a part of what tells them, one more feature sees the rest."""
    rng = np.random.default_rng(seed)
    n = N_MICROGRAPHS * PER_MICROGRAPH
    right = rng.random(n) < 0.4
    features = rng.normal(size=(n, N_FEATURES))
    features[:, TELLING] += np.where(right, 1.2, -1.2)
    micrograph = np.repeat(np.arange(N_MICROGRAPHS), PER_MICROGRAPH)
    features[:, OF_MICROGRAPH] = micrograph
    merit = expit(np.where(right, 0.7, -1.2) + rng.normal(size=n))
    approved = right & (rng.random(n) < share)
    return Candidates(features.astype(np.float32), merit, approved, micrograph), right


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_correction_tells_particles_from_others_and_finds_the_share(share: float) -> None:
    known, _ = candidates(share)
    correction, found = fit_correction(known)
    other, other_right = candidates(share, seed=2)
    merit = correction.correct(other.merit, other.features)
    assert standing(other.merit, other_right) < 0.93
    assert standing(merit, other_right) > 0.95
    assert found == pytest.approx(share, rel=0.35)
    assert merit.sum() == pytest.approx(other_right.sum(), rel=0.35)
    assert int(correction.weight.abs().argmax()) == TELLING


def test_what_is_the_same_all_over_a_micrograph_tells_nothing() -> None:
    correction, _ = fit_correction(candidates(0.3)[0])
    assert correction.weight[OF_MICROGRAPH] == 0


def test_sure_candidates_count_as_wrong_only_where_nearly_all_particles_have_been_approved() -> None:
    """A thousand look-alikes have the same features as particles but for one, and the model is sure of them."""
    for share, lowest, highest in ((0.95, 0.0, 0.3), (0.05, 0.5, 1.0)):
        rng = np.random.default_rng(3)
        right = np.repeat([True, False], 400)
        features = np.stack([np.where(right, 1.0, -1.0) + rng.normal(0, 0.3, 800), rng.normal(size=800)], axis=1).astype(
            np.float32
        )
        approved = right & (rng.random(800) < share)
        if share < 0.5:
            features[:, 0] = rng.normal(size=800)  # nothing tells them apart: nobody is rejected
        merit = fit_correction(Candidates(features, np.full(800, 0.9), approved, np.zeros(800, int)))[0].correct(
            np.full(800, 0.9), features
        )
        assert lowest <= merit[~right].mean() <= highest


def test_held_back_particles_show_whether_something_was_learned() -> None:
    before, after = standing_held_back(candidates(0.2)[0])
    assert after > before + 0.02
    known, _ = candidates(0.2)
    noise = Candidates(
        np.random.default_rng(1).normal(size=known.features.shape).astype(np.float32),
        known.merit,
        known.approved,
        known.micrograph,
    )
    before, after = standing_held_back(noise)
    assert after < before + 0.01


def test_standing_of_the_best_is_one_and_of_chance_a_half() -> None:
    score = np.arange(10.0)
    assert standing(score, score > 7) == 1
    assert standing(score, score < 2) == 0
    assert standing(np.zeros(10), score > 7) == 0.5
    assert standing(score, score > 99) == 0.5
