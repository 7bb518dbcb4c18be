"""The frame without image, and the contrast at the working scale."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from relion_ganpick.core.frame import ImageArea, find_image_area
from relion_ganpick.core.preprocess import CLIP, normalise, resize


def noise(height: int = 400, width: int = 500, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 5, (height, width)).astype(np.float32)


def test_whole_picture_is_image_where_there_is_no_frame() -> None:
    assert find_image_area(noise()) == ImageArea(0, 0, 500, 400)


def test_repeated_rows_and_columns_are_found_on_each_side() -> None:
    pixels = noise()
    pixels[:40] = pixels[40]
    pixels[370:] = pixels[369]
    pixels[:, :25] = pixels[:, 25:26]
    area = find_image_area(pixels)
    assert abs(area.top - 40) <= 1
    assert abs(area.bottom - 370) <= 1
    assert abs(area.left - 25) <= 1
    assert area.right == 500


@pytest.mark.parametrize("value", [0.0, 100.0, 255.0])
def test_constant_frame_is_found(value: float) -> None:
    pixels = noise()
    pixels[:, 450:] = value
    pixels[:30] = value
    area = find_image_area(pixels)
    assert (area.top, area.right) == (30, 450)


def test_frame_behind_a_few_rows_with_image_is_found() -> None:
    pixels = noise()
    pixels[6:80] = pixels[80]
    assert 79 <= find_image_area(pixels).top <= 81


def test_smooth_pictures_have_no_frame() -> None:
    import cv2

    smooth = cv2.GaussianBlur(noise(), (0, 0), 6)
    assert find_image_area(smooth) == ImageArea(0, 0, 500, 400)


def test_dark_patch_at_the_edge_is_no_frame() -> None:
    pixels = noise()
    pixels[:60, :200] -= 50
    assert find_image_area(pixels) == ImageArea(0, 0, 500, 400)


def test_noise_gets_unit_spread_without_background() -> None:
    pixels = noise() + np.linspace(0, 300, 500, dtype=np.float32)
    flat = normalise(pixels)
    inner = flat[40:-40, 40:-40]
    assert abs(float(np.median(inner))) < 0.05
    assert abs(1.4826 * float(np.median(np.abs(inner))) - 1) < 0.05


def test_scale_and_offset_of_the_grey_values_do_not_matter() -> None:
    np.testing.assert_allclose(normalise(noise() * 37 - 2000), normalise(noise()), atol=2e-3)


def test_values_are_clipped_and_a_hot_pixel_does_not_smear() -> None:
    pixels = noise()
    pixels[200, 200] = 1e9
    flat = normalise(pixels)
    assert flat.max() == CLIP
    np.testing.assert_allclose(flat[150:190, 150:190], normalise(noise())[150:190, 150:190], atol=0.15)


def test_picture_without_contrast_becomes_zero() -> None:
    assert not normalise(np.full((80, 90), 7.0, np.float32)).any()


@pytest.mark.parametrize("side", [199, 190, 175, 150, 100])
def test_shrinking_leaves_noise_as_strong_everywhere(side: int) -> None:
    noise = np.random.default_rng(2).normal(size=(200, 200)).astype(np.float32)
    small = np.mean([resize(noise[:, np.roll(np.arange(200), k)], (side, side)) ** 2 for k in range(0, 200, 4)], axis=0)
    blocks = np.array(
        [np.mean([block.mean() for block in np.array_split(part, 10, axis=1)]) for part in np.array_split(small, 10)]
    )
    assert blocks.max() < 1.35 * blocks.min()


@pytest.mark.parametrize(
    ("large", "small"), [((512, 300), (131, 77)), ((400, 400), (200, 100)), ((97, 1000), (96, 640)), ((640, 64), (1, 1))]
)
def test_shrinking_takes_area_means(large: tuple[int, int], small: tuple[int, int]) -> None:
    pixels = np.random.default_rng(5).normal(1000, 30, large).astype(np.float32)
    finer = pixels
    if small[0] < large[0] < 1.2 * small[0]:
        finer = cv2.resize(pixels, (2 * large[1], 2 * large[0]), interpolation=cv2.INTER_CUBIC)
    wanted = cv2.resize(finer, (small[1], small[0]), interpolation=cv2.INTER_AREA)
    assert np.allclose(resize(pixels, small), wanted, rtol=0, atol=1e-2)
    assert np.allclose(resize(np.pad(pixels, 9)[9:-9, 9:-9], small), wanted, rtol=0, atol=1e-2)
