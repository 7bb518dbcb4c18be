"""Layouts of STAR files that RELION reads or refuses: ours does the same, and says which line is wrong and what to do."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from relion_reader import relion_reads

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.formats.micrographs_star import MicrographEntry, read_defocus, read_micrographs
from relion_ganpick.formats.star import quoted, read_star, split_words

HEAD = "\n# version 30001\n\n"
OPTICS = (
    HEAD
    + """data_optics

loop_
_rlnOpticsGroupName #1
_rlnOpticsGroup #2
_rlnMicrographPixelSize #3
_rlnVoltage #4
_rlnSphericalAberration #5
_rlnAmplitudeContrast #6
og1 1 3.0 300 2.7 0.1

"""
)
TWO = (
    HEAD
    + """data_micrographs

loop_
_rlnMicrographName #1
_rlnOpticsGroup #2
a.mrc 1
b.mrc 1

"""
)
THREE = TWO.replace("_rlnOpticsGroup #2\n", "_rlnOpticsGroup #2\n_rlnDefocusU #3\n").replace("mrc 1", "mrc 1 9000")
OLD = """data_

loop_
_rlnMicrographName #1
_rlnMagnification #2
_rlnDetectorPixelSize #3
_rlnVoltage #4
_rlnSphericalAberration #5
_rlnAmplitudeContrast #6
a.mrc 20000 6 300 2.7 0.1
b.mrc 20000 6 300 2.7 0.1

