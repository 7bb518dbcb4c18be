"""The figure of merit: curve, correction by what else is in the micrograph, and how it is fitted."""

from __future__ import annotations

import numpy as np
import pytest

from relion_ganpick.core.calibration import calibrated, features, fit_context, rescored
from relion_ganpick.core.picks import Picks
from relion_ganpick.model.validate import HeldOut, calibrate, reliability

CURVE = {"raw": [0.0, 0.5, 1.0], "score": [0.0, 0.8, 0.9]}
RAW = np.array([0.25, 0.5, 0.75])


def held_out(n_scenes: int, seed: int, sparse_is_false: bool) -> HeldOut:
    """Scenes of 20 x 20 diameters whose picks are right as often as their raw score says, in sparse scenes less often."""
    rng = np.random.default_rng(seed)
    items = []
    for number in range(n_scenes):
        count = 5 if number % 2 else 120
        xy = rng.uniform(0, 320, (count, 2))
        score = rng.uniform(0.05, 1, count)
        right = rng.random(count) < score * (0.2 if sparse_is_false and count == 5 else 1.0)
        items.append((Picks(xy[:, 0], xy[:, 1], score), xy[right], 1e-6))
    return HeldOut(items, [400.0] * n_scenes)


def test_without_context_the_curve_alone_counts() -> None:
    np.testing.assert_allclose(calibrated(RAW, 10.0, CURVE), [0.4, 0.8, 0.85])


def test_neutral_context_changes_nothing() -> None:
    np.testing.assert_allclose(calibrated(RAW, 10.0, CURVE | {"context": [0.0, 1.0, 0.0]}), [0.4, 0.8, 0.85])


def test_the_same_pick_is_worth_more_where_there_are_more() -> None:
    context = CURVE | {"context": [0.5, 1.0, 0.5]}
    crowded, sparse = calibrated(RAW, 10.0, context), calibrated(RAW, 1000.0, context)
    assert (crowded > sparse + 0.1).all()
    by_hand = 0.5 + np.log(0.8 / 0.2) + 0.5 * np.log(2.05 / 10 + 0.002)
    assert crowded[1] == pytest.approx(1 / (1 + np.exp(-by_hand)))


def test_no_picks_stay_no_picks() -> None:
    assert calibrated(np.empty(0), 10.0, CURVE | {"context": [0.5, 1.0, 0.5]}).shape == (0,)


def test_rescored_picks_keep_their_places() -> None:
    picks = rescored(Picks(np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([0.5, 1.0])), 10.0, CURVE)
    np.testing.assert_allclose((picks.x, picks.y, picks.score), ([1, 2], [3, 4], [0.8, 0.9]))


def test_logistic_fit_finds_the_coefficients_that_made_the_data() -> None:
    rng = np.random.default_rng(0)
    terms = np.concatenate([features(rng.uniform(0.1, 0.95, 200), area) for area in rng.uniform(50, 5000, 400)])
    right = rng.random(len(terms)) < 1 / (1 + np.exp(-terms @ [0.8, 0.9, 0.4]))
    np.testing.assert_allclose(fit_context(terms, right), [0.8, 0.9, 0.4], atol=0.1)


def test_a_score_that_means_the_opposite_gives_no_correction() -> None:
    terms = features(np.linspace(0.1, 0.9, 100), 100.0)
    assert fit_context(terms, terms[:, 1] < 0) is None


def test_calibration_learns_that_sparse_scenes_are_false() -> None:
    learned, _, _ = calibrate(held_out(60, 1, True))
    indifferent, _, _ = calibrate(held_out(60, 1, False))
    assert learned["context"][2] > 0.3
    assert abs(indifferent["context"][2]) < 0.2


def test_figure_of_merit_is_the_share_of_right_picks_on_other_scenes() -> None:
    calibration, threshold, figures = calibrate(held_out(80, 1, True))
    table = reliability(held_out(80, 2, True), calibration)
    assert sum(number for _, _, number in table) == sum(len(picks) for picks, _, _ in held_out(80, 2, True).items)
    for said, was, number in table:
        if number > 100:
            assert was == pytest.approx(said, abs=0.1)
    assert 0 < threshold < 1
    assert figures["f1"] == pytest.approx(2 / (1 / figures["precision"] + 1 / figures["recall"]), abs=1e-3)
