"""The paper's algorithms 1 to 3 and its pre-processing, against values worked out by hand and literal programs."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.measure
import skimage.morphology
from hypothesis import given, settings
from hypothesis import strategies as st

from relion_ganpick.core.equalise import PAPER_SIDE, as_input, equalise, preprocess, to_grey
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.localize import RegionSettings, binarise, erode, regions
from relion_ganpick.synthesis.backgrounds import blob_answer, particle_free_areas
from relion_ganpick.synthesis.pair_settings import PairSettings
from relion_ganpick.synthesis.paper import (
    HELD_OUT,
    add_markers,
    background_from_area,
    make_pair,
    noise_background,
    synthetic_input,
)
from relion_ganpick.synthesis.shapes import random_walk_shape

SMALL = PairSettings(pairs=3, size=64, shape_diameter=(6, 10), shape_number=(5, 20), walk_length=(10, 40), marker_size=5)
NEIGHBOUR = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]


class Prescribed:
    """A source of randomness that gives what it is told, in this order."""

    def __init__(self, **given: list) -> None:
        self.given = {name: list(values) for name, values in given.items()}

    def integers(self, *_: object) -> object:
        return self.given["integers"].pop(0)

    def uniform(self, *_: object) -> float:
        return self.given["uniform"].pop(0)


def algorithm_1(n: int, rand: list[int]) -> np.ndarray:
    """The paper's Algorithm 1 line by line, with its indices from 1; `rand` holds the random integers from 1 to 8."""
    x, y, pix = 0, 0, []
    for i in range(1, n + 1):
        x = x + NEIGHBOUR[rand[i - 1] - 1][0]
        y = y + NEIGHBOUR[rand[i - 1] - 1][1]
        pix.append([x, y])
    steps = np.array(pix)
    steps[:, 0] = steps[:, 0] - steps[:, 0].min() + 1
    steps[:, 1] = steps[:, 1] - steps[:, 1].min() + 1
    img = np.zeros((steps[:, 0].max(), steps[:, 1].max()), np.uint8)
    for item in steps:
        img[item[0] - 1, item[1] - 1] = 255
    return img


@pytest.mark.parametrize("n", [1, 2, 7, 200])
def test_algorithm_1_is_the_papers(n: int) -> None:
    rand = (np.random.default_rng(n).integers(0, 8, n) + 1).tolist()
    np.testing.assert_array_equal(random_walk_shape(n, np.random.default_rng(n)), algorithm_1(n, rand))


def test_algorithm_1_by_hand() -> None:
    # right, right, down left, up left: cells (0, 1), (0, 2), (1, 1), (0, 0)
    walk = Prescribed(integers=[np.array([4, 4, 5, 0])])
    assert random_walk_shape(4, walk).tolist() == [[255, 255, 255], [0, 255, 0]]


def test_algorithm_2_by_hand() -> None:
    background = np.full((8, 8), 100, np.uint8)
    shapes = [np.full((2, 2), 255, np.uint8), np.array([[255, 0], [0, 255]], np.uint8)]
    # Each try: centre (x, y), which shape, fade. The second overlaps the first; the third falls over the edge.
    tries = [np.array([3, 2]), 0, np.array([4, 3]), 0, np.array([7, 6]), 1]
    picture, centres = synthetic_input(background, shapes, 2, 3, (0.0, 1.0), Prescribed(integers=tries, uniform=[0.2, 0.9, 0.5]))
    expected = np.full((8, 8), 100.0)
    expected[1:3, 2:4] -= 255 * 0.2
    expected[5, 6] = 0  # 100 - 127.5 is less than black
    expected[6, 7] = 0
    np.testing.assert_array_equal(picture, expected.astype(np.uint8))
    assert centres.tolist() == [[3, 2], [7, 6]]


def test_algorithm_2_leaves_the_background_alone_and_never_overlaps() -> None:
    rng = np.random.default_rng(3)
    background = noise_background(96, 30.0, 0.5, 0.7, rng)
    before = background.copy()
    _, centres = synthetic_input(background, [random_walk_shape(50, rng)], 9, 150, (0.1, 0.9), rng)
    np.testing.assert_array_equal(background, before)
    apart = np.abs(centres[:, None] - centres[None]).max(axis=2) + 99 * np.eye(len(centres), dtype=int)
    assert apart.min() >= 9
    assert 40 < len(centres) < 150


def test_markers_are_black_squares_by_logical_and() -> None:
    picture = np.full((9, 11), 77, np.uint8)
    marked = add_markers(picture, np.array([[3, 4], [10, 0]]), 3)
    expected = picture.copy()
    expected[3:6, 2:5] = 0
    expected[:2, 9:] = 0
    np.testing.assert_array_equal(marked, expected)


def test_pair_is_one_picture_with_and_without_markers_at_the_shapes() -> None:
    for index in range(3):
        pair = make_pair(SMALL, index)
        assert pair.picture.shape == pair.truth.shape == (64, 64)
        assert 6 <= pair.diameter <= 10
        np.testing.assert_array_equal(pair.truth, add_markers(pair.picture, pair.centres.astype(np.int64), 5))
        assert len(pair.centres) * pair.diameter**2 <= 64**2


