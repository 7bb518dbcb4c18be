"""The filter that a set teaches, and the candidates that it finds together with the generator's marks."""

from __future__ import annotations

import numpy as np
import pytest
from evidence_views import lattice, view_with

from relion_ganpick.core.evaluate import match
from relion_ganpick.evidence.candidates import FLOOR, MARK_WEIGHT, find_spots
from relion_ganpick.evidence.features import describe_spots
from relion_ganpick.evidence.filter import (
    FURTHEST,
    N_RINGS,
    PIXELS,
    answer,
    halves,
    learn,
    lesson_of,
    mean_filter,
    ring_means,
)
from relion_ganpick.evidence.gather import describe, describe_set, learn_filters, lessons_of
from relion_ganpick.evidence.view import LEAST_MARK, view_of
from relion_ganpick.model.judge import N_SPOT_FEATURES


def test_a_full_marker_has_height_one_and_an_empty_picture_the_least() -> None:
    view = view_with(np.array([[60.0, 50.0]]), marked=1.0)
    assert view.smooth[50, 60] == pytest.approx(1.0, abs=0.05)
    assert view.height.min() == pytest.approx(np.log(LEAST_MARK / (1 - LEAST_MARK)), abs=1e-3)
    assert view.area == 160 * 200 / 256


def test_a_model_without_a_second_output_sees_no_contamination() -> None:
    assert not view_of(np.zeros((32, 32), np.float32), np.zeros((1, 32, 32), np.float32)).contamination.any()


def test_ring_means_are_means_of_rings() -> None:
    y, x = np.mgrid[:101, :101]
    picture = np.hypot(x - 50, y - 50).astype(np.float32)
    means = ring_means(picture, np.array([50]), np.array([50]))
    assert means.shape == (1, N_RINGS)
    assert PIXELS.sum() == ((x - 50) ** 2 + (y - 50) ** 2 < 24**2).sum()
    np.testing.assert_allclose(means[0, 5:], (np.arange(5, 15) + 0.5) * 1.6, atol=0.3)
    assert ring_means(picture, np.empty(0, int), np.empty(0, int)).shape == (0, N_RINGS)


def test_the_answer_at_a_place_is_the_weighted_sum_of_its_rings() -> None:
    view = view_with(lattice())
    learned = learn([lesson_of(view)])
    places = np.array([60, 100]), np.array([70, 90])
    sums = ring_means(np.clip(view.picture, -4, 4), *places) @ learned.weights
    raw = answer(view, learned)[places[1], places[0]]
    everywhere = ring_means(np.clip(view.picture, -4, 4), *(grid.ravel() for grid in np.meshgrid(np.arange(200), np.arange(160))))
    values = everywhere @ learned.weights
    middle = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - middle))
    np.testing.assert_allclose(raw, np.clip((sums - middle) / spread, -FURTHEST, FURTHEST), atol=0.02)


def test_particles_that_the_generator_missed_are_found_by_those_that_it_marked() -> None:
    centres = lattice()
    shown = np.arange(len(centres)) % 2 == 0
    view = view_with(centres, shown=shown)
    other = view_with(centres, seed=1, shown=shown)
    _, (first, _) = describe_set([view, other])
    missed = centres[~shown]
    best = np.argsort(-first.spots.answer)[: len(centres)]
    xy = np.stack([first.spots.x, first.spots.y], axis=1)[best]
    assert match(xy, missed, 4.0).sum() >= 0.9 * len(missed)
    assert first.spots.answer[best].min() > 3


def test_too_few_seeds_give_a_disc_against_its_rim() -> None:
    learned = learn([lesson_of(view_with(np.empty((0, 2))))])
    assert learned.seeds == 0
    assert (learned.weights[:4] < 0).all()
    assert (learned.weights[6:8] > 0).all()
    view = view_with(lattice())
    spots = find_spots(view, answer(view, learned))
    assert match(np.stack([spots.x, spots.y], axis=1)[: len(lattice())], lattice(), 4.0).all()


def test_a_filter_is_never_learned_from_the_micrograph_that_it_is_applied_to() -> None:
    views = [view_with(lattice(), seed=k) for k in range(3)]
    lessons, areas = lessons_of(views)
    filters = learn_filters(lessons, areas)
    np.testing.assert_array_equal(filters.of_halves[1].weights, learn([lessons[1]]).weights)
    _, described = describe_set(views)
    np.testing.assert_array_equal(described[0].spots.answer, describe(views[0], filters, 0).spots.answer)
    at = np.rint(described[0].spots.y).astype(int), np.rint(described[0].spots.x).astype(int)
    np.testing.assert_array_equal(described[0].spots.answer, answer(views[0], filters.of_halves[1])[at])


def test_a_single_micrograph_is_cut_across_its_longer_side() -> None:
    first, second = halves((100, 200))
    assert first[:, :100].all()
    assert not first[:, 100:].any()
    assert (first ^ second).all()
    assert halves((200, 100))[0][:100].all()
    view = view_with(lattice())
    lessons, areas = lessons_of([view])
    assert len(lessons) == 2
    assert sum(areas) == view.area
    assert len(lessons[0].seeds) + len(lessons[1].seeds) == len(lesson_of(view).seeds)


def test_the_mean_filter_lies_between() -> None:
    filters = [learn([lesson_of(view_with(lattice(), seed=k))]) for k in (1, 2)]
    mean = mean_filter(filters)
    np.testing.assert_allclose(mean.weights, (filters[0].weights + filters[1].weights) / 2)
    assert mean.seeds == filters[0].seeds + filters[1].seeds


def test_candidates_are_peaks_apart_from_each_other_highest_first() -> None:
    view = view_with(lattice())
    answers = answer(view, learn([lesson_of(view)]))
    spots = find_spots(view, answers, 12.0)
    xy = np.stack([spots.x, spots.y], axis=1)
    gaps = np.linalg.norm(xy[:, None] - xy[None], axis=2) + 1e9 * np.eye(len(xy))
    assert gaps.min() >= 12
    assert (np.diff(spots.total) <= 0).all()
    assert spots.total.min() >= FLOOR
    row, column = np.rint(spots.y).astype(int), np.rint(spots.x).astype(int)
    np.testing.assert_allclose(spots.mark, view.height[row, column])
    close = spots.total - (spots.answer + MARK_WEIGHT * spots.mark)
    assert np.abs(close[: len(lattice())]).max() < 2


def test_features_are_finite_and_say_what_is_there() -> None:
    centres = lattice()
    view = view_with(centres)
    filters, (first, _) = describe_set([view, view_with(centres, seed=1)])
    features = describe_spots(view, first.spots, filters.of_halves[1], 0.5)
    assert features.shape == (len(first.spots), N_SPOT_FEATURES)
    assert np.isfinite(features).all()
    np.testing.assert_allclose(features[:, 0], first.spots.total, rtol=1e-5)
    right = match(np.stack([first.spots.x, first.spots.y], axis=1), centres, 4.0)
    assert features[right, 3].mean() < features[~right, 3].mean() - 1
    assert features[right, 12].mean() > features[~right, 12].mean() + 1
    np.testing.assert_allclose(features[:, 20], np.log(0.5 + 2e-3), rtol=1e-5)
    none = find_spots(view, np.full_like(view.picture, -8))
    assert describe_spots(view, none.__class__(*(np.empty(0),) * 5), filters.of_halves[0], 0.5).shape == (0, N_SPOT_FEATURES)
