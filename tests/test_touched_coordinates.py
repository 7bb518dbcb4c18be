"""Coordinate files that a crash, another program or a person has touched: none ends a job, none is lost without a word."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.coordinates import read_coordinates
from relion_ganpick.formats.pick_files import State, can_be_read, digest, inspect_picks, read_picks, write_edited, write_picks

HEAD = "data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n_rlnAutopickFigureOfMerit #3\n"


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    path = tmp_path / "m_autopick.star"
    write_picks(path, Picks(np.arange(40.0), np.arange(40.0), np.full(40, 0.5)), digest("s"))
    return path


def test_file_of_ours_that_was_cut_off_anywhere_is_damaged_or_ours(ours: Path) -> None:
    whole = ours.read_bytes()
    states = set()
    for end in range(1, len(whole)):
        ours.write_bytes(whole[:end])
        states.add(inspect_picks(ours).state)
        if whole[end - 1 : end] != b"\n":
            assert inspect_picks(ours).state is State.DAMAGED, whole[:end]
            assert not can_be_read(ours)
    assert State.OURS not in states


@pytest.mark.parametrize("end", [b"\0" * 40, b"\0"])
def test_file_of_ours_that_ends_in_nul_bytes_is_damaged(ours: Path, end: bytes) -> None:
    ours.write_bytes(ours.read_bytes()[: -len(end)] + end)
    assert inspect_picks(ours).state is State.DAMAGED
    ours.write_bytes(b"\0" * 4096)
    assert inspect_picks(ours).state is State.DAMAGED


def test_empty_file_is_what_relions_display_leaves_where_all_picks_were_deleted(ours: Path) -> None:
    ours.write_bytes(b"")
    found = inspect_picks(ours)
    assert (found.state, found.n_picks) == (State.EDITED, 0)
    assert "RELION's Display" in found.reason
    assert len(read_picks(ours)) == 0
    assert can_be_read(ours)


TOUCHED = {
    "figure of merit None": (HEAD + "1 2 0.5\n3 4 None\n\n", r"line 8: column _rlnAutopickFigureOfMerit .*\('None'\)"),
    "coordinate nan": (HEAD + "1 nan 0.5\n\n", r"line 7: column _rlnCoordinateY .*\('nan'\)"),
    "half a row": (HEAD + "1 2 0.5\n3 4", r"the file's last row is incomplete: 2 of 3 words"),
    "missing column": (HEAD.replace("CoordinateY", "Foo") + "1 2 3\n\n", "holds no columns _rlnCoordinateX and _rlnCoordinateY"),
    "no table": ("hello\n", "holds no columns _rlnCoordinateX and _rlnCoordinateY"),
    "coordinate inf": (HEAD + "inf 2 0.5\n\n", r"line 7: column _rlnCoordinateX .*\('inf'\)"),
    "decimal comma": (HEAD + "1,5 2 0.5\n\n", r"line 7: column _rlnCoordinateX .*\('1,5'\)"),
    "digits of another script": (HEAD + "1_0 2 0.5\n\n", r"line 7: column _rlnCoordinateX .*\('1_0'\)"),
    "figure of merit empty": (HEAD + "1 2 ''\n\n", r"line 7: column _rlnAutopickFigureOfMerit .*\(''\)"),
    "column twice": (HEAD.replace("CoordinateY", "CoordinateX") + "1 2 3\n\n", r"line 5: .*stands there twice"),
    "conflict of two versions": (HEAD + "<<< a b\n1 2 0.5\n===\n\n", r"line 9 is incomplete: 1 of 3 words"),
    "page of a web server": ("<html>404</html>\n", "holds no columns"),
    "packed": (gzip.compress(HEAD.encode(), mtime=0).decode("latin1"), "NUL bytes"),
    "UTF-16": (b"\xff\xfed\x00a\x00".decode("latin1"), "UTF-16"),
    "line ends of an old Macintosh": (HEAD.replace("\n", "\r"), "its lines end as on an old Macintosh"),
    "binary": (b"\xff\xfd\x01\x00".decode("latin1"), "NUL bytes"),
}


@pytest.mark.parametrize("kind", TOUCHED)
def test_file_of_others_that_cannot_be_read_says_why(tmp_path: Path, kind: str) -> None:
    text, reason = TOUCHED[kind]
    path = tmp_path / "m_autopick.star"
    path.write_bytes(text.encode("latin1"))
    found = inspect_picks(path)
    assert found.state is State.UNREADABLE
    assert not found.reason.startswith(str(path))
    assert not can_be_read(path)
    with pytest.raises(GanpickError, match=rf"m_autopick\.star: .*{reason}"):
        read_picks(path)


def test_folder_in_the_place_of_a_coordinate_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "m_autopick.star").mkdir()
    assert inspect_picks(tmp_path / "m_autopick.star").state is State.UNREADABLE


def test_pipe_or_device_in_the_place_of_a_coordinate_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.star")  # whose end never comes
    (tmp_path / "zero.star").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        found = inspect_picks(tmp_path / f"{name}.star")
        assert (found.state, found.reason) == (State.UNREADABLE, "cannot be read (no regular file)")


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (HEAD + "'1' \"2\" 0.5\n\n", [[1, 2]]),
        (HEAD + "-5 -7 0.5\n\n", [[-5, -7]]),
        (HEAD + "1 2 0.5\n\n" + HEAD + "3 4 0.5\n\n", [[1, 2]]),
        (HEAD + "1 2 0.5\n\nsome text\n", [[1, 2]]),
        (HEAD, []),
        (HEAD.replace("data_\n", "data_particles\n") + "1 2 0.5\n", [[1, 2]]),
    ],
)
def test_odd_files_that_can_be_read_are_read(tmp_path: Path, text: str, places: list[list[float]]) -> None:
    path = tmp_path / "m_autopick.star"
    path.write_text(text)
    assert inspect_picks(path).state is State.EDITED
    assert read_picks(path).xy.tolist() == places
    assert read_coordinates([path])["m"].picks.xy.tolist() == places


def test_coordinates_in_layouts_that_only_relion_reads(tmp_path: Path) -> None:
    path = tmp_path / "m.star"
    path.write_text(HEAD.replace("loop_\n", "loop_\n\n# by hand\n") + "  1\t2   0.5 # first\n3 4 0.25\n\n")
    assert read_picks(path).xy.tolist() == [[1, 2], [3, 4]]
    assert read_picks(path).score.tolist() == [0.5, 0.25]
    assert read_coordinates([path])["m"].picks.xy.tolist() == [[1, 2], [3, 4]]


def test_windows_line_ends_do_not_matter_in_coordinates(tmp_path: Path) -> None:
    path = tmp_path / "m.star"
    path.write_bytes((HEAD + "1 2 0.5\n\n").replace("\n", "\r\n").encode())
    assert read_picks(path).xy.tolist() == [[1, 2]]


def test_edited_rows_keep_the_columns_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m.star"
    path.write_text("data_\n\nloop_\n_rlnClassNumber #1\n_rlnCoordinateX #2\n_rlnCoordinateY #3\n7 1 2\n7 9 9\n\n")
    write_edited(path, Picks(np.array([1.0, 5.0]), np.array([2.0, 6.0]), np.array([1.0, 0.75])))
    rows = [list(map(float, line.split())) for line in path.read_text().splitlines() if line[:1].isdigit()]
    assert rows == [[7, 1, 2], [0, 5, 6]]
