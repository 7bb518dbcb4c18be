"""Fine texture, the second witness: it hears particles, and neither noise, nor thick ice, nor dirt."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit

from relion_ganpick.evidence.candidates import Spots
from relion_ganpick.evidence.texture import (
    DIRTY,
    MOST_SPREADS,
    PER_SPREAD,
    STEP,
    SURE,
    UNSURE,
    agreement,
    heard,
    texture_of,
    trust_in,
)
from relion_ganpick.evidence.view import View

Image = NDArray[np.float32]
SIDE = 320


def noise(seed: int, sigma: float = 1.0) -> Image:
    return np.random.default_rng(seed).normal(0, sigma, (SIDE, SIDE)).astype(np.float32)


def mask_of_discs(seed: int, n: int = 60) -> tuple[Image, NDArray[np.float64]]:
    """Soft discs of a diameter of 16 pixels, and their centres (n, 2)."""
    centres = np.random.default_rng(seed).uniform(20, SIDE - 20, (n, 2))
    y, x = np.mgrid[:SIDE, :SIDE]
    disc = np.zeros((SIDE, SIDE), np.float32)
    for column, row in centres:
        disc = np.maximum(disc, expit(2 * (7 - np.hypot(x - column, y - row))).astype(np.float32))
    return disc, centres


def view_of_picture(picture: Image, contamination: Image | None = None) -> View:
    nothing = np.zeros_like(picture)
    return View(picture.astype(np.float32), nothing, nothing, nothing if contamination is None else contamination)


def with_structure(seed: int, dark: float, structure: float) -> Image:
    """Noise, and discs that are dark as a whole and have structure inside: finer noise, smoothed to the particle's detail."""
    disc, _ = mask_of_discs(seed)
    inside = cv2.GaussianBlur(noise(seed + 1000), (0, 0), 0.8)
    return noise(seed) - dark * disc + structure * inside / inside.std() * disc


def spots_at(x: list[float], y: list[float]) -> Spots:
    n = len(x)
    return Spots(np.array(x), np.array(y), *(np.zeros(n) for _ in range(3)))


def test_noise_says_nothing() -> None:
    said = [agreement(view_of_picture(noise(seed))) for seed in range(12)]
    assert abs(np.mean(said)) < 1
    assert np.std(said) == pytest.approx(1, abs=0.6)
    assert trust_in(said) < 0.5


def test_particles_with_structure_are_heard_and_the_more_the_stronger() -> None:
    faint, clear = (np.mean([agreement(view_of_picture(with_structure(s, d, d))) for s in range(4)]) for d in (0.5, 1.0))
    assert faint > 3
    assert clear > 1.5 * faint
    assert trust_in([clear]) == 1


def test_dark_areas_without_structure_and_with_less_of_it_are_not_particles() -> None:
    disc, _ = mask_of_discs(3)
    assert agreement(view_of_picture(noise(3) - disc)) < 2.5
    assert agreement(view_of_picture(noise(3) * (1 - 0.3 * disc) - disc)) < -3


def test_bright_structure_speaks_against() -> None:
    assert agreement(view_of_picture(with_structure(5, -1.0, 1.0))) < -3


def test_what_is_contaminated_is_not_heard() -> None:
    disc, _ = mask_of_discs(3, 30)
    dirt = cv2.dilate((disc > 0.05).astype(np.float32), np.ones((5, 5)))
    picture = with_structure(3, 2.0, 2.0)
    picture = np.where(dirt > 0, noise(3) - 2 * disc + 2 * noise(4) * disc, noise(3)).astype(np.float32)
    assert agreement(view_of_picture(picture)) > 6
    assert abs(agreement(view_of_picture(picture, dirt))) < 4


def test_a_picture_that_is_too_small_changes_no_figure() -> None:
    small = view_of_picture(noise(1)[:80, :100])
    assert np.isnan(agreement(small))
    assert trust_in([agreement(small)]) == 1
    assert trust_in([agreement(small), 0.0]) == 0
    merit = np.array([0.2, 0.9])
    weighed = heard(merit, spots_at([1.0, 70.0], [1.0, 30.0]), texture_of(small), 1.0, 1.0)
    np.testing.assert_allclose(weighed, merit, rtol=1e-6)


def test_too_little_that_is_clean_says_nothing() -> None:
    everywhere = np.ones((SIDE, SIDE), np.float32)
    view = view_of_picture(with_structure(1, 2.0, 2.0), everywhere)
    assert agreement(view) == 0
    texture = texture_of(view)
    assert not texture.clean.any()
    assert not texture.detail.any()


@pytest.mark.parametrize("shape", [(33, 500), (301, 211), (127, 131)])
def test_any_shape_is_read(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    assert np.isfinite(agreement(view_of_picture(picture)))
    assert texture_of(view_of_picture(picture)).detail.shape == (shape[0] // STEP, shape[1] // STEP)


def test_a_constant_picture_is_no_error() -> None:
    flat = view_of_picture(np.zeros((SIDE, SIDE), np.float32))
    assert np.isfinite(agreement(flat))
    assert np.isfinite(texture_of(flat).detail).all()


def test_detail_is_high_at_particles_and_has_spread_one() -> None:
    disc, centres = mask_of_discs(7)
    texture = texture_of(view_of_picture(with_structure(7, 1.0, 1.5)))
    assert texture.detail[texture.clean].std() == pytest.approx(1, abs=0.01)
    at = (centres / STEP).astype(int)
    assert texture.detail[at[:, 1], at[:, 0]].mean() > 0.8
    assert disc.any()


def test_what_micrographs_say_adds_up_as_standard_deviations_do() -> None:
    assert trust_in([0.9]) == 0
    assert trust_in([SURE]) == 1
    assert trust_in([2.0] * 4) == 1
    assert 0 < trust_in([2.5]) < trust_in([2.5, 2.5]) < 1
    assert trust_in([-3.0, 3.0]) == 0


def test_merits_follow_detail_dirt_and_trust() -> None:
    texture = texture_of(view_of_picture(with_structure(9, 1.0, 1.5)))
    row, column = np.unravel_index(int(np.where(texture.clean, texture.detail, 0).argmax()), texture.detail.shape)
    there = spots_at([STEP * column + 1.0], [STEP * row + 1.0])
    outside = spots_at([0.0], [0.0])
    merit = np.array([0.5])
    spreads = min(float(texture.detail[row, column]), MOST_SPREADS)
    assert heard(merit, there, texture, 1.0, 1.0)[0] == pytest.approx(expit(PER_SPREAD * spreads), abs=1e-6)
    assert heard(merit, outside, texture, 1.0, 1.0)[0] == pytest.approx(expit(DIRTY))
    assert heard(merit, outside, texture, 0.0, 0.0)[0] == pytest.approx(expit(DIRTY + UNSURE))
    assert logit(heard(merit, outside, texture, 1.0, 0.0)[0]) == pytest.approx(DIRTY + UNSURE / 2)  # a sure set vouches by half
    assert heard(merit, outside, texture, 0.0, 1.0)[0] == pytest.approx(expit(DIRTY))


def test_merits_stay_probabilities_and_none_gives_none() -> None:
    texture = texture_of(view_of_picture(noise(2)))
    spots = spots_at([-3.0, 150.0, SIDE + 5.0], [2.0, 160.0, SIDE + 9.0])
    weighed = heard(np.array([0.0, 1.0, 0.3]), spots, texture, 0.0, 0.0)
    assert ((weighed > 0) & (weighed < 1)).all()
    assert not len(heard(np.empty(0), spots_at([], []), texture, 1.0, 1.0))