def test_shapes_are_darker_than_the_noise() -> None:
    ranges = PairSettings(size=128, shape_number=(60, 60), fade=(0.6, 0.8), walk_length=(500, 900))
    pair = make_pair(ranges, 0)
    x, y = pair.centres.astype(int).T
    assert pair.picture[y, x].mean() < pair.picture.mean() - 40


def test_pairs_repeat_for_their_name_and_hold_out_is_apart() -> None:
    one, same, other = make_pair(SMALL, 1), make_pair(SMALL, 1), make_pair(SMALL, 1, stream=HELD_OUT)
    np.testing.assert_array_equal(one.picture, same.picture)
    assert not np.array_equal(one.picture, other.picture)


def test_product_of_number_and_size_is_bounded() -> None:
    pair = make_pair(PairSettings(size=64, shape_diameter=(32, 32), shape_number=(900, 900)), 0)
    assert len(pair.centres) <= 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fade": (0.0, 1.5)}, "`fade` 0 1.5: give two numbers between 0 and 1, the lower one first"),
        ({"shape_diameter": (9, 4)}, "`shape_diameter` 9 4: give two numbers of at least 2, the lower one first"),
        ({"shape_diameter": (9, 600)}, "`shape_diameter` 9 600: larger than the picture of 512 pixels"),
        ({"marker_size": 0}, "`marker_size` 0: give at least 1"),
    ],
)
def test_senseless_ranges_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(GanpickError) as caught:
        PairSettings(**changes)
    assert str(caught.value) == message


def algorithm_3(marked_255: np.ndarray) -> list[tuple[float, float]]:
    """The paper's Algorithm 3 line by line with skimage, on input - output in grey values; returns (x, y)."""
    threshold1, threshold2 = 0.1, 0.5
    io = np.where(marked_255 < 255 * threshold1, 0, 255).astype(np.uint8)
    eb = skimage.morphology.erosion(io, np.ones((5, 5), np.uint8))
    found = skimage.measure.regionprops(skimage.measure.label(eb))
    total_num = len(found)
    aa = 0.0
    for r in found:
        aa = aa + r.area / total_num
    coords = []
    for r in found:
        if (1 - threshold2) * aa <= r.area <= (1 + threshold2) * aa:
            coords.append((r.centroid[1], r.centroid[0]))
    return coords


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(0, 40))
def test_algorithm_3_is_the_papers(seed: int, n_squares: int) -> None:
    rng = np.random.default_rng(seed)
    marked = rng.uniform(-0.2, 0.09, (90, 110)).astype(np.float32)
    for _ in range(n_squares):
        side = int(rng.integers(3, 14))
        y, x = int(rng.integers(0, 90 - side)), int(rng.integers(0, 110 - side))
        marked[y : y + side, x : x + side] = rng.uniform(0.11, 0.9)
    found = regions(marked)
    expected = np.reshape(sorted(algorithm_3(marked * 255)), (-1, 2))
    np.testing.assert_allclose(np.reshape(sorted(map(tuple, found.xy)), (-1, 2)), expected, atol=1e-9)


def test_algorithm_3_by_hand() -> None:
    marked = np.zeros((40, 60), np.float32)
    marked[5:14, 10:19] = 0.5  # 9 x 9, eroded to 5 x 5 = 25 pixels
    marked[20:29, 30:39] = 0.7  # the same
    marked[20:27, 3:10] = 0.4  # 7 x 7, eroded to 9 pixels: 9 < 0.5 * 19.67
    marked[2:6, 50:54] = 0.9  # 4 x 4, gone
    found = regions(marked)
    assert found.xy.tolist() == [[34.0, 24.0], [14.0, 9.0]]
    np.testing.assert_allclose(found.score, [0.7, 0.5], rtol=1e-6)


def test_each_number_of_algorithm_3_counts() -> None:
    marked = np.zeros((40, 60), np.float32)
    marked[5:14, 10:19] = 0.5
    marked[20:29, 30:39] = 0.7
    marked[20:27, 3:10] = 0.4

    def count(**changes: float) -> int:
        return len(regions(marked, RegionSettings(**changes)))

    assert count() == 2
    assert count(threshold=0.6) == 1
    assert count(erosion=1) == 3  # 81, 81 and 49 pixels
    assert count(area_tolerance=0.6) == 3
    assert count(mean_area=9.0) == 1
    assert count(mean_area=100.0) == 0


def test_value_at_the_threshold_is_white_and_regions_meet_at_corners() -> None:
    assert binarise(np.array([[0.1, 0.0999]], np.float32), float(np.float32(0.1))).tolist() == [[255, 0]]
    corner = np.zeros((10, 10), np.float32)
    corner[2, 2] = corner[3, 3] = 1
    assert regions(corner, RegionSettings(erosion=1)).xy.tolist() == [[2.5, 2.5]]


def test_nothing_is_found_where_nothing_is_marked() -> None:
    assert len(regions(np.zeros((50, 60), np.float32))) == 0


def test_erosion_does_not_come_in_from_the_edges() -> None:
    assert erode(np.full((6, 7), 255, np.uint8), 5).min() == 255