"""
PLAIN = OPTICS + TWO
BOTH = ["a.mrc", "b.mrc"]


def rows(*lines: str) -> str:
    """A whole file with these rows."""
    return OPTICS + TWO.replace("a.mrc 1\nb.mrc 1\n", "".join(f"{line}\n" for line in lines))


READ = {
    "as RELION writes it": (PLAIN, BOTH),
    "version of RELION 5": (PLAIN.replace("30001", "50001"), BOTH),
    "blank line after loop_": (PLAIN.replace("loop_", "loop_\n"), BOTH),
    "comments after loop_": (PLAIN.replace("loop_", "loop_\n# columns\n; more\n"), BOTH),
    "blank and comment between columns": (PLAIN.replace("_rlnOpticsGroup #2", "\n# c\n_rlnOpticsGroup #2"), BOTH),
    "comment before the first row": (rows("# first", "a.mrc 1", "b.mrc 1"), BOTH),
    "comment behind a row": (rows("a.mrc 1 # first", "b.mrc 1 #"), BOTH),
    "comment behind loop_": (PLAIN.replace("loop_", "loop_ # table"), BOTH),
    "blanks before rows": (rows("   a.mrc 1", "\tb.mrc 1"), BOTH),
    "blanks before columns, loop_ and blocks": (
        PLAIN.replace("_rln", " \t_rln").replace("loop_", "  loop_").replace("data_", " data_"),
        BOTH,
    ),
    "blank behind a block's name": (PLAIN.replace("data_micrographs", "data_micrographs  "), BOTH),
    "columns without numbers": (PLAIN.replace(" #1\n", "\n").replace(" #2\n", "\n"), BOTH),
    "tabs": (rows("a.mrc\t1", "b.mrc\t\t1"), BOTH),
    "empty block first": (HEAD + "data_general\n\n" + PLAIN, BOTH),
    "empty block of the same name": (OPTICS + "data_micrographs\n\n" + TWO, BOTH),
    "block of pairs first": (HEAD + "data_general\n\n_rlnTomoName x\n" + PLAIN, BOTH),
    "micrographs before optics": (TWO + OPTICS, BOTH),
    "word of a comment like a block": ("# data_optics\n" + OPTICS + "# not data_micrographs\n" + TWO, BOTH),
    "no line break at the end": (PLAIN.rstrip("\n"), BOTH),
    "Windows line ends in rows only": (rows("a.mrc 1\r", "b.mrc 1\r"), BOTH),
    "group 1.000000 among micrographs": (rows("a.mrc 1.000000", "b.mrc +1"), BOTH),
    "group 1.0 in the optics table": (PLAIN.replace("og1 1 ", "og1 1.0 "), BOTH),
    "one micrograph as pairs": (OPTICS + HEAD + "data_micrographs\n\n_rlnMicrographName a.mrc\n_rlnOpticsGroup 1\n", ["a.mrc"]),
    "unknown columns": (THREE.replace("rlnDefocusU", "wrpSomething") + OPTICS, BOTH),
    "RELION 3.0": (OLD, BOTH),
    "RELION 3.0 with a block's name": (OLD.replace("data_", "data_images"), BOTH),
    "RELION 3.0 with text behind the block": (OLD.replace("data_", "data_ # written by hand"), BOTH),
    "hash within a name": (rows("grid#1/a.mrc 1", "b#.mrc 1"), ["grid#1/a.mrc", "b#.mrc"]),
    "apostrophe within a name": (rows("O'Brien/a.mrc 1", "b'.mrc 1"), ["O'Brien/a.mrc", "b'.mrc"]),
    "quotation mark within a name": (rows('5"/a.mrc 1', 'b"c".mrc 1'), ['5"/a.mrc', 'b"c".mrc']),
    "names in quotation marks": (rows('"a b.mrc" 1', "'c d.mrc' 1"), ["a b.mrc", "c d.mrc"]),
    "quotation marks in others": (rows("'a \"b\" c.mrc' 1", '"it\'s b.mrc" 1'), ['a "b" c.mrc', "it's b.mrc"]),
    "quotation mark in the same ones": (rows('"a"b c.mrc" 1', "b.mrc 1"), ['a"b c.mrc', "b.mrc"]),
    "hash first, in quotation marks": (rows('"#1.mrc" 1', "b.mrc 1"), ["#1.mrc", "b.mrc"]),
    "runs of blanks in quotation marks": (rows('"a   b.mrc" 1', "b.mrc 1"), ["a b.mrc", "b.mrc"]),
    "names like blocks": (rows("data_optics/a.mrc 1", "loop_b.mrc 1"), ["data_optics/a.mrc", "loop_b.mrc"]),
    "underscore first in a later row": (rows("a.mrc 1", "_b.mrc 1"), ["a.mrc", "_b.mrc"]),
    "semicolon first in a later row": (rows("a.mrc 1", ";b.mrc 1"), ["a.mrc", ";b.mrc"]),
    "letters of all kinds": (rows("Mäuse/a.mrc 1", "粒子.mrc 1"), ["Mäuse/a.mrc", "粒子.mrc"]),
    "blank of another kind": (rows("a\u00a0b.mrc 1", "c\u2028d.mrc 1"), ["a\u00a0b.mrc", "c\u2028d.mrc"]),
    "control characters": (rows("a\x1b[31m.mrc 1", "b\x0b\x07.mrc 1"), ["a\x1b[31m.mrc", "b.mrc"]),
    "byte order mark": ("\ufeff" + PLAIN, BOTH),
    "two tables of micrographs": (PLAIN + TWO.replace("a.mrc", "c.mrc"), BOTH),
    "blank line between rows": (rows("a.mrc 1", "", "b.mrc 1"), ["a.mrc"]),
    "stop_ behind the table": (PLAIN + "stop_\n", BOTH),
    "end mark of DOS behind the table": (PLAIN + "\x1a", BOTH),
    "group -1": (PLAIN.replace("og1 1 ", "og1 -1 ").replace("mrc 1", "mrc -1"), BOTH),
    "groups that are 1 up to the first letter": (rows("a.mrc 1e1", "b.mrc 1_0"), BOTH),
    "hash right behind the last word": (rows("a.mrc 1#c", "b.mrc 1"), BOTH),
    "quotation mark doubled as CIF does": (rows("'a''b.mrc' 1", "b.mrc 1"), ["a''b.mrc", "b.mrc"]),
    "200 more columns": (
        OPTICS
        + TWO.replace("#2\n", "#2\n" + "".join(f"_x{k} #{k + 3}\n" for k in range(200))).replace("mrc 1", "mrc 1" + " 5" * 200),
        BOTH,
    ),
    "name of 800 characters": (rows("d/" * 400 + "a.mrc 1", "b.mrc 1"), ["d/" * 400 + "a.mrc", "b.mrc"]),
    "characters of shells and addresses": (
        rows("$HOME/a%20b.mrc 1", "~/a\\b.mrc 1", "1@a.mrcs 1"),
        ["$HOME/a%20b.mrc", "~/a\\b.mrc", "1@a.mrcs"],
    ),
    "characters that are not seen": (rows("a\u200b\x1c.mrc 1", "b\x85.mrc 1"), ["a\u200b\x1c.mrc", "b\x85.mrc"]),
    "no version": (PLAIN.replace("# version 30001", ""), BOTH),
    "version between those of 3.1 and 5": (PLAIN.replace("30001", "30002"), BOTH),
}

REFUSED = {
    "comment between rows": (rows("a.mrc 1", "# second", "b.mrc 1"), r"line 24: RELION takes a comment between rows for a row"),
    "last row cut short": (PLAIN.rstrip("\n")[:-2], r"the file's last row is incomplete: 1 of 2 words \(b\.mrc\); write or copy"),
    "last row cut in its name": (rows("a.mrc 1").rstrip("\n") + "\nb.m", r"the file's last row is incomplete"),
    "row cut short": (rows("a.mrc", "b.mrc 1"), r"line 23 is incomplete: 1 of 2 words"),
    "row of three cut short": (OPTICS + THREE.replace("a.mrc 1 9000", "a.mrc 1"), r"line 24 is incomplete: 2 of 3 words"),
    "word too many": (rows("a.mrc 1", "b c.mrc 1"), r"line 24 has 3 words for 2 columns .*quotation marks"),
    "quotation mark not closed": (rows('"a.mrc 1', "b.mrc 1"), r"line 23: a quotation mark is not closed"),
    "column twice": (
        PLAIN.replace("#2\na.mrc 1\nb.mrc 1", "#2\n_rlnOpticsGroup #3\na.mrc 1 1"),
        r"line 23: .*stands there twice",
    ),
    "text behind the block's name": (
        PLAIN.replace("data_micrographs", "data_micrographs of today"),
        r"line 18: RELION takes what stands behind data_micrographs \(of today\) .*delete it",
    ),
    "tab behind the block's name": (PLAIN.replace("data_micrographs", "data_micrographs\t"), r"line 18: .*\(a tab\)"),
    "Windows line ends": (PLAIN.replace("\n", "\r\n"), r"line 4 ends as on Windows \(CR LF\).*dos2unix"),
    "unknown optics group": (rows("a.mrc 1", "b.mrc 2"), r"line 24: optics group 2 is used"),
    "word for an optics group": (rows("a.mrc x", "b.mrc 1"), r"line 23: column _rlnOpticsGroup .*not a number \('x'\)"),
    "no rows": (OPTICS + TWO.replace("a.mrc 1\nb.mrc 1\n", ""), r"line 18: holds no micrographs"),
    "no rows, and another block": (TWO.replace("a.mrc 1\nb.mrc 1\n", "") + OPTICS, r"line 13: the table before it is empty"),
    "no name": (rows('"" 1', "b.mrc 1"), r"line 23: the micrograph's name is empty"),
    "no name but quotation marks": (rows("a.mrc 1", "'\"\"' 1"), r"line 24: the micrograph's name is empty"),
    "form feed in place of a blank": (rows("a.mrc\x0c1", "b.mrc 1"), r"line 23 is incomplete: 1 of 2 words"),
    "capital LOOP_": (PLAIN.replace("loop_", "LOOP_"), r"line 21: nothing stands behind _rlnMicrographName"),
    "capital block": (PLAIN.replace("data_micrographs", "data_Micrographs"), r"no column _rlnMicrographName"),
    "text of several lines as CIF does": (rows(";", "a.mrc", ";", "1", "b.mrc 1"), r"line 24 is incomplete: 1 of 2 words"),
    "loop_ twice": (PLAIN.replace("loop_", "loop_\nloop_"), r"line 22 has 1 words for 0 columns \(loop_\)"),
    "column without its underscore": (PLAIN.replace("_rlnMicrographName", "rlnMicrographName"), r"line 21 has 1 words"),
    "digits of another script": (rows("a.mrc \uff11", "b.mrc 1"), r"line 23: column _rlnOpticsGroup .*not a number"),
    "group nan": (rows("a.mrc nan", "b.mrc 1"), r"line 23: column _rlnOpticsGroup .*not a number \('nan'\)"),
    "group 0x1": (rows("a.mrc 0x1", "b.mrc 1"), r"line 23: optics group 0 is used"),
    "quotation mark alone": (rows("' 1", "b.mrc 1"), r"line 23: a quotation mark is not closed"),
    "line ends of an old Macintosh": (PLAIN.replace("\n", "\r"), r"its lines end as on an old Macintosh .*run mac2unix"),
    "underscore first in the first row": (rows("_a.mrc 1", "b.mrc 1"), r"line 24 is incomplete: 2 of 3 words"),
}


def written(folder: Path, text: str) -> Path:
    path = folder / "mics.star"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


@pytest.mark.parametrize("layout", READ)
def test_layout_is_read_as_relion_reads_it(tmp_path: Path, layout: str) -> None:
    text, names = READ[layout]
    assert read_micrographs(written(tmp_path, text)) == [MicrographEntry(name, 3.0) for name in names]


@pytest.mark.parametrize("layout", REFUSED)
def test_what_relion_cannot_read_is_refused_with_line_and_way_out(tmp_path: Path, layout: str) -> None:
    text, message = REFUSED[layout]
    with pytest.raises(GanpickError, match=rf"mics\.star: {message}"):
        read_micrographs(written(tmp_path, text))


@pytest.mark.relion
@pytest.mark.parametrize("layout", READ)
def test_relion_reads_the_same(tmp_path: Path, layout: str) -> None:
    text, names = READ[layout]
    found = relion_reads(written(tmp_path, text), tmp_path / "out.star")
    assert found == [(name, 3.0) for name in names]


@pytest.mark.relion
@pytest.mark.parametrize("layout", REFUSED)
def test_relion_refuses_the_same_or_finds_rows_without_names(tmp_path: Path, layout: str) -> None:
    found = relion_reads(written(tmp_path, REFUSED[layout][0]), tmp_path / "out.star")
    assert isinstance(found, str) or any(name == "" for name, _ in found)


def test_names_that_are_not_utf_8_are_read_and_come_back_as_paths(tmp_path: Path) -> None:
    path = tmp_path / "mics.star"
    path.write_bytes(rows("M\udce4use.mrc 1").encode("utf-8", "surrogateescape"))
    (entry,) = read_micrographs(path)
    (tmp_path / entry.name).touch()
    assert b"M\xe4use.mrc" in [bytes(each.name, "utf-8", "surrogateescape") for each in tmp_path.iterdir()]


@pytest.mark.parametrize("end", [b"\0\0\0\0", b"\n\0\0", b"a.m\0\0"])
def test_nul_bytes_of_a_crash_are_refused_with_the_line(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "mics.star"
    path.write_bytes(PLAIN.rstrip("\n").encode() + end)
    with pytest.raises(GanpickError, match=r"mics\.star: line 2[45]: NUL bytes.*rows may be missing; write or copy"):
        read_micrographs(path)


def test_utf_16_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mics.star"
    for encoding in ("utf-16", "utf-16-be"):
        path.write_bytes((b"\xfe\xff" if encoding.endswith("be") else b"") + PLAIN.encode(encoding))
        with pytest.raises(GanpickError, match=r"mics\.star: is written in UTF-16, .*save it as UTF-8"):
            read_micrographs(path)


@pytest.mark.parametrize("data", [b"", b"\0" * 512])
def test_file_without_contents_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "mics.star").write_bytes(data)
    with pytest.raises(GanpickError, match=r"mics\.star: is empty; write or copy the file again"):
        read_micrographs(tmp_path / "mics.star")


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (READ["two tables of micrographs"][0], r"has 2 blocks data_micrographs (lines 18, 29): as RELION does, only the first"),
        (READ["blank line between rows"][0], "a blank line ends the table for RELION, so line 25 and what follows are not read"),
        (
            PLAIN.replace("MicrographPixelSize", "ImagePixelSize"),
            "its optics table has no _rlnMicrographPixelSize: as RELION does, _rlnImagePixelSize is used",
        ),
        (
            OPTICS + THREE.replace("rlnDefocusU", "rlnMicrographPixelSize"),
            "_rlnMicrographPixelSize of the optics table and of the micrographs differ",
        ),
    ],
)
def test_what_relion_leaves_out_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, warning: str) -> None:
    with caplog.at_level(logging.WARNING, "relion_ganpick"):
        assert read_micrographs(written(tmp_path, text))[0] == MicrographEntry("a.mrc", 3.0)
    (record,) = caplog.records
    assert warning in record.getMessage()


def test_nothing_is_said_about_a_file_as_relion_writes_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "relion_ganpick"):
        read_micrographs(written(tmp_path, PLAIN))
    assert not caplog.records


def test_each_micrograph_may_have_its_own_pixel_size_beside_an_optics_table(tmp_path: Path) -> None:
    table = TWO.replace("#2\na.mrc 1\nb.mrc 1", "#2\n_rlnMicrographPixelSize #3\na.mrc 1 1.5\nb.mrc 1 2.5")
    optics = OPTICS.replace("_rlnMicrographPixelSize #3", "_rlnMicrographOriginalPixelSize #3")
    path = written(tmp_path, optics + table)
    assert [entry.pixel_size for entry in read_micrographs(path, 9.0)] == [1.5, 2.5]


OTHERS = {
    "particles of 3.1": (
        OPTICS.replace("MicrographPixelSize", "ImagePixelSize")
        + THREE.replace("data_micrographs", "data_particles").replace("rlnDefocusU", "rlnImageName"),
        r"line 18: holds particles: give the micrographs STAR file that they were extracted from",
    ),
    "particles of 3.0": (
        OLD.replace("_rlnVoltage", "_rlnImageName"),
        r"line 1: holds particles: give the micrographs STAR file that they were extracted from",
    ),
    "coordinates": (
        "data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n1 2\n\n",
        r"line 1: holds coordinates: give the micrographs",
    ),
    "list of coordinate files": (
        "data_coordinate_files\n\nloop_\n_rlnMicrographName #1\n_rlnMicrographCoordinates #2\na.mrc a.star\n\n",
        r"line 1: holds a list of coordinate files: give the micrographs STAR file that they were picked on",
    ),
    "movies": (
        OPTICS + TWO.replace("micrographs", "movies").replace("MicrographName", "MicrographMovieName"),
        r"holds movies; run",
    ),
    "tilt series": ("data_global\n\nloop_\n_rlnTomoName #1\n_rlnMicrographName #2\nTS a.mrc\n\n", r"line 1: holds tilt series"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_lists_are_refused_by_what_they_are(tmp_path: Path, kind: str) -> None:
    text, message = OTHERS[kind]
    with pytest.raises(GanpickError, match=rf"mics\.star: {message}"):
        read_micrographs(written(tmp_path, text))


@pytest.mark.parametrize("word", ["None", "1,5", "nan", "inf", "1_0", "3.0x", "٣"])
def test_pixel_size_that_is_no_number_is_refused_with_its_line(tmp_path: Path, word: str) -> None:
    path = written(tmp_path, PLAIN.replace("og1 1 3.0", f"og1 1 {word}"))
    with pytest.raises(GanpickError, match=rf"mics\.star: line 13: column _rlnMicrographPixelSize holds .*\('{word}'\)"):
        read_micrographs(path)


def test_defocus_is_the_mean_and_missing_where_it_is_no_number(tmp_path: Path) -> None:
    text = OPTICS + THREE.replace("_rlnDefocusU #3", "_rlnDefocusU #3\n_rlnDefocusV #4").replace("1 9000", "1 9000 11000")
    assert read_defocus(written(tmp_path, text)) == {"a.mrc": 10000.0, "b.mrc": 10000.0}
    assert read_defocus(written(tmp_path, text.replace("b.mrc 1 9000", "b.mrc 1 nan"))) == {"a.mrc": 10000.0}
    assert read_defocus(written(tmp_path, PLAIN)) == {}


@pytest.mark.parametrize(
    "word", ["a.mrc", "a b", 'a "b" c', "it's a", "#1", "_x", "data_x", "loop_", "", "'", '"', 'a"', "; x", "a' b\""]
)
def test_words_come_back_from_what_is_written(word: str) -> None:
    assert split_words(f"{quoted(word)} 1") == [word, "1"]


def test_word_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(GanpickError, match="both kinds of quotation marks"):
        quoted("a\" b' c")


def test_first_block_of_a_name_and_the_very_first_one(tmp_path: Path) -> None:
    file = read_star(written(tmp_path, PLAIN))
    first = file.table("")
    assert first is not None
    assert (first.name, first.line, first.words("rlnOpticsGroupName")) == ("optics", 4, ["og1"])
    assert file.table("nothing") is None
    assert file.blocks() == [("optics", 4), ("micrographs", 18)]
