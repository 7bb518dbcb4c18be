"""The figure of merit: curve, threshold, reliability; by heights alone, with what else is in the micrograph."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from candidates import empty_and_full

from relion_ganpick.core.calibration import calibrated, context_terms, fit_context
from relion_ganpick.core.evaluate import evaluate, match
from relion_ganpick.core.picks import Picks
from relion_ganpick.model.networks import UNetGenerator
from relion_ganpick.model.rescorer import fit_rescorer
from relion_ganpick.model.surroundings import N_FEATURES
from relion_ganpick.training import validate
from relion_ganpick.training.validate import (
    HeldOut,
    calibrate,
    calibrate_heights,
    figures_of,
    pick_held_out,
    reliability,
    with_rescorer,
)

CURVE = {"raw": [0.0, 0.5, 1.0], "score": [0.0, 0.8, 0.9]}


def held_out(n_scenes: int, seed: int) -> HeldOut:
    """Scenes whose picks are right as often as the square of their raw score says."""
    rng = np.random.default_rng(seed)
    items = []
    for _ in range(n_scenes):
        xy = rng.uniform(0, 320, (60, 2))
        score = rng.uniform(0.05, 1, 60)
        items.append((Picks(xy[:, 0], xy[:, 1], score), xy[rng.random(60) < score**2], 1e-6))
    return HeldOut(items, [], [400.0] * n_scenes)


def sparse_and_full(n_scenes: int, seed: int, sparse_is_false: bool) -> HeldOut:
    """Scenes of 20 x 20 diameters, in turn with 120 and 5 picks, right as often as their score says, or fewer of the sparse."""
    rng = np.random.default_rng(seed)
    items = []
    for number in range(n_scenes):
        count = 5 if number % 2 else 120
        xy = rng.uniform(0, 320, (count, 2))
        score = rng.uniform(0.05, 1, count)
        right = rng.random(count) < score * (0.2 if sparse_is_false and count == 5 else 1.0)
        items.append((Picks(xy[:, 0], xy[:, 1], score), xy[right], 1e-6))
    return HeldOut(items, [], [400.0] * n_scenes)


def meaningless(n_scenes: int, seed: int) -> HeldOut:
    """Scenes of 15 picks, right by the toss of a coin."""
    rng = np.random.default_rng(seed)
    xy, right = rng.uniform(0, 320, (n_scenes, 15, 2)), rng.random((n_scenes, 15)) < 0.5
    items = [(Picks(*xy[k].T, rng.random(15)), xy[k][right[k]], 1e-6) for k in range(n_scenes)]
    features = rng.normal(size=(n_scenes, 15, N_FEATURES)).astype(np.float32)
    return HeldOut(items, list(features), [400.0] * n_scenes)


def test_the_curve_is_linear_between_its_knots() -> None:
    np.testing.assert_allclose(calibrated(np.array([0.25, 0.5, 0.75]), CURVE, 10.0), [0.4, 0.8, 0.85])
    assert calibrated(np.empty(0), CURVE, 10.0).shape == (0,)


def test_neutral_context_changes_nothing() -> None:
    context = CURVE | {"context": [0.0, 1.0, 0.0]}
    np.testing.assert_allclose(calibrated(np.array([0.25, 0.5, 0.75]), context, 10.0), [0.4, 0.8, 0.85])


def test_the_same_height_is_worth_more_where_there_are_more() -> None:
    context, heights = CURVE | {"context": [0.5, 1.0, 0.5]}, np.array([0.25, 0.5, 0.75])
    crowded, sparse = calibrated(heights, context, 10.0), calibrated(heights, context, 1000.0)
    assert (crowded > sparse + 0.1).all()
    by_hand = 0.5 + np.log(0.8 / 0.2) + 0.5 * np.log(2.05 / 10 + 0.002)
    assert crowded[1] == pytest.approx(1 / (1 + np.exp(-by_hand)))
    assert calibrated(np.empty(0), context, 10.0).shape == (0,)


def test_logistic_fit_finds_the_coefficients_that_made_the_data() -> None:
    rng = np.random.default_rng(0)
    terms = np.concatenate([context_terms(rng.uniform(0.1, 0.95, 200), area) for area in rng.uniform(50, 5000, 400)])
    right = rng.random(len(terms)) < 1 / (1 + np.exp(-terms @ [0.8, 0.9, 0.4]))
    np.testing.assert_allclose(fit_context(terms, right), [0.8, 0.9, 0.4], atol=0.1)


def test_a_merit_that_means_the_opposite_gives_no_correction() -> None:
    terms = context_terms(np.linspace(0.1, 0.9, 100), 100.0)
    assert fit_context(terms, terms[:, 1] < 0) is None


def test_heights_learn_that_sparse_scenes_are_false() -> None:
    assert calibrate_heights(sparse_and_full(60, 1, True))["context"][2] > 0.3
    assert abs(calibrate_heights(sparse_and_full(60, 1, False))["context"][2]) < 0.2


def test_figure_of_merit_is_the_share_of_right_picks_on_other_scenes() -> None:
    calibration, threshold = calibrate(held_out(80, 1))
    others = held_out(80, 2).rescored(None, calibration)
    table = reliability(others)
    assert sum(number for _, _, number in table) == sum(len(picks) for picks, _, _ in others)
    assert sum(number > 100 for _, _, number in table) > 5
    for said, was, number in table:
        if number > 100:
            assert was == pytest.approx(said, abs=0.1)
    figures = figures_of(others, threshold)
    assert figures["f1"] == pytest.approx(2 / (1 / figures["precision"] + 1 / figures["recall"]), abs=1e-3)


def test_threshold_is_that_of_the_best_f_three_quarters() -> None:
    scenes = held_out(80, 1)
    calibration, threshold = calibrate(scenes)
    items = scenes.rescored(None, calibration)
    best = max(evaluate(items, cut).f_beta(0.75) for cut in np.linspace(0, 1, 101))
    assert evaluate(items, threshold).f_beta(0.75) == pytest.approx(best, abs=0.005)
    # A pick that is right with chance p raises F-beta as long as p > F-beta / (1 + beta^2).
    assert threshold == pytest.approx(best / (1 + 0.75**2), abs=0.08)


@pytest.fixture
def short_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rescorers learn for 300 steps and not for 1500, which is plenty for what is easily told apart."""
    monkeypatch.setattr(validate, "fit_rescorer", partial(fit_rescorer, steps=300))


