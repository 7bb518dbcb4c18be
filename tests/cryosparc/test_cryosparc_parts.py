"""Parts that need no server: columns, local power, coordinates of other programs, the cache."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from cryosparc_tool.console import Console
from cryosparc_tool.data.coordinates import Coordinates
from cryosparc_tool.data.dataset import FIELDS, all_fields, pick_columns
from cryosparc_tool.data.exposures import Exposure, choose_output
from cryosparc_tool.data.files import MicrographFiles, MissingError
from cryosparc_tool.data.power import RatedPicks, RatingPicker
from cryosparc_tool.server.interface import SourceOutput
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.micrograph import Micrograph
from relion_ganpick.core.power import local_power
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.model.weights import load_model

SHAPE = (100, 200)
EXPOSURE = Exposure(7, "J1/motioncorrected/0012_mic7_patch_aligned.mrc", SHAPE, 2.0, 3)


def rated(x: list[float], y: list[float]) -> RatedPicks:
    n = len(x)
    return RatedPicks(np.array(x), np.array(y), np.full(n, 0.5), np.full(n, 2.0))


def test_columns_have_the_types_and_shapes_that_cryosparc_needs() -> None:
    columns = pick_columns([(EXPOSURE, rated([0, 50, 199], [0, 99, 10])), (EXPOSURE, rated([], []))], 25.0)
    assert set(columns) == {field[0] for field in FIELDS}
    for name, kind, *shape in FIELDS:
        assert columns[name].dtype == np.dtype(kind), name
        assert columns[name].shape == (3, *(shape[0] if shape else ())), name


def test_index_k_of_n_pixels_is_stored_as_k_over_n_without_a_flip() -> None:
    columns = pick_columns([(EXPOSURE, rated([0, 50, 199], [0, 99, 10]))], 25.0)
    assert columns["location/center_x_frac"].tolist() == [0, 0.25, np.float32(199 / 200)]
    assert columns["location/center_y_frac"].tolist() == [0, np.float32(0.99), np.float32(0.1)]
    assert columns["location/micrograph_shape"].tolist() == [[100, 200]] * 3


def test_columns_of_no_picks_are_empty_and_typed() -> None:
    for items in ([], [(EXPOSURE, rated([], []))]):
        columns = pick_columns(items, 25.0)
        assert {len(values) for values in columns.values()} == {0}
        assert columns["location/micrograph_shape"].shape == (0, 2)


def test_pixel_position_survives_the_fraction_of_a_large_micrograph() -> None:
    """float32 has 24 bits: the fraction of an index below 11520 comes back to the same index."""
    large = Exposure(1, "a.mrc", (8184, 11520), 0.5, 1)
    x, y = np.arange(0, 11520.0, 7), np.linspace(0, 8183, len(np.arange(0, 11520, 7))).round()
    columns = pick_columns([(large, rated(list(x), list(y)))], 25.0)
    assert (np.rint(columns["location/center_x_frac"] * np.float32(11520)) == x).all()
    assert (np.rint(columns["location/center_y_frac"] * np.float32(8184)) == y).all()


def test_columns_that_only_the_server_knows_are_kept() -> None:
    fields = all_fields([("location/micrograph_uid", "<u8"), ("location/new_thing", "<f4")])
    assert fields[1] == ("location/new_thing", "<f4")
    assert len(fields) == len(FIELDS) + 1


def test_power_is_one_on_noise_and_high_on_ice() -> None:
    rng = np.random.default_rng(1)
    picture = rng.normal(size=(200, 200)).astype(np.float32)
    picture[20:60, 20:60] *= 4
    power = local_power(picture, np.array([150.0, 40.0]), np.array([150.0, 40.0]), 16)
    whole = float(np.square(picture).mean())
    assert power[0] == pytest.approx(1 / whole, rel=0.3)
    assert power[1] == pytest.approx(16 / whole, rel=0.3)


def test_power_at_the_edge_counts_only_what_is_there() -> None:
    picture = np.random.default_rng(1).normal(size=(120, 120)).astype(np.float32)
    assert local_power(picture, np.array([0.0]), np.array([0.0]), 16)[0] == pytest.approx(1, rel=0.4)


def test_power_is_taken_at_the_picks_of_a_micrograph_with_a_frame() -> None:
    """A narrow band of ice: the pick in it has much power and the other one has not, whatever frame the file has."""
    rng = np.random.default_rng(3)
    pixels = rng.normal(size=(360, 480)).astype(np.float32)
    pixels[:, 395:446] *= 3
    pixels[:, :40] = 0
    picker = RatingPicker(PickSettings(diameter=60.0), "cpu", load_model("default").by_heights())
    prepared = picker.prepare(Micrograph(pixels, 3.0, "a.mrc"))
    marked = np.zeros_like(prepared.picture)
    fx, fy = prepared.scale.factors
    for column in (120, 420):
        left, top = (column - prepared.area.left) / fx, (180 - prepared.area.top) / fy
        marked[int(top) - 1 : int(top) + 3, int(left) - 1 : int(left) + 3] = 1
    picks = picker.locate(prepared, marked[None])
    power = dict(zip((picks.x > 300).tolist(), picks.power.tolist(), strict=True))
    assert prepared.area.left == 40
    assert len(picks) == 2
    assert power[True] > 4 * power[False]


def test_threshold_keeps_power_with_its_pick() -> None:
    picks = RatedPicks(np.arange(3.0), np.zeros(3), np.array([0.1, 0.9, 0.5]), np.array([7.0, 8.0, 9.0]))
    assert picks.above(0.4).power.tolist() == [8.0, 9.0]


def write_csv(folder: Path, stem: str, rows: list[tuple[float, float]]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{stem}.csv").write_text("x,y\n" + "".join(f"{x},{y}\n" for x, y in rows))


@pytest.mark.parametrize(("flip", "expected"), [(False, [0.0, 30.0]), (True, [99.0, 69.0])])
def test_coordinates_are_matched_by_name_and_flipped_on_request(tmp_path: Path, flip: bool, expected: list[float]) -> None:
    write_csv(tmp_path, "mic7", [(10, 0), (20, 30)])
    write_csv(tmp_path, "mic8", [(1, 1)])
    picks, problem = Coordinates([tmp_path], flip).of(EXPOSURE)
    assert problem == ""
    assert picks is not None
    assert picks.y.tolist() == expected
    assert picks.x.tolist() == [10, 20]


@pytest.mark.parametrize(
    ("stem", "at", "message"),
    [("other", (1.0, 1.0), "no coordinates for a micrograph of this name"), ("mic7", (1.0, 100.0), "another binning")],
)
def test_coordinates_that_do_not_fit_are_refused(tmp_path: Path, stem: str, at: tuple[float, float], message: str) -> None:
    write_csv(tmp_path, stem, [at])
    picks, problem = Coordinates([tmp_path], False).of(EXPOSURE)
    assert picks is None
    assert message in problem


def test_file_of_coordinates_that_cannot_be_read_costs_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_csv(tmp_path, "mic7", [(1, 1)])
    (tmp_path / "mic8.csv").write_text("x,z\n1,2\n")
    found = Coordinates([tmp_path], False)
    assert found.of(EXPOSURE)[0] is not None
    first, second = (each.getMessage() for each in caplog.records)
    assert first == f"{tmp_path}/mic8.csv: column y is missing; the first line must name x and y; left out: mend it, or delete it"
    assert second == "1 file left out, as it cannot be read (see above)"
    (tmp_path / "mic7.csv").unlink()
    with pytest.raises(GanpickError, match="no file of coordinates could be used"):
        Coordinates([tmp_path], False)


def test_coordinates_of_the_longest_matching_name_are_taken(tmp_path: Path) -> None:
    write_csv(tmp_path, "mic7", [(1, 1)])
    write_csv(tmp_path, "mic7_patch", [(2, 2)])
    picks, _ = Coordinates([tmp_path], False).of(EXPOSURE)
    assert picks is not None
    assert picks.x.tolist() == [2]


def source(
    name: str, kind: str = "exposure", slots: tuple[str, ...] = ("micrograph_blob", "mscope_params"), n: int | None = 3
) -> SourceOutput:
    return SourceOutput(name, kind, slots, n)


@pytest.mark.parametrize(
    ("outputs", "chosen"),
    [
        ([source("imported_micrographs")], "imported_micrographs"),
        ([source("particles", "particle"), source("exposures")], "exposures"),
        ([source("movies", slots=("movie_blob", "mscope_params")), source("micrographs")], "micrographs"),
        ([source("micrographs"), source("micrographs_incomplete", n=2)], "micrographs"),
        ([source("exposures_accepted", n=0), source("split_1")], "split_1"),
        ([source("exposures_rejected")], "exposures_rejected"),
    ],
)
def test_output_is_chosen_by_type(outputs: list[SourceOutput], chosen: str) -> None:
    assert choose_output(outputs, "J1", None) == chosen


@pytest.mark.parametrize(
    ("outputs", "wanted", "message"),
    [
        ([], None, "J1 has no output of exposures"),
        ([source("a"), source("b")], None, "give `output` one of a, b"),
        ([source("a", "particle")], "a", "holds particles, not exposures"),
        ([source("a", slots=("movie_blob",))], "a", "lacks micrograph_blob and mscope_params"),
        ([source("a")], "b", "no such output; its outputs: a"),
    ],
)
def test_output_that_cannot_be_used_is_explained(outputs: list[SourceOutput], wanted: str | None, message: str) -> None:
    with pytest.raises(GanpickError, match=message):
        choose_output(outputs, "J1", wanted)


class Downloads:
    """Counts what lies in the cache while files are fetched."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.lock = threading.Lock()

    def __call__(self, path: str, target: Path) -> None:
        with self.lock:
            self.names.append(path)
        target.write_bytes(b"m" * 10)


