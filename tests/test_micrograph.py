"""Micrographs are read as RELION reads them: every format, mode and byte order, at the cost of one copy."""

from __future__ import annotations

import gzip
import os
import struct
import tracemalloc
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mrc_files import (
    CELL_X,
    MODES,
    MX,
    PACKERS,
    STAMPS,
    change,
    picture,
    refusal,
    write_mrc,
)

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.micrograph import read_header, read_micrograph


@pytest.mark.parametrize("packed", PACKERS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_byte_order_and_compression_gives_the_values(tmp_path: Path, mode: int, order: str, packed: str) -> None:
    pixels = picture(MODES[mode])
    path = write_mrc(tmp_path / f"m.mrc{packed}", pixels, order)
    micrograph = read_micrograph(path)
    assert micrograph.pixels.dtype == np.float32
    assert micrograph.pixels.flags.c_contiguous
    assert micrograph.pixels.flags.writeable
    np.testing.assert_array_equal(micrograph.pixels, pixels)
    assert read_header(path) == ((5, 7), None)


@pytest.mark.parametrize("compression", [None, "gzip", "bzip2"])
@pytest.mark.parametrize("mode", MODES)
def test_what_mrcfile_writes_is_read_with_its_pixel_size(tmp_path: Path, mode: int, compression: str | None) -> None:
    pixels = picture(MODES[mode])
    path = tmp_path / "m.mrc"
    with mrcfile.new(path, pixels, compression=compression) as mrc:
        mrc.voxel_size = 1.25
    micrograph = read_micrograph(path)
    np.testing.assert_array_equal(micrograph.pixels, pixels)
    assert micrograph.header_pixel_size == micrograph.pixel_size == 1.25
    assert micrograph.name == str(path)


@pytest.mark.parametrize("ispg", [0, 1])
def test_mrcs_and_volume_of_one_section_are_micrographs(tmp_path: Path, ispg: int) -> None:
    path = write_mrc(tmp_path / "m.mrcs", picture()[np.newaxis], ispg=ispg)
    np.testing.assert_array_equal(read_micrograph(path).pixels, picture())


@pytest.mark.parametrize("name", ["m.mrc", "m.mrc.gz", "m.mrc.bz2"])
def test_extended_header_is_stepped_over(tmp_path: Path, name: str) -> None:
    path = write_mrc(tmp_path / name, picture(), nsymbt=1340)
    np.testing.assert_array_equal(read_micrograph(path).pixels, picture())


def test_compression_is_seen_in_the_bytes_not_in_the_name(tmp_path: Path) -> None:
    plain, packed = write_mrc(tmp_path / "m.mrc", picture()), tmp_path / "p.MRC"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    np.testing.assert_array_equal(read_micrograph(packed).pixels, picture())
    np.testing.assert_array_equal(read_micrograph(plain.rename(tmp_path / "plain.mrc.gz")).pixels, picture())


def test_width_that_looks_like_gzip_is_no_gzip(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "m.mrc", picture("i1", (1, 0x8B1F)))
    assert path.read_bytes()[:2] == b"\x1f\x8b"
    assert read_header(path)[0] == (1, 0x8B1F)


def test_bytes_after_the_pixels_are_ignored_without_a_warning(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "m.mrc", picture())
    path.write_bytes(path.read_bytes() + b"tail")
    np.testing.assert_array_equal(read_micrograph(path).pixels, picture())


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("mode", MODES)
def test_old_headers_without_map_and_stamp_are_read_as_by_relion(tmp_path: Path, mode: int, order: str) -> None:
    pixels = picture(MODES[mode], (3, 300))
    path = write_mrc(tmp_path / "m.mrc", pixels, order, map=b"", machst=[0, 0, 0, 0])
    np.testing.assert_array_equal(read_micrograph(path).pixels, pixels)


def test_wrong_machine_stamp_is_overruled_by_the_mode(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "m.mrc", picture(), ">", machst=STAMPS["<"])
    np.testing.assert_array_equal(read_micrograph(path).pixels, picture())


@pytest.mark.parametrize("dtype", ["i1", "i2", "f4"])
def test_more_pixels_than_are_converted_at_once(tmp_path: Path, dtype: str) -> None:
    pixels = np.random.default_rng(1).integers(-100, 100, (1025, 1025)).astype(dtype)
    np.testing.assert_array_equal(read_micrograph(write_mrc(tmp_path / "m.mrc", pixels)).pixels, pixels)


@pytest.mark.parametrize("name", ["m.tif", "m.tiff", "m.TIF"])
def test_tiff_rows_are_turned_over_as_relion_turns_them(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    tifffile.imwrite(path, picture())
    micrograph = read_micrograph(path)
    np.testing.assert_array_equal(micrograph.pixels, picture()[::-1])
    assert micrograph.pixels.flags.c_contiguous
    assert read_header(path) == ((5, 7), None)


def test_mrc_rows_are_not_turned_over(tmp_path: Path) -> None:
    pixels = np.zeros((5, 7), np.float32)
    pixels[1, 4] = 100
    write_mrc(tmp_path / "m.mrc", pixels)
    tifffile.imwrite(tmp_path / "m.tif", pixels)
    assert read_micrograph(tmp_path / "m.mrc").pixels[1, 4] == 100
    assert read_micrograph(tmp_path / "m.tif").pixels[5 - 1 - 1, 4] == 100


@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 2}, {"compression": "zlib"}, {"tile": (16, 16)}, {"bigtiff": True}])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<u2", ">i2", "u1", "f8"])
def test_tiff_types_byte_orders_and_layouts(tmp_path: Path, dtype: str, layout: dict[str, object]) -> None:
    pixels = picture(dtype)
    tifffile.imwrite(tmp_path / "m.tif", pixels, byteorder=">" if dtype.startswith(">") else "<", **layout)
    micrograph = read_micrograph(tmp_path / "m.tif")
    assert micrograph.pixels.dtype == np.float32
    np.testing.assert_array_equal(micrograph.pixels, pixels[::-1])


