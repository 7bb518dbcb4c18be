"""The cut of a set: where the expected F is largest, never above the strict one, moving smoothly to it where all may be wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relion_ganpick.evidence.operating_point import DOUBTFUL, LEAST_CUT, TRUSTED, expected_f, lowered, operating_point


def test_sure_candidates_and_noise_are_told_apart() -> None:
    merit = np.array([0.95] * 50 + [0.02] * 500)
    most, best = expected_f(merit)
    s, t, k = 50 * 0.95, 50 * 0.95 + 10, 50
    assert best == 0.95
    assert most == pytest.approx(1.5625 * s / (k + 0.5625 * t))


def test_expected_f_is_the_largest_over_all_cuts() -> None:
    merit = np.random.default_rng(1).beta(0.4, 1.0, 300)
    by_hand = [1.5625 * merit[merit >= c].sum() / ((merit >= c).sum() + 0.5625 * merit.sum()) for c in merit]
    most, best = expected_f(merit)
    assert most == pytest.approx(max(by_hand))
    assert best == merit[int(np.argmax(by_hand))]


def test_faint_but_trusted_sets_are_cut_low() -> None:
    point = operating_point(np.random.default_rng(2).uniform(0.2, 0.6, 400), 0.5)
    assert point.expected_f > 0.4
    assert point.cut == pytest.approx(point.expected_f / 1.5625, abs=0.01)  # where one more pick neither gains nor costs
    assert point.picks == pytest.approx(400 * (0.6 - point.cut) / 0.4, abs=30)


def test_without_anything_that_speaks_for_particles_the_strict_cut_holds() -> None:
    point = operating_point(np.full(300, 0.05), 0.5)
    assert point.doubtful
    assert point.cut == pytest.approx(0.5, abs=1e-4)
    assert point.picks == 0
    assert point.lenient == LEAST_CUT
    assert "no candidates" in point.words()


def test_no_candidates_at_all() -> None:
    point = operating_point(np.empty(0), 0.5)
    assert (point.expected_f, point.cut, point.picks, point.particles) == (0.0, 0.5, 0, 0.0)


def test_the_cut_moves_smoothly_between_doubt_and_trust() -> None:
    merits = [np.concatenate([np.full(100, height), np.full(400, 0.01)]) for height in np.linspace(0.1, 0.6, 101)]
    points = [operating_point(merit, 0.5) for merit in merits]
    assert points[0].expected_f < DOUBTFUL
    assert points[-1].expected_f > TRUSTED
    steps = np.abs(np.diff([point.cut for point in points]))
    assert steps.max() < 0.06


def test_words_tell_cut_picks_and_share() -> None:
    point = operating_point(np.array([0.8] * 1500), 0.5)
    assert point.words() == "cut at 0.50: 1,500 candidates above it, 1,200 particles expected among them (80%)"


@given(st.lists(st.floats(0, 1), max_size=60), st.floats(0.1, 0.9))
def test_the_cut_never_exceeds_the_strict_one(merit: list[float], strict: float) -> None:
    point = operating_point(np.array(merit), strict)
    assert 0 < point.cut <= strict
    assert 0 <= point.particles <= point.picks <= len(merit)


FULL = np.concatenate([np.full(200, 0.45), np.full(400, 0.01)])
ICE = np.concatenate([[0.7, 0.7], np.full(5, 0.46), np.full(1000, 0.05)])


def test_a_micrograph_that_hardly_speaks_for_particles_keeps_its_sure_ones_only() -> None:
    point = operating_point(np.concatenate([FULL, FULL, FULL]), 0.6)
    assert point.cut == 0.45
    assert expected_f(ICE)[0] < DOUBTFUL
    assert len(ICE[point.cut <= ICE]) == 7
    assert (lowered(ICE, point) >= point.cut).sum() == 2


def test_a_micrograph_that_speaks_for_particles_keeps_its_figures() -> None:
    point = operating_point(np.concatenate([FULL, FULL, ICE]), 0.6)
    assert lowered(FULL, point).tolist() == FULL.tolist()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0.1, 0.9))
def test_alone_in_its_set_a_micrograph_keeps_its_figures(merit: list[float], strict: float) -> None:
    values = np.array(merit)
    assert lowered(values, operating_point(values, strict)).tolist() == merit


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.lists(st.floats(0, 1), max_size=60), st.floats(0.1, 0.9))
def test_lowering_keeps_the_order_and_raises_nothing(merit: list[float], others: list[float], strict: float) -> None:
    values = np.sort(merit)
    after = lowered(values, operating_point(np.concatenate([values, others]), strict))
    assert (after <= values).all()
    assert (np.diff(after) >= 0).all()
