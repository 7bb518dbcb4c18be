"""Coordinate files: their names, what they hold, and what RELION's reader would die of."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import starfile
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from job_project import JOB

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import TEMPORARY, leftovers
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.pick_files import State, digest, inspect_picks, read_picks, write_picks
from relion_ganpick.relion.names import inside_stem, pick_file, pipeline_stem, scores_file

MANY_TIMES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PART = st.from_regex(r"[A-Za-z0-9_.+@%=,-]{1,12}", fullmatch=True).filter(lambda part: set(part) != {"."})


@pytest.mark.parametrize(
    ("micrograph", "coordinates"),
    [
        ("MotionCorr/job025/Movies/day1/movA.mrc", "External/job002/Movies/day1/movA_autopick.star"),
        ("Micrographs/mic001.mrc", "External/job002/Micrographs/mic001_autopick.star"),
        ("mic.mrc", "External/job002/mic_autopick.star"),
        ("/data/x/mic.mrc", "External/job002//data/x/mic_autopick.star"),
        ("/mic.mrc", "External/job002//mic_autopick.star"),
        ("/scratch/project/MotionCorr/job003/m.tif", "External/job002/m_autopick.star"),
        ("job025/m.mrc", "External/job002/m_autopick.star"),
        ("MotionCorr/job1234/Movies/m.mrc", "External/job002/Movies/m_autopick.star"),
        ("MotionCorr/job025_copy/Movies/m.mrc", "External/job002/Movies/m_autopick.star"),
        ("MotionCorr/job025/Movies/job026/m.mrc", "External/job002/Movies/job026/m_autopick.star"),
        ("MotionCorr/myjob025/Movies/m.mrc", "External/job002/MotionCorr/myjob025/Movies/m_autopick.star"),
        ("MotionCorr/job25/Movies/m.mrc", "External/job002/MotionCorr/job25/Movies/m_autopick.star"),
        ("MotionCorr/job025/m.frames.v2.mrc", "External/job002/m.frames.v2_autopick.star"),
        ("run.1/m", "External/job002/run.1/m_autopick.star"),
    ],
)
def test_coordinate_file_is_named_by_relions_rule(micrograph: str, coordinates: str) -> None:
    assert pick_file(JOB, micrograph) == coordinates
    assert pick_file(JOB, micrograph, keep_inside=False) == coordinates


def test_parent_folders_are_followed_for_relion_3_1_only() -> None:
    assert pick_file(JOB, "../other/m.mrc", keep_inside=False) == "External/job002/../other/m_autopick.star"
    assert pick_file(JOB, "../other/m.mrc", keep_inside=True) == "External/job002/__/other/m_autopick.star"
    assert scores_file(JOB, "../other/m.mrc") == "External/job002/.ganpick/__/other/m_scores.star"
    assert scores_file(JOB, "/data/m.mrc") == "External/job002/.ganpick/data/m_scores.star"


@given(
    st.lists(PART, min_size=1, max_size=5),
    st.sampled_from(["", "MotionCorr/job007/", "job123/"]),
    st.sampled_from([".mrc", ".tif"]),
)
@MANY_TIMES
def test_stem_never_loses_a_folder(parts: list[str], job: str, extension: str) -> None:
    tree = "/".join(parts)
    assume(job or not re.search(r"(^|/)job\d{3}[^/]*/", tree))
    assert pipeline_stem(job + tree + extension) == tree
    assert pick_file(JOB, job + tree + extension) == f"{JOB}{tree}_autopick.star"


@given(st.lists(st.one_of(PART, st.just("..")), min_size=1, max_size=6), st.booleans())
@MANY_TIMES
def test_files_of_our_own_stay_in_the_jobs_folder(parts: list[str], absolute: bool) -> None:
    name = "/" * absolute + "/".join(parts) + "/m.mrc"
    assert not inside_stem(name).startswith("/")
    assert ".." not in inside_stem(name).split("/")
    for path in (pick_file(JOB, name), scores_file(JOB, name)):
        assert path.startswith(JOB)
        assert ".." not in path.split("/")


# coordinate files

FINITE = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 4))
ROWS = st.lists(st.tuples(st.integers(-5, 60000), st.integers(-5, 60000), st.integers(0, 10000)), max_size=40)


def picks_from(rows: list[tuple[int, int, int]]) -> Picks:
    columns = np.array(rows, float).reshape(-1, 3)
    return Picks(columns[:, 0], columns[:, 1], columns[:, 2] / 10000)


@given(ROWS)
@MANY_TIMES
def test_coordinate_file_gives_back_what_was_written(tmp_path: Path, rows: list[tuple[int, int, int]]) -> None:
    picks, path = picks_from(rows), tmp_path / "m_autopick.star"
    write_picks(path, picks, digest("settings"))
    again = read_picks(path)
    assert np.array_equal(again.xy, picks.xy)
    assert np.array_equal(again.score, picks.score)
    found = inspect_picks(path)
    assert found.state is State.OURS
    assert (found.settings, found.n_picks) == (digest("settings"), len(rows))
    assert found.above == tuple(int((picks.score >= k / 10).sum()) for k in range(1, 10))


@given(st.lists(st.tuples(FINITE, FINITE, st.floats(0, 1).map(lambda value: round(value, 6))), max_size=10))
@MANY_TIMES
def test_coordinates_of_any_size_survive_to_the_sixth_decimal(tmp_path: Path, rows: list[tuple[float, float, float]]) -> None:
    columns = np.array(rows, float).reshape(-1, 3)
    write_picks(tmp_path / "m.star", Picks(*columns.T))
    again = read_picks(tmp_path / "m.star")
    np.testing.assert_allclose(np.column_stack([again.xy, again.score]), columns, atol=5e-7)


@given(ROWS)
@MANY_TIMES
def test_coordinate_file_holds_nothing_that_relion_dies_of(tmp_path: Path, rows: list[tuple[int, int, int]]) -> None:
    path = tmp_path / "m_autopick.star"
    write_picks(path, picks_from(rows))
    data = path.read_bytes()
    assert b"\r" not in data
    assert data.endswith(b"\n\n")
    head, _, table = data.decode().partition("loop_\n")
    assert head.split("\n") == ["", "# version 30001", head.split("\n")[2], "", "data_", "", ""]
    assert head.split("\n")[2].startswith("# relion_ganpick ")
    lines = table.rstrip("\n").split("\n")
    assert lines[:5] == [
        "_rlnCoordinateX #1",
        "_rlnCoordinateY #2",
        "_rlnAutopickFigureOfMerit #3",
        "_rlnClassNumber #4",
        "_rlnAnglePsi #5",
    ]
    assert len(lines) == 5 + len(rows)
    assert all(len(line.split()) == 5 for line in lines[5:])


def test_counts_are_those_of_all_scored_picks(tmp_path: Path) -> None:
    scored = Picks(np.arange(4.0), np.arange(4.0), np.array([0.95, 0.5, 0.3, 0.05]))
    write_picks(tmp_path / "m.star", scored.above(0.4), scored=scored)
    assert inspect_picks(tmp_path / "m.star").above == (3, 3, 3, 2, 2, 1, 1, 1, 1)
    assert inspect_picks(tmp_path / "m.star").n_picks == 2


def test_missing_coordinate_file_is_missing(tmp_path: Path) -> None:
    assert inspect_picks(tmp_path / "no.star").state is State.MISSING


@pytest.mark.parametrize("kind", ["row taken out", "number changed", "row added", "emptied", "by another program"])
def test_edited_coordinate_file_is_recognised_and_counted(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "m_autopick.star"
    write_picks(path, Picks(np.array([10.0, 20.0]), np.array([30.0, 40.0]), np.array([0.9, 0.7])), digest("s"))
    text = path.read_text()
    rows = [line for line in text.split("\n") if line.endswith(" 0 0.000000")]
    assert len(rows) == 2
    foreign = "data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n1 2\n3 4\n5 6\n\n"
    changed, n_picks = {
        "row taken out": (text.replace(rows[0] + "\n", ""), 1),
        "number changed": (text.replace("10.000000", "11.000000"), 2),
        "row added": (text.replace(rows[1], rows[1] + "\n" + rows[1]), 3),
        "emptied": ("", 0),
        "by another program": (foreign, 3),
    }[kind]
    path.write_text(changed)
    found = inspect_picks(path)
    assert (found.state, found.n_picks, found.settings) == (State.EDITED, n_picks, "")


def test_rows_are_written_and_read_as_starfile_does(tmp_path: Path) -> None:
    """Thousands of files are written and read by a few lines of our own, which must not differ."""
    rng = np.random.default_rng(3)
    picks = Picks(rng.integers(0, 9000, 50).astype(float), rng.integers(0, 9000, 50) + 0.25, rng.uniform(size=50).round(4))
    write_picks(tmp_path / "m.star", picks)
    table = pd.DataFrame({"rlnCoordinateX": picks.x, "rlnCoordinateY": picks.y, "rlnAutopickFigureOfMerit": picks.score})
    table = table.assign(rlnClassNumber=0, rlnAnglePsi=0.0)
    by_library = starfile.to_string({"": table}, sep=" ")
    text = (tmp_path / "m.star").read_text()
    assert text[text.index("data_") :].split() == by_library[by_library.index("data_") :].split()
    assert read_picks(tmp_path / "m.star") == picks
    starfile.write({"optics": table.head(1), "": table}, tmp_path / "two.star")
    assert read_picks(tmp_path / "two.star").x[0] == picks.x[0]


def test_one_pick_without_loop_is_read(tmp_path: Path) -> None:
    path = tmp_path / "one.star"
    path.write_text("data_\n\n_rlnCoordinateX 5\n_rlnCoordinateY 6\n_rlnAutopickFigureOfMerit 0.5\n")
    assert read_picks(path) == Picks(np.array([5.0]), np.array([6.0]), np.array([0.5]))


def test_coordinates_of_other_programs_are_read(tmp_path: Path) -> None:
    path = tmp_path / "manual.star"
    path.write_text("# version 50001\n\ndata_\n\nloop_ \n_rlnCoordinateY #1 \n_rlnCoordinateX #2 \n 7.5 3.25 \n 9 4 \n \n")
    picks = read_picks(path)
    assert picks.xy.tolist() == [[3.25, 7.5], [4, 9]]
    assert picks.score.tolist() == [1, 1]


def test_file_without_coordinates_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "list.star"
    path.write_text("data_coordinate_files\n\nloop_\n_rlnMicrographName #1\n_rlnMicrographCoordinates #2\na.mrc a.star\n\n")
    with pytest.raises(GanpickError, match=r"list\.star: holds no columns _rlnCoordinateX and _rlnCoordinateY"):
        read_picks(path)
    with pytest.raises(GanpickError, match=r"no\.star: not a STAR file that can be read"):
        read_picks(tmp_path / "no.star")


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m_autopick.star"
    write_picks(path, picks_from([(1, 2, 3)]))
    before = path.read_bytes()

    def full(self: Path, data: bytes) -> int:
        with open(self, "wb") as out:
            out.write(data[:40])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write_picks(path, picks_from([(4, 5, 6)]))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_of_killed_processes_are_found(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    left = tmp_path / "a" / f"{TEMPORARY}123-m_autopick.star"
    left.touch()
    (tmp_path / "a" / "m_autopick.star").touch()
    assert list(leftovers(tmp_path)) == [left]
