"""Picks of any program into the files of any other: each format's own rule, round trips, and what the commands do."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import starfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relion_ganpick.cli import main
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import read_json_object
from relion_ganpick.core.merge import merge
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.exchange import FORMATS, in_our_rows, read_picks_of, write_picks_of
from relion_ganpick.formats.micrograph_list import completed, known_micrographs
from relion_ganpick.formats.micrograph_picks import MicrographPicks
from relion_ganpick.formats.names import find_name

HEIGHT, WIDTH = 300, 400
PLACES = st.lists(st.tuples(st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), st.integers(1, 9999)), min_size=1, max_size=8)
ROUNDING = {"cbox": 1e-6, "topaz": 1e-5, "cs": 1e-6}


def picks(*rows: tuple[float, float, float]) -> Picks:
    table = np.array(rows, float).reshape(-1, 3)
    return Picks(table[:, 0], table[:, 1], table[:, 2])


def micrograph(name: str, *rows: tuple[float, float, float], box: float | None = 60) -> MicrographPicks:
    return MicrographPicks(name, picks(*rows), True, box, Path("test"), (HEIGHT, WIDTH), 2.5)


def target(folder: Path, form: str) -> Path:
    return folder / (f"all{FORMATS[form].suffix}" if FORMATS[form].write is not None else "each")


def written(path: Path) -> Path:
    """The only file in a folder, or the file."""
    return next(path.iterdir()) if path.is_dir() else path


def write_mrc(path: Path, height: int = HEIGHT) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(path) as file:
        file.set_data(np.zeros((height, WIDTH), np.int8))
        file.voxel_size = 2.5


@pytest.mark.parametrize("form", list(FORMATS))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=PLACES)
def test_picks_come_back_from_every_format(tmp_path: Path, form: str, rows: list[tuple[int, int, int]]) -> None:
    out = target(tmp_path, form)
    original = micrograph("Micrographs/mic1.mrc", *((x, y, merit / 10000) for x, y, merit in rows))
    write_picks_of([original], FORMATS[form], out)
    (found,) = read_picks_of([out])
    assert found.stem == "mic1"
    order, back = (np.lexsort(each.xy.T) for each in (original.picks, found.picks))
    np.testing.assert_allclose(found.picks.xy[back], original.picks.xy[order], atol=1e-3)
    if form in ("box", "eman2"):  # have no place for them
        assert not found.scored
    else:
        assert sorted(found.picks.score) == pytest.approx(sorted(original.picks.score), abs=ROUNDING.get(form, 1e-9))
    if FORMATS[form].needs_box:
        assert found.box == 60


@pytest.mark.parametrize(("source", "to"), list(product(FORMATS, FORMATS)))
def test_every_format_goes_into_every_other(tmp_path: Path, source: str, to: str) -> None:
    write_mrc(tmp_path / "Micrographs/mic1.mrc")
    original = micrograph(str(tmp_path / "Micrographs/mic1.mrc"), (10, 20, 0.75), (390, 280, 0.5))
    first, second = target(tmp_path / "first", source), target(tmp_path / "second", to)
    write_picks_of([original], FORMATS[source], first)
    words = ["convert", str(first), "--to", to, "--out", str(second), "--diameter", "150"]
    assert main([*words, "--micrographs", str(tmp_path / "Micrographs")]) == 0
    found = {each.stem: each for each in read_picks_of([second], FORMATS[to])}
    assert set(found) == {"mic1"}
    np.testing.assert_allclose(sorted(map(tuple, found["mic1"].picks.xy)), [(10, 20), (390, 280)], atol=1e-3)


def test_box_files_have_the_corner_half_a_box_before_the_centre(tmp_path: Path) -> None:
    for form in ("box", "cbox"):
        write_picks_of([micrograph("a.mrc", (100, 50, 0.9))], FORMATS[form], tmp_path / form)
    assert (tmp_path / "box/a.box").read_text() == "70\t20\t60\t60\n"
    table = starfile.read(tmp_path / "cbox/a.cbox")["cryolo"]
    row = table if isinstance(table, dict) else table.iloc[0]
    assert [float(row[name]) for name in ("CoordinateX", "CoordinateY", "Width", "Height", "Confidence")] == [70, 20, 60, 60, 0.9]


def test_coco_measures_from_the_corner_of_the_first_pixel(tmp_path: Path) -> None:
    write_picks_of([micrograph("a.mrc", (100, 50, 0.9)), micrograph("b.mrc")], FORMATS["coco"], tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["annotations"][0]["bbox"] == [70.5, 20.5, 60, 60]
    assert content["images"][0] == {"id": 1, "file_name": "a.mrc", "width": WIDTH, "height": HEIGHT}
    assert [each["file_name"] for each in content["images"]] == ["a.mrc", "b.mrc"]


def test_topaz_scores_are_log_odds(tmp_path: Path) -> None:
    write_picks_of([micrograph("m/a.mrc", (3, 4, 0.5), (5, 6, 0.9))], FORMATS["topaz"], tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == "image_name\tx_coord\ty_coord\tscore\na\t3\t4\t0\na\t5\t6\t2.19722\n"


@pytest.mark.parametrize(("form", "y"), [("topaz", 279), ("coco", 279), ("cbox", 20), ("star", 20), ("csv", 20)])
def test_rows_of_tiff_files_are_turned_where_the_format_counts_them_as_they_lie(tmp_path: Path, form: str, y: int) -> None:
    original = micrograph("a.tif", (10, 20, 0.5))
    out = target(tmp_path, form)
    write_picks_of([original], FORMATS[form], out)
    (found,) = read_picks_of([out])
    assert found.picks.y.tolist() == [y]
    (ours,) = in_our_rows([replace(found, name="a.tif", shape=(HEIGHT, WIDTH))])
    assert ours.picks.y.tolist() == [20]


def test_eman2_keeps_what_else_is_in_its_file(tmp_path: Path) -> None:
    (tmp_path / "a_info.json").write_text('{"ctf": [1, 2], "boxes": [[1, 1, "manual"]]}')
    write_picks_of([micrograph("a.mrc", (10, 20, 0.5))], FORMATS["eman2"], tmp_path)
    assert json.loads((tmp_path / "a_info.json").read_text()) == {"ctf": [1, 2], "boxes": [[10, 20, "manual"]]}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.box", "1 2 3\n", "is no box"),
        ("a.box", "1 2 x 4\n", "column 3 holds 'x'"),
        ("a.cbox", "data_other\n\nloop_\n_CoordinateX #1\n1\n2\n", "no block data_cryolo"),
        ("a.json", '{"boxes": [[1, 2, 3, "manual"]]}', "tomograms"),
        ("a.json", '{"else": 1}', "not a file of picks that is known"),
        ("a.txt", "image_name\tx_coord\nmic\t1\n", "column y_coord is missing"),
        ("a.txt", "image_name\tx_coord\ty_coord\nmic\t1\tq\n", "y_coord holds 'q'"),
        ("a.csv", "micrograph,x\nmic,1\n", "column y is missing"),
        ("a.xyz", "1 2\n", "not a file of picks that is known"),
        ("a.json", '{"annotations": [{"image_id": 1}], "images": []}', "not a COCO file"),
    ],
)
def test_bad_file_is_named_with_what_is_wrong(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(GanpickError, match=message) as caught:
        read_picks_of([tmp_path / name])
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((2**40,), "<f4"),
        ((2**62,), "<f4"),
        ((-5,), "<f4"),
        ((2**35,), [("uid", "<u8")]),
        ((2**40,), "|V0"),
        ((1,), "|S2000000000"),
    ],
)
def test_dataset_that_says_it_is_larger_than_its_file_costs_no_memory(tmp_path: Path, shape: tuple[int], kind: object) -> None:
    path = tmp_path / "x.cs"
    head = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode().ljust(117) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
    with pytest.raises(GanpickError, match=rf"x\.cs: truncated: its header says {shape[0]} rows of \d+ bytes, but 0 bytes are"):
        read_picks_of([path])


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, '{"a": ' + "9" * 10_000 + "}"])
def test_json_that_no_reader_can_hold_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(GanpickError, match=r"x\.json: not a JSON file that can be read"):
        read_json_object(tmp_path / "x.json")
    with pytest.raises(GanpickError, match=r"x\.json: not a file of picks that is known"):
        read_picks_of([tmp_path / "x.json"])


def test_json_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "mic_info.json").write_bytes(b"\xef\xbb\xbf" + b'{"boxes": [[10, 20, "manual"]]}')
    assert read_picks_of([tmp_path / "mic_info.json"])[0].picks.xy.tolist() == [[10, 20]]


def test_fifth_column_of_a_box_file_is_a_merit_only_if_it_can_be_one(tmp_path: Path) -> None:
    (tmp_path / "a.box").write_text("0 0 10 10 0.5\n2 2 10 10 0.25\n")
    (tmp_path / "b.box").write_text("0 0 10 10 -3\n")
    a, b = read_picks_of([tmp_path / "a.box", tmp_path / "b.box"])
    assert a.scored
    assert a.picks.score.tolist() == [0.5, 0.25]
    assert not b.scored


def test_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    nothing_known = MicrographPicks("a", picks((1, 2, 0.5)), source=Path("a.csv"))
    for form, message in (("box", "how large are the boxes"), ("cs", "without its extension"), ("coco", "size of micrograph")):
        with pytest.raises(GanpickError, match=message):
            write_picks_of([nothing_known], FORMATS[form], target(tmp_path, form))
    with pytest.raises(GanpickError, match="without its extension"):
        write_picks_of([nothing_known], FORMATS["star"], tmp_path / "a.star")
    with pytest.raises(GanpickError, match="would write the same file"):
        write_picks_of([micrograph("x/a.mrc"), micrograph("y/a.mrc")], FORMATS["box"], tmp_path / "each")
    with pytest.raises(GanpickError, match="give a folder"):
        write_picks_of([micrograph("a.mrc")], FORMATS["box"], tmp_path / "a.box")
    with pytest.raises(GanpickError, match=r"ends with \.txt"):
        write_picks_of([micrograph("a.mrc")], FORMATS["topaz"], tmp_path / "folder")


def test_picks_by_hand_stay_at_any_threshold_and_are_sure_elsewhere(tmp_path: Path) -> None:
    edited = micrograph("a.mrc", (1, 2, -999), (30, 40, 0.3), (50, 60, 0.8)).above(0.5)
    assert edited.picks.score.tolist() == [-999, 0.8]
    write_picks_of([edited], FORMATS["cbox"], tmp_path)
    assert sorted(read_picks_of([tmp_path])[0].picks.score) == [0.8, 1.0]


@pytest.mark.parametrize(
    ("stem", "names", "expected"),
    [
        ("mic_10", ["mic_1"], None),
        ("mic_1", ["mic_10"], None),
        ("1001_mic_1_patch_aligned_doseweighted", ["mic_1", "mic"], "mic_1"),
        ("0012_mic7_patch", ["mic7", "mic70"], "mic7"),
        ("mic7", ["0012_mic7_patch"], "0012_mic7_patch"),
        ("mic7", ["mic7", "mic7_patch"], "mic7"),
    ],
)
def test_name_of_another_micrograph_is_not_taken(stem: str, names: list[str], expected: str | None) -> None:
    assert find_name(stem, names) == expected


def test_names_sizes_and_numbers_come_from_the_list_of_micrographs(tmp_path: Path) -> None:
    kind = [("uid", "<u8"), ("micrograph_blob/path", "S40"), ("micrograph_blob/shape", "<u4", (2,))]
    kind += [("micrograph_blob/psize_A", "<f4"), ("mscope_params/exp_group_id", "<u4")]
    table = np.array([(77, ">J2/motioncorrected/0012_mic7_patch.mrc", (HEIGHT, WIDTH), 1.06, 4)], kind)
    with (tmp_path / "exposures.cs").open("wb") as out:
        np.save(out, table)
    (tmp_path / "mic7.csv").write_text("x,y,score\n40,30,0.5\n")
    out_file = tmp_path / "picks.cs"
    words = ["convert", str(tmp_path / "mic7.csv"), "--to", "cs", "--out", str(out_file)]
    assert main([*words, "--micrographs", str(tmp_path / "exposures.cs")]) == 0
    (found,) = read_picks_of([out_file])
    assert found.name == "J2/motioncorrected/0012_mic7_patch.mrc"
    assert (found.uid, found.group, found.pixel_size, found.shape) == (77, 4, 1.06, (HEIGHT, WIDTH))
    assert found.picks == picks((40, 30, 0.5))


def test_micrograph_that_is_not_on_the_list_is_an_error(tmp_path: Path) -> None:
    write_mrc(tmp_path / "m/mic1.mrc")
    known = known_micrographs([tmp_path / "m"])
    with pytest.raises(GanpickError, match="mic2 is not among"):
        completed([micrograph("mic2")], known)
    assert completed([micrograph("mic1")], known)[0].name == str(tmp_path / "m/mic1.mrc")


def test_picks_of_smaller_pictures_are_scaled_and_flipped_on_request(tmp_path: Path) -> None:
    write_mrc(tmp_path / "m/a.mrc")
    (tmp_path / "a.csv").write_text("x,y\n10,20\n")
    words = ["convert", str(tmp_path / "a.csv"), "--to", "csv", "--out", str(tmp_path / "out.csv"), "--scale", "4", "--flip_y"]
    assert main([*words, "--micrographs", str(tmp_path / "m")]) == 0
    assert (tmp_path / "out.csv").read_text() == f"micrograph,x,y\n{tmp_path}/m/a.mrc,40.0,219.0\n"


POINTS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=12, unique=True)


@given(sources=st.lists(POINTS, min_size=2, max_size=4), at_least=st.integers(1, 2))
@settings(max_examples=60, deadline=None)
def test_merged_picks_use_each_pick_once_and_join_only_what_is_near(sources: list[list[tuple[int, int]]], at_least: int) -> None:
    given_picks = [picks(*((x, y, (number + 1) / 10) for x, y in rows)) for number, rows in enumerate(sources)]
    everything = merge(given_picks, 5.0)
    assert everything.count.sum() == sum(map(len, given_picks))
    assert (np.isfinite(everything.merit).sum(axis=0) == [len(each) for each in given_picks]).all()
    kept = merge(given_picks, 5.0, at_least)
    assert (kept.count >= at_least).all()
    assert len(kept.picks) == (everything.count >= at_least).sum()


def test_merge_takes_the_mean_place_and_the_merit_of_the_first() -> None:
    found = merge([picks((0, 0, 0.5), (50, 50, 0.9)), picks((2, 0, 0.7), (90, 90, 0.4))], 5)
    assert found.picks == picks((1, 0, 0.5), (50, 50, 0.9), (90, 90, 0.4))
    np.testing.assert_array_equal(found.merit, [[0.5, 0.7], [0.9, np.nan], [np.nan, 0.4]])
    assert merge([picks((0, 0, 0.5), (50, 50, 0.9)), picks((2, 0, 0.7), (90, 90, 0.4))], 5, 2).picks == picks((1, 0, 0.5))


def test_two_near_picks_of_one_source_stay_two() -> None:
    assert len(merge([picks((0, 0, 0.5), (3, 0, 0.5)), picks((1, 0, 0.7))], 5).picks) == 2


def test_merge_writes_who_has_found_which(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("image_name\tx_coord\ty_coord\tscore\nmic1\t10\t10\t0\nmic1\t200\t200\t2\n")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/mic1.csv").write_text("x,y,score\n12,10,0.9\n")
    (tmp_path / "b/mic2.csv").write_text("x,y,score\n7,8,0.6\n")
    inputs = [str(tmp_path / "a.txt"), str(tmp_path / "b")]
    words = ["merge", *inputs, "--to", "csv", "--diameter", "40", "--angpix", "2", "--out"]
    assert main([*words, str(tmp_path / "both.csv"), "--at_least", "2"]) == 0
    assert (tmp_path / "both.csv").read_text() == "micrograph,x,y,score\nmic1,11.0,10.0,0.5\n"
    assert main([*words, str(tmp_path / "any.csv")]) == 0
    lines = (tmp_path / "any_sources.csv").read_text().splitlines()
    assert lines[0] == f"micrograph,x,y,score,count,sources,score of {inputs[0]},score of {inputs[1]}"
    assert lines[1] == f"mic1,11.0,10.0,0.5,2,{inputs[0]};{inputs[1]},0.5,0.9"
    assert lines[3] == f"mic2,7.0,8.0,0.6,1,{inputs[1]},,0.6"
    assert "3 picks of 2 micrographs" in capsys.readouterr().out
    assert main([*words[:-3], "--out", str(tmp_path / "any.csv")]) == 1
    assert "Give --angpix" in capsys.readouterr().err
