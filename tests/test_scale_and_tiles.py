"""Coordinates between scales, and pictures cut into tiles and put together again."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from relion_ganpick.core.picks import Picks
from relion_ganpick.core.scale import Scale, working_scale
from relion_ganpick.core.tiles import by_tiles, tiles

SIDES = st.integers(1, 12000)


@given(SIDES, SIDES, SIDES, SIDES, st.floats(-0.5, 12000), st.floats(-0.5, 12000))
def test_coordinates_survive_the_way_to_the_working_scale_and_back(h: int, w: int, wh: int, ww: int, x: float, y: float) -> None:
    scale = Scale((h, w), (wh, ww))
    there = scale.to_working(Picks(np.array([x]), np.array([y]), np.ones(1)))
    back = scale.to_file(there)
    np.testing.assert_allclose([back.x[0], back.y[0]], [x, y], rtol=1e-9, atol=1e-6)


def test_corners_of_the_picture_meet_at_both_scales() -> None:
    scale = Scale((400, 600), (50, 60))
    corners = scale.to_file(Picks(np.array([-0.5, 59.5]), np.array([-0.5, 49.5]), np.ones(2)))
    np.testing.assert_allclose(corners.xy, [[-0.5, -0.5], [599.5, 399.5]])


def test_a_spot_is_found_again_where_it_was_drawn_whatever_the_scale() -> None:
    pixels = np.zeros((700, 900), np.float32)
    cv2.circle(pixels, (301, 452), 30, 1.0, -1)
    scale = working_scale((700, 900), 60.0, 16.0)
    small = cv2.resize(pixels, scale.working_shape[::-1], interpolation=cv2.INTER_AREA)
    rows, columns = np.mgrid[: small.shape[0], : small.shape[1]]
    centre = Picks(np.array([(columns * small).sum() / small.sum()]), np.array([(rows * small).sum() / small.sum()]), np.ones(1))
    found = scale.to_file(centre)
    np.testing.assert_allclose([found.x[0], found.y[0]], [301, 452], atol=0.1)


@given(st.floats(4, 400), st.integers(64, 12000), st.integers(64, 12000))
def test_particles_have_their_width_at_the_working_scale(diameter_px: float, height: int, width: int) -> None:
    scale = working_scale((height, width), diameter_px, 16.0)
    for factor, side in zip(scale.factors, (width, height), strict=True):
        assert abs(side / factor - side * 16.0 / diameter_px) <= 0.5 or side / factor == 1


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.integers(0, 20))
def test_tiles_cover_every_pixel_once(height: int, width: int, core: int, margin: int) -> None:
    covered = np.zeros((height, width), int)
    for tile in tiles((height, width), core, margin):
        covered[tile.keep] += 1
    assert (covered == 1).all()


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.integers(0, 20))
def test_tiles_reassemble_to_the_picture(height: int, width: int, core: int, margin: int) -> None:
    picture = np.random.default_rng(height * 100 + width).normal(size=(height, width)).astype(np.float32)
    np.testing.assert_array_equal(by_tiles(picture, lambda tile: tile, core, margin), picture)


@given(st.integers(30, 90), st.integers(30, 90), st.integers(5, 40))
def test_a_filter_gives_the_same_by_tiles_when_the_margin_is_its_reach(height: int, width: int, core: int) -> None:
    picture = np.random.default_rng(core).normal(size=(height, width)).astype(np.float32)

    def blur(image: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.blur(image, (7, 7), borderType=cv2.BORDER_CONSTANT))

    np.testing.assert_allclose(by_tiles(picture, blur, core, 3), blur(picture), atol=1e-5)
