"""Picks: thresholds, edges, minimum distance."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from cryosparc_tool.data.power import RatedPicks
from relion_ganpick.core.picks import Picks

COORDINATE = st.floats(-50, 500, width=32)
SETS = st.lists(st.tuples(COORDINATE, COORDINATE, st.floats(0, 1, width=16)), max_size=40)


def made(rows: list[tuple[float, float, float]]) -> Picks:
    table = np.array(rows, float).reshape(-1, 3)
    return Picks(table[:, 0], table[:, 1], table[:, 2])


def rows_of(picks: Picks) -> list[tuple[float, float, float]]:
    return list(zip(picks.x.tolist(), picks.y.tolist(), picks.score.tolist(), strict=True))


def test_no_picks_are_empty_and_stay_so() -> None:
    none = Picks.none()
    assert len(none) == 0
    assert none.xy.shape == (0, 2)
    assert len(none.above(0).inside(0, 0, 9, 9).sorted().thinned(3).rounded()) == 0


def test_picks_are_equal_when_all_their_numbers_are() -> None:
    picks = made([(1, 1, 0.2), (2, 2, 0.5)])
    assert picks == made([(1, 1, 0.2), (2, 2, 0.5)])
    assert Picks.none() == Picks.none()
    for other in ([(1, 1, 0.2)], [(1, 1, 0.2), (2, 2, 0.6)], [(1, 1, 0.2), (2, 3, 0.5)], [(0, 1, 0.2), (2, 2, 0.5)]):
        assert picks != made(other)
    assert picks != rows_of(picks)


def test_picks_with_power_are_other_picks() -> None:
    picks = made([(1, 1, 0.2), (2, 2, 0.5)])
    rated = RatedPicks(picks.x, picks.y, picks.score, np.array([1.0, 2.0]))
    assert rated == RatedPicks(picks.x, picks.y, picks.score, np.array([1.0, 2.0]))
    assert rated != RatedPicks(picks.x, picks.y, picks.score, np.array([1.0, 3.0]))
    assert rated != picks


def test_threshold_keeps_the_pick_that_equals_it() -> None:
    picks = made([(1, 1, 0.2), (2, 2, 0.5), (3, 3, 0.7)])
    assert rows_of(picks.above(0.5)) == [(2, 2, 0.5), (3, 3, 0.7)]


def test_edges_belong_to_the_inside() -> None:
    picks = made([(10, 20, 1), (9.9, 20, 1), (30, 40, 1), (30, 40.1, 1), (15, 19, 1)])
    assert rows_of(picks.inside(10, 20, 30, 40)) == [(10, 20, 1), (30, 40, 1)]


def test_best_come_first_and_equals_are_ordered_by_row_then_column() -> None:
    picks = made([(5, 9, 0.5), (7, 2, 0.5), (1, 9, 0.5), (3, 3, 0.9)])
    assert rows_of(picks.sorted()) == [(3, 3, 0.9), (7, 2, 0.5), (1, 9, 0.5), (5, 9, 0.5)]


def test_minimum_distance_drops_the_worse_of_two_but_not_its_other_neighbour() -> None:
    chain = made([(0, 0, 0.9), (8, 0, 0.8), (16, 0, 0.7)])
    assert rows_of(chain.thinned(10)) == [(0, 0, 0.9), (16, 0, 0.7)]


def test_picks_exactly_at_the_minimum_distance_stay() -> None:
    assert len(made([(0, 0, 0.9), (3, 4, 0.8)]).thinned(5)) == 2
    assert len(made([(0, 0, 0.9), (3, 4, 0.8)]).thinned(5.001)) == 1


def test_rounding_goes_to_the_nearest_pixel_and_keeps_the_score() -> None:
    assert rows_of(made([(1.6, 2.4, 0.33), (-0.4, 7.51, 0.5)]).rounded()) == [(2, 2, 0.33), (0, 8, 0.5)]


@settings(max_examples=60, deadline=None)
@given(SETS, st.floats(0.5, 100))
def test_thinned_picks_keep_their_distance_and_every_dropped_one_has_a_better_neighbour(
    rows: list[tuple[float, float, float]], distance: float
) -> None:
    picks = made(rows)
    kept = picks.thinned(distance)
    assert set(rows_of(kept)) <= set(rows_of(picks))
    gaps = cdist(kept.xy, kept.xy) + np.diag(np.full(len(kept), np.inf))
    assert (gaps >= distance).all()
    for x, y, score in set(rows_of(picks)) - set(rows_of(kept)):
        assert ((np.hypot(kept.x - x, kept.y - y) < distance) & (kept.score >= score)).any()


@settings(max_examples=40, deadline=None)
@given(SETS, st.floats(0.5, 100), st.randoms(use_true_random=False))
def test_thinning_does_not_depend_on_the_order_and_repeats_without_change(
    rows: list[tuple[float, float, float]], distance: float, random: object
) -> None:
    once = made(rows).thinned(distance)
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert rows_of(made(shuffled).thinned(distance)) == rows_of(once)
    assert rows_of(once.thinned(distance)) == rows_of(once)


@settings(max_examples=40, deadline=None)
@given(SETS, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_keeps_a_part_of_what_a_lower_one_keeps(
    rows: list[tuple[float, float, float]], one: float, other: float
) -> None:
    picks = made(rows)
    low, high = sorted((one, other))
    assert rows_of(picks.above(low).above(high)) == rows_of(picks.above(high))
