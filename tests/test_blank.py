"""Areas without image of any shape and kind are found, left out of what a network sees, and nothing is picked there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.spatial import cKDTree

from relion_ganpick.core.blank import distance_from, find_blank
from relion_ganpick.core.frame import ImageArea, find_image_area
from relion_ganpick.core.micrograph import Micrograph
from relion_ganpick.core.preprocess import PARTICLE_PX, normalise
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.core.standardise import filled, standardise
from relion_ganpick.picking.picker import Picker
from relion_ganpick.synthesis.scene import CLEAN, Scene, make_scene

SIDE = 260
Y, X = np.mgrid[:SIDE, :SIDE]
SHAPES = {
    "column": X > 150,
    "corner": X + Y > 330,
    "beam": np.hypot(X - 130, Y - 120) > 100,
    "hole": np.hypot(X - 130, Y - 140) < 70,
    "strip": np.abs(X - Y / 2 - 60) < 25,
}


def image(seed: int = 0) -> np.ndarray:
    """Make an image of 540 electrons with noise, uneven light and dark discs of half a spread of the finest detail."""
    rng = np.random.default_rng(seed)
    discs = np.zeros((SIDE, SIDE), np.float32)
    for x, y in rng.uniform(0, SIDE, (60, 2)):
        cv2.circle(discs, (int(x), int(y)), 7, 1.0, -1)
    light = 15 * np.sin(X / 90) * np.cos(Y / 70)
    return (540 + light + rng.normal(0, 8, discs.shape) - 6 * discs).astype(np.float32)


def behind_bar(pixels: np.ndarray, blank: np.ndarray, through: float, soft: float = 0.0) -> np.ndarray:
    """Let a share of the electrons through where it is blank."""
    beam = 1 - (1 - through) * blank.astype(np.float32)
    if soft:
        beam = cv2.GaussianBlur(beam, (0, 0), soft)
    return (540 * beam + np.sqrt(beam) * (pixels - 540)).astype(np.float32)


KINDS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "black": lambda pixels, blank: np.where(blank, np.float32(0), pixels),
    "mean": lambda pixels, blank: np.where(blank, np.float32(540), pixels),
    "saturated": lambda pixels, blank: np.where(blank, np.float32(4095), pixels),
    "mostly saturated": lambda pixels, blank: np.minimum(np.where(blank, pixels + 600, pixels), np.float32(1125)),
    "smooth": lambda pixels, blank: np.where(blank, cv2.GaussianBlur(pixels, (0, 0), 20), pixels),
    "bar": lambda pixels, blank: behind_bar(pixels, blank, 0.03),
    "thin bar": lambda pixels, blank: behind_bar(pixels, blank, 0.15),
    "soft bar": lambda pixels, blank: behind_bar(pixels, blank, 0.03, 3.0),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_and_kind_is_found(shape: str, kind: str) -> None:
    blank = SHAPES[shape]
    found = find_blank(KINDS[kind](image(), blank), PARTICLE_PX)
    assert found is not None
    inner = distance_from(~blank) > 1 if kind != "soft bar" else distance_from(~blank) > 3
    assert found[inner].mean() > 0.99
    beyond = 3 if kind != "soft bar" else 8
    assert found[distance_from(blank) > beyond].mean() < 0.005


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("kind", ["black", "mean", "saturated", "bar"])
def test_any_share_may_be_blank(share: float, kind: str) -> None:
    blank = SIDE * (1 - share) < X
    found = find_blank(KINDS[kind](image(), blank), PARTICLE_PX)
    assert found is not None
    assert found.mean() == pytest.approx(blank.mean(), abs=0.02)


def denoised() -> np.ndarray:
    return cv2.GaussianBlur(image(), (0, 0), 3)


def half_crowded(n: int = 150, depth: int = 8) -> np.ndarray:
    """Many dark particles in one half and none in the other, hardly any noise."""
    rng = np.random.default_rng(3)
    discs = np.zeros((SIDE, SIDE), np.float32)
    for x, y in rng.uniform(0, SIDE, (n, 2)):
        cv2.circle(discs, (int(x / 2), int(y)), 7, 1.0, -1)
    return cv2.GaussianBlur(rng.normal(0, 1, discs.shape).astype(np.float32) - depth * discs, (0, 0), 1)


@pytest.mark.parametrize("n", [150, 250, 400])
@pytest.mark.parametrize("depth", [8, 20])
def test_ground_between_crowded_bright_particles_is_image(n: int, depth: int) -> None:
    assert find_blank(-half_crowded(n, depth), PARTICLE_PX) is None


@pytest.mark.parametrize("shape", SHAPES)
def test_dark_area_is_found_beside_ice_and_gold(shape: str) -> None:
    blank, pixels = SHAPES[shape], ice_crystals()
    for x, y in np.random.default_rng(5).uniform(0, SIDE, (20, 2)):
        cv2.circle(pixels, (int(x), int(y)), 6, 120.0, -1)
    found = find_blank(behind_bar(pixels, blank, 0.03), PARTICLE_PX)
    assert found is not None
    assert found.mean() == pytest.approx(blank.mean(), abs=0.05)


def lone_particles() -> np.ndarray:
    """Particles on a ground without any noise, as a model of a structure projects."""
    discs = np.zeros((SIDE, SIDE), np.float32)
    for x, y in np.random.default_rng(4).uniform(0, SIDE, (40, 2)):
        cv2.circle(discs, (int(x), int(y)), 8, 1.0, -1)
    return -cv2.GaussianBlur(discs, (0, 0), 2)


def film_beside_hole() -> np.ndarray:
    """A carbon film, darker and with more grain than the ice in its hole."""
    pixels = image()
    film = np.hypot(X - 100, Y - 130) > 110
    return np.where(film, 540 + 1.6 * (pixels - 540) - 60, pixels).astype(np.float32)


def ice_crystals() -> np.ndarray:
    pixels = image()
    for x, y in np.random.default_rng(5).uniform(0, SIDE, (8, 2)):
        cv2.circle(pixels, (int(x), int(y)), 12, 380.0, -1)
    return pixels + np.random.default_rng(6).normal(0, 6, pixels.shape).astype(np.float32)


WHOLE = [image, denoised, half_crowded, lone_particles, film_beside_hole, ice_crystals]


@pytest.mark.parametrize(("made", "sign"), [(each, 1) for each in WHOLE] + [(each, -1) for each in WHOLE])
def test_pictures_with_image_everywhere_are_normalised_as_ever(made: Callable[[], np.ndarray], sign: int) -> None:
    pixels = np.float32(sign) * made()
    picture, blank = standardise(pixels, PARTICLE_PX)
    assert blank is None
    np.testing.assert_array_equal(picture, normalise(pixels))


@pytest.mark.parametrize("kind", KINDS)
def test_the_rest_looks_as_it_would_alone(kind: str) -> None:
    blank = SHAPES["column"]
    picture, found = standardise(KINDS[kind](image(), blank), PARTICLE_PX)
    assert found is not None
    assert (picture[found] == 0).all()
    alone = normalise(image()[:, :151])
    far = slice(0, 151 - 56)  # up to 3 diameters from it the level is taken out step by step
    np.testing.assert_allclose(picture[:, far], alone[:, far], atol=0.15)
    near = picture[:, 151 - 24 : 151 - 8]
    assert abs(float(near.mean())) < 0.25


def test_bright_particles_come_out_dark_beside_a_bright_bar() -> None:
    blank = SHAPES["column"]
    pixels = KINDS["bar"](image(), blank)
    dark, found = standardise(pixels, PARTICLE_PX)
    inverted, same = standardise(-pixels, PARTICLE_PX, "bright")
    np.testing.assert_array_equal(found, same)
    np.testing.assert_allclose(dark, inverted, atol=1e-5)


def test_filling_keeps_the_image_and_has_its_level_and_grain() -> None:
    blank = SHAPES["beam"]
    pixels = np.where(blank, np.float32(0), image())
    full = filled(pixels, blank, PARTICLE_PX)
    np.testing.assert_array_equal(full[~blank], pixels[~blank])
    assert full[blank].mean() == pytest.approx(pixels[~blank].mean(), abs=12)
    assert full[blank].std() == pytest.approx(pixels[~blank].std(), rel=0.4)


def test_rows_that_are_blank_in_part_are_no_frame() -> None:
    pixels = np.where(X + Y > 300, np.float32(0), image())
    area = find_image_area(pixels)
    assert (area.left, area.top) == (0, 0)
    assert min(area.right, area.bottom) > 0.85 * SIDE
    assert find_image_area(image()) == ImageArea(0, 0, SIDE, SIDE)


@pytest.mark.parametrize("kind", ["black", "mean", "saturated", "soft bar"])
def test_as_much_is_picked_in_the_rest_as_without_the_blank_area(kind: str, default_picker: Picker, lit: Micrograph) -> None:
    shape = (lit.pixels.shape[0], lit.pixels.shape[1])
    y, x = np.mgrid[: shape[0], : shape[1]]
    blank = x + y > 0.9 * shape[1]
    whole = default_picker.pick(lit)
    with_bar = default_picker.pick(Micrograph(KINDS[kind](lit.pixels, blank), 1.0, "m.mrc"))
    away = distance_from(blank)
    there = [picks.where(away[np.rint(picks.y).astype(int), np.rint(picks.x).astype(int)] > 22) for picks in (whole, with_bar)]
    assert len(there[0]) >= 20
    found = cKDTree(there[1].xy).query(there[0].xy)[0] < PARTICLE_PX / 4
    assert found.mean() >= 0.85
    assert len(there[1]) <= 1.15 * len(there[0])
    assert (away[np.rint(with_bar.y).astype(int), np.rint(with_bar.x).astype(int)] >= 6).all()


@pytest.mark.parametrize("soft", [0.0, 3.0, 6.0, 10.0])
def test_level_is_even_up_to_a_soft_edge(soft: float) -> None:
    blank = SHAPES["column"]
    picture, found = standardise(behind_bar(image(), blank, 0.03, soft), PARTICLE_PX)
    assert found is not None
    alone = normalise(image())
    for near in range(130, 150, 4):  # twenty pixels before the edge, where the level falls to half
        columns = slice(near, near + 4)
        assert float(picture[:, columns].mean() - alone[:, columns].mean()) == pytest.approx(0, abs=0.2)


@pytest.mark.parametrize("soft", [0.0, 6.0, 10.0, 16.0])
@pytest.mark.parametrize("shape", ["column", "beam"])
def test_particles_beside_a_soft_edge_are_found(shape: str, soft: float, default_picker: Picker, crowd: Scene) -> None:
    side = crowd.pixels.shape[0]
    y, x = np.mgrid[:side, :side]
    blank = {"column": x > 0.6 * side, "beam": np.hypot(x - side / 2, y - side / 2) > 0.42 * side}[shape]
    assert 0.3 < blank.mean() < 0.5
    spread = float(crowd.pixels.std())
    pixels = (540 + 10 / spread * (crowd.pixels - crowd.pixels.mean())).astype(np.float32)
    away = distance_from(blank)[tuple(np.rint(crowd.centres[:, ::-1]).astype(int).clip(0, side - 1).T)] / PARTICLE_PX
    whole, barred = (
        cKDTree(default_picker.pick(Micrograph(each, 1.0, "m.mrc")).xy).query(crowd.centres)[0] < PARTICLE_PX / 4
        for each in (pixels, behind_bar(pixels, blank, 0.03, soft))
    )
    near, far = (away > 0.6) & (away < 2.6), away >= 2.6
    assert whole[near].sum() >= 12
    assert barred[near].sum() >= 0.75 * whole[near].sum()
    assert barred[far].sum() >= 0.9 * whole[far].sum()


@pytest.fixture(scope="module", params=[(2, 4.0), (3, 2.5)], ids=["plain", "faint"])
def crowd(request: pytest.FixtureRequest) -> Scene:
    seed, contrast = request.param
    settings = replace(CLEAN, contrast=(contrast, contrast), area_density=(0.35, 0.35))
    return make_scene((400, 400), 16.0, np.random.default_rng(seed), settings)


@pytest.fixture(scope="module")
def default_picker() -> Picker:
    return Picker(PickSettings(17.2), "cpu")


@pytest.fixture(scope="module")
def lit() -> Micrograph:
    settings = replace(CLEAN, contrast=(4.0, 4.0), area_density=(0.35, 0.35), molecule="dihedral")
    scene = make_scene((320, 320), 16.0, np.random.default_rng(2), settings)
    spread = float(scene.pixels.std())
    return Micrograph((540 + 10 / spread * (scene.pixels - scene.pixels.mean())).astype(np.float32), 1.0, "m.mrc")
