"""Names of micrographs: stems, which coordinates belong to which, and names that are long, odd, or lead elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from job_project import JOB

from cryosparc_tool.data.coordinates import Coordinates
from cryosparc_tool.data.exposures import Exposure
from relion_ganpick.core.errors import GanpickError, in_flags
from relion_ganpick.core.files import atomic, fitted, leftovers, write_atomic
from relion_ganpick.core.text import printable
from relion_ganpick.formats.micrographs_star import MicrographEntry
from relion_ganpick.formats.names import find_name, match_names, micrograph_stem, name_stem
from relion_ganpick.relion.inputs import with_a_place
from relion_ganpick.relion.names import pick_file, why_not


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("M/a.mrc", "a"),
        ("a.mrcs", "a"),
        ("a.MRC", "a"),
        ("a.tif", "a"),
        ("a.tiff", "a"),
        ("a.mrc.gz", "a"),
        ("a.mrc.bz2", "a"),
        ("a", "a"),
        ("foo_12.5_frames", "foo_12.5_frames"),
        ("foo_12.0_frames.mrc", "foo_12.0_frames"),
        ("2024.01.02_a.mrc", "2024.01.02_a"),
        (".mrc", ".mrc"),
    ],
)
def test_only_known_extensions_are_cut_off(name: str, stem: str) -> None:
    assert name_stem(name) == stem


def test_suffix_of_the_picker_may_stand_behind_an_extension() -> None:
    assert micrograph_stem("x/foo_12.5_frames_autopick.star") == "foo_12.5_frames"
    assert micrograph_stem("a.mrc_autopick.star") == "a"


@pytest.mark.parametrize(
    ("stem", "names", "expected"),
    [
        ("1001_mic_10_patch", ["mic_1"], None),
        ("1001_mic_1_patch", ["mic_1"], "mic_1"),
        ("1001_mic_1-patch", ["mic_1"], "mic_1"),
        ("1001_mic_1.aligned", ["mic_1"], "mic_1"),
        ("cosmic_1_patch", ["mic_1"], None),
        ("mic_1b_patch", ["mic_1"], None),
        ("mic_1é_patch", ["mic_1"], None),
        ("foo_12.5_frames", ["foo_12"], None),
        ("007_foo_12.5_frames_patch", ["foo_12.0_frames", "foo_12.5_frames"], "foo_12.5_frames"),
        ("1001_grid2_mic_1_patch", ["mic_1", "grid2_mic_1"], "grid2_mic_1"),
        ("mic_1", ["1001_mic_1_patch"], "1001_mic_1_patch"),
        ("mic_1", ["1001_mic_10_patch"], None),
        ("mic_1", ["mic_1", "1001_mic_1"], "mic_1"),
    ],
)
def test_name_is_found_at_the_edges_of_words_only(stem: str, names: list[str], expected: str | None) -> None:
    assert find_name(stem, names) == expected


@pytest.mark.parametrize(
    ("stem", "names", "message"),
    [
        ("1001_mic_1_grid_7", ["grid_7", "mic_1"], "grid_7 and mic_1 are both part of the name 1001_mic_1_grid_7"),
        ("mic_1", ["1001_mic_1", "2001_mic_1"], "1001_mic_1 and 2001_mic_1 both hold the name mic_1"),
    ],
)
def test_two_names_that_fit_are_ambiguous(stem: str, names: list[str], message: str) -> None:
    with pytest.raises(GanpickError, match=message):
        find_name(stem, names)


def test_each_coordinate_file_serves_one_micrograph() -> None:
    stems = ["1001_mic_1_patch", "2001_mic_1_patch", "1002_mic_2_patch", "mic_3", "x_mic_3"]
    found = match_names(stems, {"mic_1", "mic_2", "mic_3"})
    assert [name for name, _ in found] == [None, None, "mic_2", "mic_3", None]
    assert found[0][1] == "mic_1 may be of 2001_mic_1_patch as well, and serves one micrograph only"
    assert found[4][1] == "mic_3 may be of mic_3 as well, and serves one micrograph only"
    assert match_names(["a", "a"], {"a"}) == [(None, "a may be of a as well, and serves one micrograph only")] * 2
    assert match_names(["a"], {"b"}) == [(None, "")]


def test_exposures_get_no_coordinates_of_another_micrograph(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"mic_{number}.csv").write_text(f"x,y\n{number},{number}\n")
    paths = [f"J2/motioncorrected/{1000 + k}_mic_{n}_patch_aligned.mrc" for k, n in enumerate((1, 2, 2, 10, 20))]
    exposures = [Exposure(uid, path, (100, 100), 1.0, 1) for uid, path in enumerate(paths)]
    coordinates = Coordinates([tmp_path], False, exposures)
    found = [coordinates.of(each) for each in exposures]
    assert [None if picks is None else picks.x.tolist() for picks, _ in found] == [[1.0], None, None, None, None]
    assert "mic_2 may be of 1002_mic_2_patch_aligned as well" in found[1][1]
    assert found[3][1].endswith("there are no coordinates for a micrograph of this name")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("M/a b.mrc", "M/a b.mrc"),
        ("Mäuse/粒子.mrc", "Mäuse/粒子.mrc"),
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("a\rb\x07", "a\\x0db\\x07"),
        ("caf\udce9", "caf\\xe9"),
        ("a\u202eb", "a\\u202eb"),
        ("two\nlines\t", "two\nlines\t"),
    ],
)
def test_names_are_shown_so_that_a_terminal_does_nothing_with_them(text: str, shown: str) -> None:
    assert printable(text) == shown
    printable(text).encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("give `diameter`, or `gpu`.", "give --diameter, or --gpu."),
        ("too small (`diameter`)", "too small (--diameter)"),
        ("M/`ls`.mrc: give `angpix`", "M/`ls`.mrc: give --angpix"),
        ("`ls`.mrc and a`b`c.mrc", "`ls`.mrc and a`b`c.mrc"),
    ],
)
def test_names_of_files_in_backticks_are_not_taken_for_options(text: str, shown: str) -> None:
    assert in_flags(text) == shown


# names that are long, or lead elsewhere

LONG = "m" * 251 + ".mrc"


@pytest.mark.parametrize("stem", ["m" * 251, "ä" * 125, "\udce4" * 251, "a" * 230 + "ö" * 10])
def test_long_names_are_shortened_to_fit_and_stay_apart(tmp_path: Path, stem: str) -> None:
    short = fitted(stem)
    assert len(os.fsencode(short)) <= 231
    assert short != fitted(stem[:-1] + "x")
    assert fitted(short) == short
    with atomic(tmp_path / f"{short}_contamination_mask.png") as temporary:
        temporary.touch()
    assert fitted("m" * 231) == "m" * 231


@pytest.mark.parametrize("name", ["m" * 255, "m" * 241 + "_autopick.star", "ä" * 120 + ".png"])
def test_file_with_the_longest_name_is_written(tmp_path: Path, name: str) -> None:
    write_atomic(tmp_path / name, "text")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert list(leftovers(tmp_path)) == []


def test_coordinate_file_of_a_long_name_has_a_shorter_one_for_relion_4_and_5() -> None:
    assert len(Path(pick_file(JOB, f"M/{LONG}")).name) == 245
    assert why_not(JOB, f"M/{LONG}", keep_inside=True) is None
    assert "has 265 bytes, but 255 are allowed" in str(why_not(JOB, f"M/{LONG}", keep_inside=False))
    assert why_not(JOB, "m" * 241 + ".mrc", keep_inside=False) is None


@pytest.mark.parametrize("name", ["coords_suffix.mrc", "MotionCorr/job002/coords_suffix.tif", "./coords_suffix.mrc"])
@pytest.mark.parametrize("keep_inside", [True, False])
def test_micrograph_cannot_take_the_name_of_relions_list(name: str, keep_inside: bool) -> None:
    assert "name of RELION's list" in str(why_not(JOB, name, keep_inside))
    assert why_not(JOB, f"M/{Path(name).name}", keep_inside) is None


@pytest.mark.parametrize(
    ("name", "leaves"),
    [
        ("../../../m.mrc", True),
        ("MotionCorr/job002/../../../m.mrc", True),
        ("a/../../../../m.mrc", True),
        ("../m.mrc", False),
        ("../../m.mrc", False),
        ("a/../m.mrc", False),
        ("/data/m.mrc", False),
        ("/../../../../m.mrc", True),
    ],
)
def test_coordinate_file_never_leaves_the_project(name: str, leaves: bool) -> None:
    reason = why_not(JOB, name, keep_inside=False)
    assert (reason is not None and "outside of the project's folder" in reason) is leaves
    assert why_not(JOB, name, keep_inside=True) is None


def test_micrographs_without_a_place_are_left_out_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    entries = [MicrographEntry(name, 1.0) for name in ("../../../a.mrc", "M/b.mrc", "coords_suffix.mrc")]
    assert with_a_place(entries, JOB, keep_inside=False) == [entries[1]]
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["../../../a.mrc", "coords_suffix.mrc"]
    with pytest.raises(GanpickError, match="no micrograph could be used"):
        with_a_place(entries[:1], JOB, keep_inside=False)
