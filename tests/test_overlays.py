"""Pictures of picks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.picks import Picks
from relion_ganpick.report.overlays import draw_overlay, shrunk, which_overlays, write_overlay

NOISE = np.random.default_rng(0).normal(size=(300, 400)).astype(np.float32)


def coloured(picture: np.ndarray) -> np.ndarray:
    """Rows and columns of pixels that are not grey, (n, 2)."""
    return np.argwhere(np.ptp(picture.astype(int), axis=2) > 40)


@pytest.mark.parametrize(
    ("n_micrographs", "n", "chosen"),
    [(10, 3, [0, 4, 9]), (10, 1, [0]), (10, 2, [0, 9]), (3, 8, [0, 1, 2]), (0, 4, []), (5, 0, []), (1, 1, [0])],
)
def test_first_middle_and_last_are_chosen(n_micrographs: int, n: int, chosen: list[int]) -> None:
    assert which_overlays(n_micrographs, n) == chosen


def test_chosen_micrographs_are_distinct_and_as_many_as_asked_for() -> None:
    for n_micrographs in range(1, 40):
        for n in range(1, 12):
            chosen = which_overlays(n_micrographs, n)
            assert len(set(chosen)) == len(chosen) == min(n, n_micrographs)
            assert chosen == sorted(chosen)


def test_circle_lies_around_the_pick_and_is_one_diameter_wide() -> None:
    marks = coloured(draw_overlay(NOISE, Picks(np.array([250.0]), np.array([100.0]), np.array([0.9])), 60))
    np.testing.assert_allclose((marks.min(axis=0) + marks.max(axis=0)) / 2, (100, 250), atol=1)
    np.testing.assert_allclose(np.ptp(marks, axis=0), (60, 60), atol=4)


def test_large_micrograph_is_shrunk_with_its_circles() -> None:
    pixels = cv2.resize(NOISE, (4000, 3000))
    picture = draw_overlay(pixels, Picks(np.array([1000.0]), np.array([2000.0]), np.array([0.9])), 600)
    assert picture.shape == (768, 1024, 3)
    marks = coloured(picture)
    np.testing.assert_allclose((marks.min(axis=0) + marks.max(axis=0)) / 2, (512, 256), atol=1)
    np.testing.assert_allclose(np.ptp(marks, axis=0), (153.6, 153.6), atol=4)


def test_picture_of_a_shrunk_micrograph_is_that_of_the_whole_one() -> None:
    pixels = cv2.resize(NOISE, (4000, 3000))
    picks = Picks(np.array([1000.0]), np.array([2000.0]), np.array([0.9]))
    whole = draw_overlay(pixels, picks, 600)
    np.testing.assert_array_equal(draw_overlay(shrunk(pixels), picks, 600, shape=(3000, 4000)), whole)


def test_kept_and_dropped_picks_have_two_colours() -> None:
    def colours(picks: Picks, dropped: Picks) -> set[tuple[int, ...]]:
        picture = draw_overlay(np.zeros((300, 400), np.float32), picks, 100, dropped=dropped)
        return {tuple(colour) for colour in picture[100:200, 150:152].reshape(-1, 3).astype(int).tolist()}

    one = Picks(np.array([200.0]), np.array([150.0]), np.array([0.5]))
    orange, blue = (0, 159, 230), (233, 180, 86)
    assert orange in colours(one, Picks.none())
    assert blue not in colours(one, Picks.none())
    assert orange not in colours(Picks.none(), one)
    assert any(colour[0] > colour[2] + 80 for colour in colours(Picks.none(), one))


def test_truth_is_white() -> None:
    picture = draw_overlay(NOISE, Picks.none(), 80, truth=np.array([[200.0, 150.0]]))
    assert (picture[150, 205] == 255).all()
    assert not len(coloured(picture))


def test_particles_stay_dark_on_an_uneven_background() -> None:
    y, x = np.mgrid[:300, :400].astype(np.float32)
    pixels = NOISE * 0.2 + x - 3 * np.exp(-((x - 200) ** 2 + (y - 150) ** 2) / 200)
    picture = draw_overlay(pixels.astype(np.float32), Picks.none(), 40)
    assert picture[150, 200, 0] < 30
    assert abs(float(picture[50:250, 60:90].mean()) - float(picture[50:250, 310:340].mean())) < 25


def test_constant_micrograph_is_drawn() -> None:
    assert draw_overlay(np.ones((50, 60), np.float32), Picks.none(), 20).shape == (50, 60, 3)


def test_picture_is_written_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "mic.png"
    picks = Picks(np.array([30.0]), np.array([40.0]), np.array([0.5]))
    write_overlay(NOISE, picks, 30, path, truth=np.array([[100.0, 100.0]]))
    np.testing.assert_array_equal(cv2.imread(str(path)), draw_overlay(NOISE, picks, 30, np.array([[100.0, 100.0]])))
    assert [each.name for each in path.parent.iterdir()] == ["mic.png"]


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GanpickError, match=r"file/mic\.png: the picture cannot be written"):
        write_overlay(NOISE, Picks.none(), 30, tmp_path / "file" / "mic.png")