def exposures(n: int, shape: tuple[int, int] = (500, 500)) -> list[Exposure]:
    return [Exposure(k, f"J1/m{k}.mrc", shape, 1.0, 1) for k in range(n)]


def test_cache_is_bounded_and_emptied(tmp_path: Path) -> None:
    """Room for three micrographs of a million bytes: never more lie there, and none at the end."""
    fetch = Downloads()
    most = 0
    with MicrographFiles(None, fetch, tmp_path, 3.5e6, Console()) as files:
        for exposure, path in files.paths(exposures(20)):
            assert isinstance(path, Path)
            most = max(most, len(list(tmp_path.rglob("*.mrc"))), files.cached_bytes // 1_000_000)
            files.release(exposure)
            assert not path.exists()
    assert most <= 3
    assert len(fetch.names) == 20
    assert list(tmp_path.iterdir()) == []


def test_cache_smaller_than_a_micrograph_still_works(tmp_path: Path) -> None:
    with MicrographFiles(None, Downloads(), tmp_path, 1.0, Console()) as files:
        for exposure, path in files.paths(exposures(4)):
            assert isinstance(path, Path)
            assert len(list(tmp_path.rglob("*.mrc"))) == 1
            files.release(exposure)


def test_downloads_run_ahead(tmp_path: Path) -> None:
    fetch = Downloads()
    with MicrographFiles(None, fetch, tmp_path, 1e9, Console()) as files:
        paths = files.paths(exposures(10))
        next(paths)
        deadline = time.monotonic() + 60
        while len(fetch.names) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert 3 <= len(fetch.names) <= 5


def test_cache_is_emptied_after_an_error(tmp_path: Path) -> None:
    def broken() -> None:
        with MicrographFiles(None, Downloads(), tmp_path, 1e9, Console()) as files:
            next(files.paths(exposures(3)))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert list(tmp_path.iterdir()) == []


def test_file_on_the_shared_file_system_is_not_downloaded(tmp_path: Path) -> None:
    fetch = Downloads()
    (tmp_path / "J1").mkdir()
    (tmp_path / "J1" / "m0.mrc").write_bytes(b"here")
    with MicrographFiles(tmp_path, fetch, None, 1e9, Console()) as files:
        ((exposure, path),) = files.paths(exposures(1))
        files.release(exposure)
    assert path == tmp_path / "J1" / "m0.mrc"
    assert path.read_bytes() == b"here"
    assert fetch.names == []


def test_missing_file_is_a_result_and_no_error(tmp_path: Path) -> None:
    class APIError(ValueError):
        code = 404

    def fetch(path: str, _: Path) -> None:
        raise APIError(path)

    with MicrographFiles(None, fetch, tmp_path, 1e9, Console()) as files:
        ((_, found),) = files.paths(exposures(1))
    assert isinstance(found, MissingError)
    assert "J1/m0.mrc: neither on this machine nor on the server" in str(found)
