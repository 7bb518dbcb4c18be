"""Metrics, and the reading of coordinates that they compare."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.evaluate import Figures, average_precision, best_threshold, evaluate, match
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.coordinates import read_coordinates, without_ignored
from relion_ganpick.formats.names import micrograph_stem
from relion_ganpick.formats.pick_files import write_picks

POINTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=5)


def points(*rows: tuple[float, float]) -> np.ndarray:
    return np.array(rows, float).reshape(-1, 2)


def scored(*rows: tuple[float, float, float]) -> Picks:
    table = np.array(rows, float).reshape(-1, 3)
    return Picks(table[:, 0], table[:, 1], table[:, 2])


def star(path: Path, columns: str, *rows: str, block: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [f"_{name} #{k}" for k, name in enumerate(columns.split(), 1)]
    path.write_text("\n".join(["", "# version 30001", "", f"data_{block}", "", "loop_", *names, *rows, "", ""]))
    return path


def test_two_picks_on_one_particle_are_one_hit() -> None:
    np.testing.assert_array_equal(match(points((0, 0), (1, 0)), points((0.4, 0)), 3).sum(), 1)


def test_matching_finds_the_most_pairs_not_the_nearest_first() -> None:
    assert match(points((0, 0), (4, 0)), points((3, 0), (7, 0)), 3.5).tolist() == [True, True]


def test_reach_is_inclusive() -> None:
    assert match(points((0, 0)), points((3, 4)), 5).tolist() == [True]
    assert match(points((0, 0)), points((3, 4)), 4.99).tolist() == [False]


def test_pick_right_on_the_centre_is_a_hit() -> None:
    assert match(points((5, 5)), points((5, 5)), 2).tolist() == [True]


@settings(max_examples=60, deadline=None)
@given(POINTS, POINTS, st.integers(1, 6))
def test_number_of_hits_is_that_of_the_largest_matching(
    picks: list[tuple[int, int]], truth: list[tuple[int, int]], reach: int
) -> None:
    few, many = sorted((picks, truth), key=len)
    near = [[np.hypot(a[0] - b[0], a[1] - b[1]) <= reach for b in many] for a in few]
    largest = max(sum(near[k][j] for k, j in enumerate(order)) for order in permutations(range(len(many)), len(few)))
    assert match(points(*picks), points(*truth), reach).sum() == largest


def test_f1_has_its_factor_two() -> None:
    figures = Figures(hits=3, picks=4, truth=6)
    assert (figures.precision, figures.recall, figures.f1) == (0.75, 0.5, pytest.approx(0.6))


def test_figures_of_nothing_are_zero() -> None:
    assert (Figures(0, 0, 0).precision, Figures(0, 0, 0).recall, Figures(0, 0, 0).f1) == (0, 0, 0)


def test_counts_are_pooled_not_averaged() -> None:
    good = (scored(*((10.0 * k, 0, 0.9) for k in range(8))), points(*((10.0 * k, 0) for k in range(8))), 2.0)
    bad = (scored((0, 0, 0.9), (50, 0, 0.1)), points((25, 0), (26, 20)), 2.0)
    assert evaluate([good, bad]) == Figures(8, 10, 10)
    assert evaluate([good, bad], threshold=0.5) == Figures(8, 9, 10)


def test_best_threshold_drops_the_wrong_picks() -> None:
    item = (scored((0, 0, 0.9), (10, 0, 0.8), (50, 50, 0.3), (90, 50, 0.2)), points((0, 0), (10, 0)), 2.0)
    cut, figures = best_threshold([item])
    assert 0.3 < cut <= 0.8
    assert figures == Figures(2, 2, 2)


def test_best_threshold_without_picks_keeps_nothing() -> None:
    assert best_threshold([(Picks.none(), points((1, 1)), 2.0)]) == (1.0, Figures(0, 0, 1))


def test_threshold_for_precision_is_higher_than_that_of_f1() -> None:
    wrong = [(9000.0 + 20 * k, 0.0, 0.1 + 0.01 * k) for k in range(50)]
    right = [(20.0 * k, 0.0, 0.2 + 0.01 * k) for k in range(60)]
    item = (scored(*right, *wrong), points(*[row[:2] for row in right]), 2.0)
    (low, best), (high, strict) = best_threshold([item]), best_threshold([item], 0.5)
    assert high > low
    assert strict.precision > best.precision
    assert strict.recall < best.recall
    assert strict.f_beta(0.5) > best.f_beta(0.5)


def test_f_beta_by_hand() -> None:
    figures = Figures(6, 8, 12)
    assert figures.f_beta(1) == figures.f1 == pytest.approx(0.6)
    assert figures.f_beta(0.5) == pytest.approx(1.25 * 0.75 * 0.5 / (0.25 * 0.75 + 0.5))
    assert Figures(0, 5, 5).f_beta(0.5) == 0.0


def test_average_precision_is_the_area_under_the_pooled_curve() -> None:
    one = (scored((0, 0, 0.9), (50, 50, 0.8)), points((0, 0)), 2.0)
    other = (scored((10, 0, 0.7)), points((10, 0), (80, 80)), 2.0)
    assert average_precision([one, other]) == pytest.approx((1 + 2 / 3) / 3)


def test_average_precision_of_perfect_picks_is_one_and_without_truth_zero() -> None:
    perfect = (scored((0, 0, 0.9), (9, 9, 0.1)), points((0, 0), (9, 9)), 1.0)
    assert average_precision([perfect]) == 1.0
    assert average_precision([(scored((0, 0, 0.9)), points(), 1.0)]) == 0.0


def test_second_pick_of_a_particle_is_wrong_in_average_precision() -> None:
    picks = scored((0, 0, 0.9), (1, 0, 0.8), (9, 9, 0.7))
    assert average_precision([(picks, points((0, 0), (9, 9)), 2.0)]) == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a/mic1_autopick.star", "mic1"), ("mic1_manualpick.star", "mic1"), ("x/y/mic1.mrc", "mic1"), ("m_pick.csv", "m"),
     ("my.mic.mrc", "my.mic"), ("_pick.star", "_pick")],
)  # fmt: skip
def test_stem_of_a_micrograph_goes_without_the_pickers_suffix(name: str, stem: str) -> None:
    assert micrograph_stem(name) == stem


def test_our_own_coordinate_files_are_read_back(tmp_path: Path) -> None:
    write_picks(tmp_path / "a_autopick.star", scored((1, 2, 0.5), (30, 4, 0.25)))
    write_picks(tmp_path / "b_autopick.star", Picks.none())
    found = read_coordinates([tmp_path])
    assert sorted(found) == ["a", "b"]
    np.testing.assert_array_equal(found["a"].picks.xy, [(1, 2), (30, 4)])
    np.testing.assert_array_equal(found["a"].picks.score, (0.5, 0.25))
    assert len(found["b"].picks) == 0


def test_particles_star_is_split_by_micrograph(tmp_path: Path) -> None:
    columns = "rlnCoordinateX rlnCoordinateY rlnMicrographName"
    path = star(tmp_path / "particles.star", columns, "1 2 M/a.mrc", "5 6 M/b.mrc", "3.5 4 M/a.mrc", block="particles")
    text = path.read_text()
    path.write_text("\ndata_optics\n\nloop_\n_rlnOpticsGroup #1\n1\n\n" + text)
    found = read_coordinates([path])
    assert {name: each.picks.xy.tolist() for name, each in found.items()} == {"a": [[1, 2], [3.5, 4]], "b": [[5, 6]]}
    assert found["a"].picks.score.tolist() == [1, 1]


def test_micrographs_of_one_name_in_two_folders_are_refused(tmp_path: Path) -> None:
    columns = "rlnCoordinateX rlnCoordinateY rlnMicrographName"
    path = star(tmp_path / "particles.star", columns, "1 2 day1/a.mrc", "5 6 day2/a.mrc")
    with pytest.raises(GanpickError, match=r"micrographs day1/a\.mrc and day2/a\.mrc have the same name"):
        read_coordinates([path])


def test_relion_list_is_followed_from_the_projects_folder(tmp_path: Path) -> None:
    write_picks(tmp_path / "External/job002/M/a_autopick.star", scored((7, 8, 0.5)))
    names = "rlnMicrographName rlnMicrographCoordinates"
    path = tmp_path / "External/job002/autopick.star"
    star(path, names, "M/a.mrc External/job002/M/a_autopick.star", block="coordinate_files")
    assert read_coordinates([path])["a"].picks.xy.tolist() == [[7, 8]]
    star(path, names, "M/a.mrc External/job002/M/gone.star", block="coordinate_files")
    with pytest.raises(GanpickError, match=r"lists External/job002/M/gone\.star, which is not there"):
        read_coordinates([path])


def test_job_folder_is_read_as_a_whole_without_its_other_files(tmp_path: Path) -> None:
    write_picks(tmp_path / "M/a_autopick.star", scored((7, 8, 0.5)))
    write_picks(tmp_path / ".ganpick/M/a_scores.star", scored((7, 8, 0.5), (1, 1, 0.1)))
    star(tmp_path / "autopick.star", "rlnMicrographName rlnMicrographCoordinates", "M/a.mrc x", block="coordinate_files")
    star(tmp_path / "job.star", "rlnJobOptionVariable rlnJobOptionValue", "diameter 180", block="joboptions_values")
    (tmp_path / "coords_suffix_autopick.star").write_text("Import/job001/micrographs.star\n")
    found = read_coordinates([tmp_path])
    assert {name: len(each.picks) for name, each in found.items()} == {"a": 1}


def test_csv_with_kinds_goes_before_the_star_file_beside_it(tmp_path: Path) -> None:
    write_picks(tmp_path / "a.star", scored((9, 9, 1)))
    (tmp_path / "a.csv").write_text("x,y,kind\n1,2,particle\n3,4,ignore\n")
    found = read_coordinates([tmp_path])
    assert (found["a"].picks.xy.tolist(), found["a"].ignore.tolist()) == ([[1, 2]], [[3, 4]])


def test_csv_without_rows_is_a_micrograph_without_particles(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n")
    (tmp_path / "b.csv").write_text("x,y,kind\n")
    assert {name: len(each.picks) for name, each in read_coordinates([tmp_path]).items()} == {"a": 0, "b": 0}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "x,z\n1,2\n", "column y is missing"),
        ("a.csv", "x,y\n1,two\n", "column y holds 'two', which is not a number"),
        ("a.csv", "x,y,kind\n1,2,Particle\n", "kind 'Particle' is not known"),
        ("a.csv", "", "not a CSV file that can be read"),
        ("a.star", "nothing\n", "there is no column rlnCoordinateX, and no list"),
        ("a.star", "data_\n\nloop_\n_rlnCoordinateX #1\n1.5\n2.5\n\n", "column rlnCoordinateY is missing"),
        ("a.box", "1 2 3 4\n", "read from .star and .csv files only"),
    ],
)
def test_file_that_is_not_understood_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(GanpickError) as error:
        read_coordinates([tmp_path / name])
    assert str(error.value).startswith(f"{tmp_path / name}: ")
    assert message in str(error.value)


def test_missing_and_empty_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(GanpickError, match="no STAR or CSV files with coordinates"):
        read_coordinates([tmp_path])
    with pytest.raises(GanpickError, match="gone: there is no such file or folder"):
        read_coordinates([tmp_path / "gone"])


def test_two_files_about_one_micrograph_are_named(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(GanpickError, match=r"one/a\.csv and .*two/a\.csv both have coordinates of micrograph a"):
        read_coordinates([tmp_path])


def test_picks_near_ignored_places_are_dropped() -> None:
    picks = scored((0, 0, 0.9), (10, 0, 0.8), (11, 0, 0.7))
    assert without_ignored(picks, points((5, 0)), 5).xy.tolist() == [[11, 0]]
    assert len(without_ignored(picks, points(), 5)) == 3
