"""Names of micrographs: stems, which coordinates belong to which, and names that are long, odd, or lead elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryosparc_tool.data.coordinates import Coordinates
from cryosparc_tool.data.exposures import Exposure
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.text import printable
from relion_ganpick.formats.names import find_name, match_names, micrograph_stem, name_stem


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