def test_float64_beyond_float32_gives_infinity_not_a_warning(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "m.tif", np.array([[1e300, 1.0]]))
    assert read_micrograph(tmp_path / "m.tif").pixels.tolist() == [[np.inf, 1.0]]


def packed(pixels: np.ndarray) -> bytes:
    """Pack values of 4 bits two in a byte, the first in its lower half."""
    flat = pixels.astype(np.uint8).reshape(-1)
    return bytes(flat[0::2] | flat[1::2] << 4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", ["m.mrc", "m.mrc.gz"])
@pytest.mark.parametrize("shape", [(4, 7), (1030, 1026)])
def test_four_bits_are_read_low_half_first_and_without_gaps_between_rows(
    tmp_path: Path, shape: tuple[int, int], name: str, order: str
) -> None:
    pixels = np.random.default_rng(1).integers(0, 16, shape)
    empty = np.zeros((1, 1), np.int8)
    path = write_mrc(tmp_path / "m.mrc", empty, order, mode=101, nx=shape[1], ny=shape[0], mx=shape[1], my=shape[0])
    content = path.read_bytes()[:1024] + packed(pixels)
    target = tmp_path / name
    target.write_bytes(PACKERS[target.suffix if target.suffix == ".gz" else ""](content))
    np.testing.assert_array_equal(read_micrograph(target).pixels, pixels)
    assert read_header(target)[0] == shape
    target.write_bytes(PACKERS[target.suffix if target.suffix == ".gz" else ""](content[:-1]))
    assert f"truncated: {len(content) - 1} bytes, but its header says {len(content)}" in refusal(target)


def test_an_odd_number_of_four_bits_is_refused_as_by_relion(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "m.mrc", picture("i1", (5, 7)), mode=101)
    assert refusal(path).startswith("an odd number of pixels (7 x 5) of 4 bits (MRC mode 101), which RELION refuses")


IMOD_STAMP_AT = 152


@pytest.mark.parametrize(
    ("fields", "imod", "unsigned"),
    [
        ({}, None, False),
        ({"dmin": 0, "dmax": 255}, None, True),
        ({"dmin": 0, "dmax": 127}, None, False),
        ({"dmin": -128, "dmax": 127}, None, False),
        ({"dmin": -5, "dmax": 200}, None, False),
        ({"dmin": 0, "dmax": 60000}, None, False),
        ({"dmin": 0, "dmax": np.nan}, None, False),
        ({"dmin": 0, "dmax": 100}, 0, True),
        ({"dmin": 0, "dmax": 255}, 1, False),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_bytes_are_unsigned_where_the_header_says_so(
    tmp_path: Path, order: str, fields: dict[str, float], imod: int | None, unsigned: bool
) -> None:
    stored = np.array([[0, 100, 127], [128, 200, 255]], np.uint8)
    path = write_mrc(tmp_path / "m.mrc", stored.view(np.int8), order, **fields)
    if imod is not None:
        content = bytearray(path.read_bytes())
        struct.pack_into(f"{order}ii", content, IMOD_STAMP_AT, 1146047817, imod)
        path.write_bytes(content)
    micrograph = read_micrograph(path)
    np.testing.assert_array_equal(micrograph.pixels, stored if unsigned else stored.view(np.int8))
    assert (micrograph.note is not None) == unsigned
    if micrograph.note:
        assert micrograph.note.startswith(f"{path}: its bytes (MRC mode 0) are unsigned")


# pixel size


@pytest.mark.parametrize(
    ("cell", "columns", "expected"),
    [(7, 7, 1), (8.75, 7, 1.25), (0, 7, None), (-7, 7, None), (np.nan, 7, None), (np.inf, 7, None), (7, 0, None), (7, -1, None)],
)
def test_header_pixel_size_counts_only_if_positive_and_finite(
    tmp_path: Path, cell: float, columns: int, expected: float | None
) -> None:
    path = write_mrc(tmp_path / "m.mrc", picture())
    change(path, CELL_X, "f", cell)
    change(path, MX, "i", columns)
    assert read_header(path) == ((5, 7), expected)
    assert read_micrograph(path).pixel_size == expected


def test_given_pixel_size_goes_before_the_header(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "m.mrc", picture())
    change(path, CELL_X, "f", 14.0)
    micrograph = read_micrograph(str(path), 0.885)
    assert (micrograph.pixel_size, micrograph.header_pixel_size, micrograph.name) == (0.885, 2.0, str(path))


@pytest.mark.parametrize(
    ("unit", "per_unit", "expected"),
    [("CENTIMETER", 1e8 / 2, 2.0), ("INCH", 2.54e8 / 2, 2.0), ("NONE", 1e8, None), ("INCH", 72, None), ("CENTIMETER", 0, None)],
)
def test_tiff_resolution_counts_only_if_it_is_a_microscopes(
    tmp_path: Path, unit: str, per_unit: float, expected: float | None
) -> None:
    resolution = ((round(per_unit), 1), (round(per_unit), 1))
    tifffile.imwrite(tmp_path / "m.tif", picture(), resolution=resolution, resolutionunit=unit)
    assert read_header(tmp_path / "m.tif")[1] == expected
    assert read_micrograph(tmp_path / "m.tif").header_pixel_size == expected


# properties


@settings(max_examples=150, deadline=None)
@given(data=st.data(), mode=st.sampled_from(sorted(MODES)), order=st.sampled_from("<>"), packed=st.sampled_from(sorted(PACKERS)))
def test_any_values_survive(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, mode: int, order: str, packed: str
) -> None:
    shape = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    pixels = data.draw(hnp.arrays(MODES[mode], shape))
    path = write_mrc(tmp_path_factory.mktemp("any") / f"m.mrc{packed}", pixels, order)
    with np.errstate(invalid="ignore"):
        expected = pixels.astype(np.float32)
    np.testing.assert_array_equal(read_micrograph(path).pixels, expected)
    assert read_header(path)[0] == shape


@settings(max_examples=300, deadline=None)
@given(data=st.data(), name=st.sampled_from(["m.mrc", "m.mrc.gz", "m.tif", "z.tif"]))
def test_damaged_bytes_give_a_micrograph_or_a_ganpick_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, name: str
) -> None:
    path = tmp_path_factory.mktemp("damaged") / name
    if name.endswith(".tif"):
        tifffile.imwrite(path, picture(), compression="zlib" if name.startswith("z") else None, metadata=None)
    else:
        write_mrc(path, picture())
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content) - 1, 400)))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    message, micrograph = "", None
    try:
        micrograph = read_micrograph(path)
    except GanpickError as error:
        message = str(error)
    if micrograph is None:
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
    else:
        assert micrograph.pixels.dtype == np.float32
        assert micrograph.pixels.shape == read_header(path)[0]


# cost


@pytest.mark.parametrize(("mode", "order"), [(2, "<"), (2, ">"), (12, "<"), (1, ">")])
def test_memory_is_one_float32_copy(tmp_path: Path, mode: int, order: str) -> None:
    columns, rows = 2880, 2046  # a sixteenth of the largest detector frame
    path = write_mrc(tmp_path / "m.mrc", np.zeros((1, 1), MODES[mode]), order, nx=columns, ny=rows)
    os.truncate(path, 1024 + columns * rows * np.dtype(MODES[mode]).itemsize)  # sparse: takes no room on disk
    tracemalloc.start()
    try:
        micrograph = read_micrograph(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert micrograph.pixels.shape == (rows, columns)
    assert peak < 1.3 * 4 * columns * rows


def test_header_of_a_largest_frame_costs_no_memory(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "m.mrc", np.zeros((1, 1), np.float32), nx=11520, ny=8184)
    os.truncate(path, 1024 + 4 * 11520 * 8184)
    tracemalloc.start()
    try:
        assert read_header(path)[0] == (8184, 11520)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20
