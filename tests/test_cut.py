"""The choice among scored picks, by figure of merit and by rank."""

from __future__ import annotations

import argparse
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relion_ganpick.core.cut import Cut
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.options import share_of
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.formats.pick_files import cut_digest

SCORES = st.lists(st.integers(0, 20).map(lambda k: k / 20), max_size=20)


def scored(scores: list[float]) -> Picks:
    return Picks(np.arange(len(scores), dtype=float), np.zeros(len(scores)), np.array(scores, float))


@given(SCORES, st.integers(0, 20).map(lambda k: k / 20), st.integers(1, 100).map(lambda k: k / 100), st.integers(1, 25))
def test_what_is_kept_is_above_the_threshold_and_better_than_the_rest(
    scores: list[float], threshold: float, best: float, most: int
) -> None:
    picks, cut = scored(scores), Cut(threshold, best, most)
    kept = cut.keep(picks)
    above = picks.above(threshold)
    assert len(kept) == min(math.ceil(round(best * len(above), 6)), most)
    assert (np.diff(kept.x) > 0).all()  # in the order that they had
    left_out = np.setdiff1d(above.x, kept.x).astype(int)
    if len(left_out) and len(kept):
        assert picks.score[left_out].max() <= kept.score.min()


def test_of_equal_picks_the_first_are_kept() -> None:
    assert Cut(0.0, most=2).keep(scored([0.5, 0.9, 0.5, 0.5])).x.tolist() == [0, 1]
    assert Cut(0.0, 0.5).keep(scored([0.5] * 5)).x.tolist() == [0, 1, 2]


def test_threshold_alone_keeps_the_fingerprint_of_earlier_files() -> None:
    assert cut_digest("abc", *Cut(0.25).key) == cut_digest("abc", 0.25)
    assert len({cut_digest("abc", *cut.key) for cut in (Cut(0.25), Cut(0.25, 0.5), Cut(0.25, None, 3), Cut(0.25, 0.5, 3))}) == 4


@pytest.mark.parametrize(("text", "value"), [("70%", 0.7), (" 70 % ", 0.7), ("0.7", 0.7), ("100%", 1.0), ("1", 1.0)])
def test_share_is_read_with_and_without_percent(text: str, value: float) -> None:
    assert share_of(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["70", "0", "0%", "101%", "-5%", "half", "nan", ""])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"70% or 0\.7"):
        share_of(text)


@pytest.mark.parametrize(
    ("more", "message"), [({"best": 0.0}, "`best` 0"), ({"best": 2.0}, "`best` 2"), ({"most": 0}, "`most` 0")]
)
def test_settings_refuse_what_keeps_nothing_or_makes_no_sense(more: dict[str, float], message: str) -> None:
    with pytest.raises(GanpickError, match=message):
        PickSettings(100.0, **more)  # type: ignore[arg-type]