def test_grey_values_span_ten_deviations() -> None:
    pixels = np.random.default_rng(0).normal(1000, 20, (200, 300)).astype(np.float32)
    grey = to_grey(pixels)
    np.testing.assert_allclose(grey, np.clip(127.5 + 12.75 * (pixels - 1000) / 20, 0, 255), atol=4)
    pixels[10, 10] = 1e9
    np.testing.assert_allclose(to_grey(pixels)[20:], grey[20:], atol=2)
    assert not to_grey(np.full((20, 20), 5, np.float32)).any()


def test_preprocessing_is_grey_clahe_and_resize() -> None:
    pixels = np.random.default_rng(1).normal(0, 1, (700, 900)).astype(np.float32)
    equalised = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(to_grey(pixels))
    result = preprocess(pixels)
    assert (result.shape, result.dtype) == ((512, 512), np.uint8)
    small = cv2.resize(equalised.astype(np.float32), (PAPER_SIDE, PAPER_SIDE), interpolation=cv2.INTER_AREA)
    away = np.abs(result - np.rint(small))
    assert away.max() <= 1  # halves are rounded one way or the other
    assert np.mean(away > 0) < 1e-4


def test_equalising_evens_the_contrast_out() -> None:
    noise = np.random.default_rng(2).normal(0, 1, (512, 512)).astype(np.float32)
    uneven = noise * np.linspace(0.3, 1.5, 512, dtype=np.float32) + np.linspace(0, 4, 512, dtype=np.float32)
    grey = np.clip(25 * uneven + 90, 0, 255).astype(np.uint8)
    before, after = grey.astype(float), equalise(grey).astype(float)

    def ratio(picture: np.ndarray) -> float:
        return float(picture[:, -100:].std() / picture[:, :100].std())

    assert ratio(after) < 0.95 * ratio(before)
    assert abs(after[:, :100].mean() - after[:, -100:].mean()) < 0.8 * abs(before[:, :100].mean() - before[:, -100:].mean())
    assert as_input(np.array([[0, 255]], np.uint8)).tolist() == [[0.0, 1.0]]


def half_with_particles(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A micrograph of 1024 pixels with particles, 28 pixels wide, on its right half; and their centres (x, y)."""
    rng = np.random.default_rng(seed)
    pixels = cv2.GaussianBlur(rng.normal(0, 1, (1024, 1024)).astype(np.float32), (0, 0), 1.0)
    pixels /= pixels.std()
    centres = rng.uniform((540, 20), (1000, 1000), (250, 2)).astype(int)
    particles = np.zeros_like(pixels)
    for x, y in centres:
        cv2.circle(particles, (int(x), int(y)), 14, 1.5, -1)
    return pixels - particles, centres


def test_areas_without_particles_are_found_without_labels() -> None:
    pixels, centres = half_with_particles()
    areas = particle_free_areas(pixels, (12, 24))
    assert len(areas) == 4
    for k, area in enumerate(areas):
        assert area.side >= 24
        assert area.grey.shape == (512, 512)
        corner = 2 * np.array([area.left, area.top])
        assert not ((centres >= corner) & (centres < corner + 2 * area.side)).all(axis=1).any()
        for other in areas[:k]:
            apart = max(
                abs(area.left + area.side / 2 - other.left - other.side / 2),
                abs(area.top + area.side / 2 - other.top - other.side / 2),
            )
            assert apart >= (area.side + other.side) / 2
    assert sum(area.left + area.side < 270 for area in areas) >= 3


def test_carbon_is_no_background() -> None:
    pixels, _ = half_with_particles()
    pixels[:, :512] = 0.2 * pixels[:, :512] - 6
    assert all(area.left >= 250 for area in particle_free_areas(pixels, (12, 24)))


def test_blob_filter_answers_to_dark_blobs_of_its_size() -> None:
    grey = np.full((100, 100), 200, np.uint8)
    cv2.circle(grey, (50, 40), 8, 80, -1)
    answer = blob_answer(grey, (8, 32))
    assert answer.shape == (3, 100, 100)
    assert np.unravel_index(answer[1].argmax(), (100, 100)) == (40, 50)
    assert answer[1, 40, 50] > max(answer[0, 40, 50], answer[2, 40, 50]) > 0


def test_background_from_an_area_is_that_area_turned() -> None:
    area = np.arange(64, dtype=np.uint8).reshape(8, 8)
    seen = set()
    for seed in range(30):
        background = background_from_area(area, 8, np.random.default_rng(seed))
        assert sorted(background.ravel()) == sorted(area.ravel())
        seen.add(background.tobytes())
    assert len(seen) == 8
    assert background_from_area(area, 32, np.random.default_rng(0)).shape == (32, 32)


def test_pairs_take_their_backgrounds_from_the_areas() -> None:
    area = np.tile(np.array([[40, 200], [200, 40]], np.uint8), (32, 32))
    none = PairSettings(size=64, shape_diameter=(6, 8), shape_number=(0, 0))
    pair = make_pair(none, 0, [area])
    assert len(np.unique(pair.picture[20:40, 20:40])) == 2
