"""STAR files in and out: names, pixel sizes, coordinate files, and what RELION's reader would die of."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import numpy as np
import pandas as pd
import pytest
import starfile
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from job_project import GOLDEN, JOB

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import TEMPORARY, leftovers
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.micrographs_star import MicrographEntry, read_micrographs
from relion_ganpick.formats.pick_files import State, digest, inspect_picks, read_picks, write_picks
from relion_ganpick.relion.generation import GENERATIONS, find_generation, star_text
from relion_ganpick.relion.inputs import read_input
from relion_ganpick.relion.names import inside_stem, pick_file, pipeline_stem, scores_file
from relion_ganpick.relion.outputs import write_lists, write_manual_pick_settings

MANY_TIMES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PART = st.from_regex(r"[A-Za-z0-9_.+@%=,-]{1,12}", fullmatch=True).filter(lambda part: set(part) != {"."})
BLANKS = st.from_regex(r"[A-Za-z0-9_ .-]{1,12}", fullmatch=True).filter(lambda part: set(part) != {"."} and part.strip() == part)

# names


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


# micrographs STAR files


def star(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "micrographs.star"
    path.write_text(dedent(text))
    return path


@pytest.mark.parametrize("generation", GENERATIONS)
def test_motion_corrections_own_output_is_read(generation: str) -> None:
    assert read_micrographs(GOLDEN / generation / "corrected_micrographs.star") == [
        MicrographEntry("MotionCorr/job002/Movies/day1/movA.mrc", 1.5),
        MicrographEntry("MotionCorr/job002/Movies/day1/movB.mrc", 1.5),
    ]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_movies_are_refused_with_the_way_out(generation: str) -> None:
    with pytest.raises(GanpickError, match=r"movies\.star: holds movies; run motion correction"):
        read_micrographs(GOLDEN / generation / "movies.star")


def test_relion_3_0_file_gives_its_pixel_size_by_magnification(tmp_path: Path) -> None:
    path = star(
        tmp_path,
        """
        data_

        loop_
        _rlnMicrographName #1
        _rlnMagnification #2
        _rlnDetectorPixelSize #3
        m1.mrc 33333.333 5.0
        m2.mrc 50000 5.0

        """,
    )
    (first, second) = read_micrographs(path)
    assert first.pixel_size == pytest.approx(1.5)
    assert second.pixel_size == pytest.approx(1.0)


def test_each_micrograph_has_the_pixel_size_of_its_optics_group(tmp_path: Path) -> None:
    path = star(
        tmp_path,
        """
        data_optics

        loop_
        _rlnOpticsGroup #1
        _rlnMicrographOriginalPixelSize #2
        _rlnMicrographPixelSize #3
        3 0.5 3.0
        1 0.5 1.0

        data_micrographs

        loop_
        _rlnMicrographName #1
        _rlnOpticsGroup #2
        a.mrc 1
        b.mrc 3
        c.mrc 1

        """,
    )
    assert [entry.pixel_size for entry in read_micrographs(path, angpix=9)] == [1.0, 3.0, 1.0]


OPTICS = "data_optics\n\nloop_\n_rlnOpticsGroup #1\n{column} #2\n1 {value}\n\n"
TABLE = "data_micrographs\n\nloop_\n_rlnMicrographName #1\n_rlnOpticsGroup #2\na.mrc 1\n\n"


@pytest.mark.parametrize(
    ("column", "angpix", "expected"),
    [
        ("_rlnMicrographPixelSize", 9.0, 2.0),
        ("_rlnImagePixelSize", 9.0, 2.0),
        ("_rlnMicrographOriginalPixelSize", 9.0, 9.0),
        ("_rlnMicrographOriginalPixelSize", None, None),
    ],
)
def test_pixel_size_falls_back_in_order(tmp_path: Path, column: str, angpix: float | None, expected: float | None) -> None:
    path = star(tmp_path, OPTICS.format(column=column, value=2.0) + TABLE)
    assert read_micrographs(path, angpix) == [MicrographEntry("a.mrc", expected)]


@pytest.mark.parametrize("column", ["_rlnMicrographPixelSize", "_rlnImagePixelSize"])
def test_pixel_size_in_the_micrographs_table_counts_without_optics(tmp_path: Path, column: str) -> None:
    path = star(tmp_path, f"data_micrographs\n\nloop_\n_rlnMicrographName #1\n{column} #2\na.mrc 1.25\n\n")
    assert read_micrographs(path, 9.0) == [MicrographEntry("a.mrc", 1.25)]


def test_table_of_one_row_without_loop_is_read(tmp_path: Path) -> None:
    path = star(tmp_path, "data_micrographs\n\n_rlnMicrographName a.mrc\n_rlnMicrographPixelSize 1.5\n\n")
    assert read_micrographs(path) == [MicrographEntry("a.mrc", 1.5)]


def test_tabs_are_understood_and_windows_line_ends_are_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "m.star"
    text = (OPTICS.format(column="_rlnMicrographPixelSize", value=2.0) + TABLE).replace(" ", "\t")
    path.write_text(text)
    assert read_micrographs(path) == [MicrographEntry("a.mrc", 2.0)]
    path.write_bytes(text.replace("\n", "\r\n").encode())
    with pytest.raises(GanpickError, match=r"m\.star: line 1 ends as on Windows \(CR LF\).*: run dos2unix"):
        read_micrographs(path)


@pytest.mark.parametrize("names", [["data_set1/a.mrc", "data_set1/b.mrc"], ["data_1.mrc", "mic.mrc", "data_2.mrc"]])
def test_names_that_begin_like_a_block_are_read(tmp_path: Path, names: list[str]) -> None:
    rows = "".join(f"{name} 1 \n" for name in names)
    path = star(tmp_path, OPTICS.format(column="_rlnMicrographPixelSize", value=2.0) + TABLE.replace("a.mrc 1\n", rows) + " \n")
    assert read_micrographs(path) == [MicrographEntry(name, 2.0) for name in names]


def test_one_column_of_names_is_read(tmp_path: Path) -> None:
    path = star(tmp_path, "data_micrographs\n\nloop_\n_rlnMicrographName #1\ndata_set1/a.mrc\ndata_set1/b.mrc\n\n")
    assert [entry.name for entry in read_micrographs(path)] == ["data_set1/a.mrc", "data_set1/b.mrc"]


def test_name_that_stands_there_twice_counts_once(tmp_path: Path) -> None:
    path = star(tmp_path, "data_micrographs\n\nloop_\n_rlnMicrographName #1\n_rlnOpticsGroup #2\nb.mrc 1\na.mrc 1\nb.mrc 1\n\n")
    assert [entry.name for entry in read_micrographs(path)] == ["b.mrc", "a.mrc"]


@pytest.mark.parametrize(
    "names",
    [
        ("M/a.mrc", "M/a.tif"),
        ("MotionCorr/job002/M/a.mrc", "MotionCorr/job003/M/a.mrc"),
        ("/M/a.mrc", "M/a.mrc"),
    ],
)
def test_micrographs_that_would_share_a_coordinate_file_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    path = star(tmp_path, "data_micrographs\n\nloop_\n_rlnMicrographName #1\n_rlnOpticsGroup #2\n{} 1\n{} 1\n\n".format(*names))
    with pytest.raises(GanpickError, match=f"{names[0]} and {names[1]} would share one coordinate file"):
        read_input(path)


def with_pixel_size(value: object, table: str = TABLE) -> str:
    return OPTICS.format(column="_rlnMicrographPixelSize", value=value) + table


NO_ROWS = "data_micrographs\n\nloop_\n_rlnMicrographName #1\n_rlnOpticsGroup #2\n\n"
NO_GROUP = "data_optics\n\nloop_\n_rlnVoltage #1\n_rlnFoo #2\n300 1\n\n"
BAD_INPUTS = {
    "other table": ("data_x\n\nloop_\n_rlnFoo #1\n_rlnBar #2\n1 2\n\n", r"no column _rlnMicrographName in its blocks \(x\)"),
    "empty table": (NO_ROWS, "holds no micrographs: its table is empty"),
    "empty file": ("", "is empty; write or copy the file again"),
    "text": ("dear diary\n", "no column _rlnMicrographName"),
    "zero pixel size": (with_pixel_size(0), "a.mrc has a pixel size of 0 A"),
    "negative pixel size": (with_pixel_size(-1), "a.mrc has a pixel size of -1 A"),
    "word for a pixel size": (with_pixel_size("big"), "something that is not a number"),
    "unknown optics group": (with_pixel_size(1, TABLE.replace("a.mrc 1", "a.mrc 7")), "optics group 7"),
    "optics without group": (NO_GROUP + TABLE, "no column _rlnOpticsGroup"),
}


@pytest.mark.parametrize("kind", BAD_INPUTS)
def test_bad_input_is_refused_with_file_and_reason(tmp_path: Path, kind: str) -> None:
    text, reason = BAD_INPUTS[kind]
    path = star(tmp_path, text)
    with pytest.raises(GanpickError, match=rf"micrographs\.star: .*{reason}"):
        read_micrographs(path)


def test_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.star"
    path.write_bytes(bytes(range(128, 256)) * 20)
    with pytest.raises(GanpickError, match=r"m\.star: "):
        read_micrographs(path)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GanpickError, match=r"no\.star: no such file; give `in_mics`"):
        read_micrographs(tmp_path / "no.star")
    with pytest.raises(GanpickError, match="not a STAR file that can be read"):
        read_micrographs(tmp_path)


# lists and generations


@given(st.lists(st.lists(BLANKS, min_size=1, max_size=3).map("/".join).map("M/{}".format), min_size=1, max_size=8, unique=True))
@MANY_TIMES
def test_names_with_blanks_come_back_from_a_list(tmp_path: Path, names: list[str]) -> None:
    columns = {"rlnMicrographName": [f"{n}.mrc" for n in names], "rlnMicrographCoordinates": [f"J/{n}.star" for n in names]}
    path = tmp_path / "autopick.star"
    path.write_text(star_text({"coordinate_files": columns}, GENERATIONS["5.0"]))
    text = path.read_text()
    again = starfile.read(path, always_dict=True)["coordinate_files"]
    assert again["rlnMicrographName"].tolist() == columns["rlnMicrographName"]
    assert again["rlnMicrographCoordinates"].tolist() == columns["rlnMicrographCoordinates"]
    assert text.endswith("\n\n")
    assert "\r" not in text
    for name in columns["rlnMicrographName"]:
        assert (f'"{name}"\t' if " " in name else f"{name}\t") in text


@pytest.mark.parametrize(("generation", "version"), [("3.1", 30001), ("4.0", 30001), ("5.0", 50001)])
def test_lists_bear_the_generations_version_and_no_date(generation: str, version: int) -> None:
    text = star_text({"x": {"rlnA": [1], "rlnB": [2]}}, GENERATIONS[generation])
    assert text == f"\n# version {version}\n\ndata_x\n\nloop_\n_rlnA #1\n_rlnB #2\n1\t2\n\n"


@pytest.mark.parametrize("generation", GENERATIONS)
def test_generation_is_found_in_the_job_star_that_relion_wrote(generation: str) -> None:
    assert find_generation(GOLDEN / generation / "job.star") is GENERATIONS[generation]


def test_generation_without_job_star_is_the_newest_unless_told(tmp_path: Path) -> None:
    assert find_generation(tmp_path / "job.star").name == "5.0"
    assert find_generation(tmp_path / "job.star", "3.1").name == "3.1"
    assert find_generation(GOLDEN / "5.0" / "job.star", "4.0").name == "4.0"
    with pytest.raises(GanpickError, match=r"--relion_version 6: give one of 3\.1, 4\.0, 5\.0"):
        find_generation(tmp_path / "job.star", "6")


def test_later_versions_count_as_relion_5_and_early_betas_as_4(tmp_path: Path) -> None:
    path = tmp_path / "job.star"
    path.write_text("# version 60002\n\ndata_job\n\n_rlnJobTypeLabel relion.external\n")
    assert find_generation(path).name == "5.0"
    path.write_text("# version 30001\n\ndata_job\n\n_rlnJobTypeLabel relion.external\n")
    assert find_generation(path).name == "4.0"


def test_lists_name_only_micrographs_with_a_coordinate_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_picks(Path(pick_file(JOB, "M/a.mrc")), Picks.none())
    write_picks(Path(pick_file(JOB, "M/c.mrc")), Picks.none())
    assert write_lists(JOB, "mics.star", ["M/a.mrc", "M/b.mrc", "M/c.mrc"], GENERATIONS["5.0"]) == 2
    text = (tmp_path / JOB / "autopick.star").read_text()
    rows = [line for line in text.split("\n") if ".mrc" in line]
    assert rows == [f"M/{n}.mrc\t{JOB}M/{n}_autopick.star" for n in "ac"]
    assert (tmp_path / JOB / "coords_suffix_autopick.star").read_text() == "mics.star\n"


def test_nothing_is_declared_while_nothing_is_picked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / JOB).mkdir(parents=True)
    assert write_lists(JOB, "mics.star", ["M/a.mrc"], GENERATIONS["5.0"]) == 0
    assert list((tmp_path / JOB).iterdir()) == []


@pytest.mark.parametrize("generation", GENERATIONS)
def test_display_settings_are_written_once(tmp_path: Path, generation: str) -> None:
    assert write_manual_pick_settings(tmp_path, 180.0, 1.234567, GENERATIONS[generation])
    path = tmp_path / ".gui_manualpickjob.star"
    blocks = starfile.read(path, always_dict=True)
    values = dict(
        zip(blocks["joboptions_values"]["rlnJobOptionVariable"], blocks["joboptions_values"]["rlnJobOptionValue"], strict=True)
    )
    assert float(values["diameter"]) == 180
    assert float(values["angpix"]) == pytest.approx(1.23457)
    job = dict(blocks["job"])
    assert job.pop("rlnJobIsContinue") == 0
    assert job == ({"rlnJobType": 3} if generation == "3.1" else {"rlnJobTypeLabel": "relion.manualpick", "rlnJobIsTomo": 0})
    before = path.read_bytes()
    assert not write_manual_pick_settings(tmp_path, 90.0, 2.0, GENERATIONS[generation])
    assert path.read_bytes() == before