@pytest.mark.usefixtures("short_trainings")
def test_a_rescorer_makes_merits_that_come_true_where_heights_do_not() -> None:
    scenes = empty_and_full(200, 1)
    rescorer, calibration, threshold = with_rescorer(scenes, seed=1, members=1)
    assert rescorer is not None
    others = empty_and_full(60, 2)
    by_height, height_threshold = calibrate(scenes)
    judged, plain = others.rescored(rescorer, calibration), others.rescored(None, by_height)
    assert figures_of(judged, threshold)["f1"] > figures_of(plain, height_threshold)["f1"] + 0.1
    for said, was, number in reliability(judged):
        if number > 100:
            assert was == pytest.approx(said, abs=0.1)


@pytest.mark.usefixtures("short_trainings")
def test_merits_do_not_believe_what_a_rescorer_learned_by_heart() -> None:
    """Features that say nothing: a rescorer knows its own scenes' answers all the same, but a merit must not."""
    scenes, others = meaningless(30, 1), meaningless(60, 2)
    rescorer, calibration, _ = with_rescorer(scenes, seed=1, members=1)
    (_, by_heart, _), *_ = reversed(reliability(scenes.rescored(rescorer)))
    assert by_heart > 0.85
    for said, was, number in reliability(others.rescored(rescorer, calibration)):
        if number > 50:
            assert was == pytest.approx(said, abs=0.15)


def test_without_members_heights_count() -> None:
    rescorer, calibration, threshold = with_rescorer(empty_and_full(20, 1), seed=1, members=0)
    assert rescorer is None
    assert (calibration, threshold) == calibrate(empty_and_full(20, 1))


def test_a_pick_is_right_once() -> None:
    scenes = empty_and_full(2, 1)
    for (picks, truth, reach), judged in zip(scenes.items, scenes.judged(), strict=True):
        np.testing.assert_array_equal(judged.right, match(picks.xy, truth, reach))


def test_scenes_that_other_processes_made_are_the_same() -> None:
    torch.manual_seed(1)
    generator = UNetGenerator(4, 2, 2).eval()
    here, there = (pick_held_out(generator, torch.device("cpu"), 1, range(5, 8), None, workers) for workers in (0, 2))
    assert here.areas == there.areas
    for mine, theirs in zip(here.items, there.items, strict=True):
        np.testing.assert_array_equal(mine[0].xy, theirs[0].xy)
        np.testing.assert_array_equal(mine[1], theirs[1])
    np.testing.assert_array_equal(np.concatenate(here.features), np.concatenate(there.features))
    assert len(here.features) == 3
    assert sum(len(truth) for _, truth, _ in here.items) > 0
