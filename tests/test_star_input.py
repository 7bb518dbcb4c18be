"""Micrographs STAR files of RELION 3.0 to 5: names, pixel sizes, and what is refused."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from job_project import GOLDEN

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.formats.micrographs_star import MicrographEntry, read_micrographs
from relion_ganpick.relion.generation import GENERATIONS
from relion_ganpick.relion.inputs import read_input


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
