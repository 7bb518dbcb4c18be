"""Average shapes of sure particles and how they are added to micrographs."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from relion_ganpick.adaptation.averages import HALF, class_averages, cut_out, free_places, paste, pooled
from relion_ganpick.core.preprocess import PARTICLE_PX

SIDE = 2 * HALF + 1
STEPS = np.arange(SIDE) - HALF


def bar(angle: float) -> np.ndarray:
    """An elongated particle of 12 x 4 pixels at an angle in degrees, with a knob at one end."""
    picture = np.zeros((SIDE, SIDE), np.float32)
    picture[HALF - 2 : HALF + 3, HALF - 6 : HALF + 7] = -2
    picture[HALF - 4 : HALF + 1, HALF + 3 : HALF + 7] = -2
    return cv2.warpAffine(picture, cv2.getRotationMatrix2D((HALF, HALF), angle, 1.0), (SIDE, SIDE))


def ring() -> np.ndarray:
    away = np.hypot(STEPS[:, None], STEPS[None, :])
    return np.where(abs(away - 6) < 1.5, -2, 0).astype(np.float32)


def noisy(shapes: list[np.ndarray], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (np.stack(shapes) + 0.7 + rng.normal(0, 1, (len(shapes), SIDE, SIDE))).astype(np.float32)


def likeness(average: np.ndarray, shape: np.ndarray) -> float:
    """The best correlation of an average with a shape in any rotation."""
    inside = np.hypot(STEPS[:, None], STEPS[None, :]) < 0.5 * PARTICLE_PX
    turned = [cv2.warpAffine(shape, cv2.getRotationMatrix2D((HALF, HALF), a, 1.0), (SIDE, SIDE)) for a in range(0, 360, 5)]
    return max(float(np.corrcoef(average[inside], each[inside])[0, 1]) for t in turned for each in (t, t[:, ::-1]))


def test_turned_copies_of_one_particle_average_to_it() -> None:
    rng = np.random.default_rng(1)
    averages = class_averages(noisy([bar(angle) for angle in rng.uniform(0, 360, 39)]), 1)
    assert len(averages) == 1
    assert likeness(averages[0], bar(0)) > 0.9


def test_two_kinds_of_particle_fall_into_classes_of_their_own() -> None:
    rng = np.random.default_rng(2)
    averages = class_averages(noisy([bar(angle) for angle in rng.uniform(0, 360, 100)] + [ring()] * 100), 1)
    bars, rings = (np.array([likeness(each, shape) for each in averages]) for shape in (bar(0), ring()))
    assert len(averages) > 1
    assert (np.maximum(bars, rings) > 0.8).all()
    assert (bars > rings).any()
    assert (rings > bars).any()


def test_averages_lie_on_zero_and_fade_out() -> None:
    (average,) = class_averages(noisy([ring()] * 30), 1)
    away = np.hypot(STEPS[:, None], STEPS[None, :]) / PARTICLE_PX
    assert (average[away > 0.8] == 0).all()
    assert abs(average[(away > 0.6) & (away < 0.8)].mean()) < 0.1
    assert average[HALF, HALF + 6] == pytest.approx(-2, abs=0.7)


def test_averages_repeat_for_a_seed() -> None:
    patches = noisy([bar(angle) for angle in range(0, 360, 3)])
    np.testing.assert_array_equal(class_averages(patches, 1), class_averages(patches, 1))
    assert class_averages(patches[:0], 1).shape == (0, SIDE, SIDE)


def test_particles_are_cut_out_with_the_centre_in_the_middle() -> None:
    picture = np.arange(60 * 70, dtype=np.float32).reshape(60, 70)
    found = cut_out(picture, np.array([[30.0, 25.0], [3.0, 25.0], [30.0, 59.0]]))
    assert found.shape == (1, SIDE, SIDE)
    assert found[0, HALF, HALF] == picture[25, 30]
    assert pooled([picture, picture], [np.array([[30.0, 25.0]]), np.empty((0, 2))]).shape == (1, SIDE, SIDE)
    assert pooled([picture], [np.empty((0, 2))]).shape == (0, SIDE, SIDE)


def test_places_keep_their_distance_and_what_is_forbidden() -> None:
    rng = np.random.default_rng(3)
    allowed = np.ones((120, 100), bool)
    allowed[:60] = False
    taken = np.array([[50.0, 90.0], [20.0, 70.0]])
    places = free_places(allowed, taken, 8, (10.0, 12.0), rng)
    assert len(places) == 8
    assert (places[:, 1] > 59).all()
    together = np.concatenate([taken, places])
    gaps = np.hypot(*(together[:, None] - together[None]).transpose(2, 0, 1)) + 1000 * np.eye(len(together))
    assert gaps.min() >= 10
    assert (gaps[2:].min(axis=1) < 12.2).sum() >= 2
    assert free_places(np.zeros((50, 50), bool), taken, 4, (10.0, 12.0), rng).shape == (0, 2)
    assert free_places(allowed, np.empty((0, 2)), 0, (10.0, 12.0), rng).shape == (0, 2)


def test_pasted_particles_lie_where_they_are_said_to() -> None:
    away = np.hypot(STEPS[:, None], STEPS[None, :])
    spot = np.exp(-0.5 * (away / 3) ** 2).astype(np.float32)[None]
    places = np.array([[30.25, 20.75], [0.0, 59.0], [79.0, 40.5]])
    given = np.zeros((60, 80), np.float32)
    out = paste(given, spot, places, (0.5, 0.5), np.random.default_rng(4))
    assert out.shape == given.shape
    assert not given.any()
    rows, columns = np.mgrid[:60, :80]
    expected = sum(0.5 * np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / 9) for x, y in places)
    np.testing.assert_allclose(out, expected, atol=0.02)
