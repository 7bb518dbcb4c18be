"""Markers to particle centres."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from relion_ganpick.core.localize import MARKER_RADIUS, peaks
from relion_ganpick.synthesis.pairs import markers
from relion_ganpick.synthesis.scene import random_centres

PX = 16.0


def test_every_marker_is_found_at_its_sub_pixel_centre() -> None:
    truth = random_centres((300, 400), PX, 0.4, 1.0, np.random.default_rng(3))
    truth = truth[((truth > 8) & (truth < np.array([392, 292]))).all(axis=1)]
    found = peaks(markers((300, 400), truth, MARKER_RADIUS * PX), PX, PX / 2)
    assert len(found) == len(truth) > 100
    gap = np.hypot(*(found.xy[:, None] - truth[None]).transpose(2, 0, 1)).min(axis=1)
    assert gap.max() < 0.6
    assert found.score.min() > 0.9


def test_touching_markers_are_told_apart() -> None:
    truth = np.array([[60.0, 60.0], [70.0, 60.0]])
    assert len(peaks(markers((120, 130), truth, MARKER_RADIUS * PX), PX, PX / 2)) == 2


def test_height_of_a_peak_is_the_markers_probability() -> None:
    marked = 0.6 * markers((100, 100), np.array([[50.0, 50.0]]), MARKER_RADIUS * PX)
    np.testing.assert_allclose(peaks(marked, PX, PX / 2).score, [0.6], atol=0.05)


def test_nothing_is_found_in_an_empty_image() -> None:
    assert len(peaks(np.zeros((100, 90), np.float32), PX, PX / 2)) == 0


def test_of_a_plateau_one_peak_remains() -> None:
    marked = np.ones((40, 40), np.float32)
    found = peaks(marked, PX, 100.0)
    assert len(found) == 1


@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(4, 40))
def test_peaks_lie_inside_and_keep_the_minimum_distance(seed: int, distance: float) -> None:
    rng = np.random.default_rng(seed)
    marked = rng.random((int(rng.integers(20, 90)), int(rng.integers(20, 90)))).astype(np.float32)
    found = peaks(marked, PX, distance)
    assert ((found.x >= 0) & (found.x <= marked.shape[1] - 1) & (found.y >= 0) & (found.y <= marked.shape[0] - 1)).all()
    assert ((found.score >= 0) & (found.score <= 1)).all()
    gaps = np.hypot(*(found.xy[:, None] - found.xy[None]).transpose(2, 0, 1)) + 1e9 * np.eye(len(found))
    assert len(found) < 2 or gaps.min() >= distance
