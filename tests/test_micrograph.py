"""Micrographs are read as RELION reads them: every format, mode and byte order; damaged files are named with the way out."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import struct
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import imagecodecs
import mrcfile
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mrcfile.dtypes import HEADER_DTYPE

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.file_checks import LIMITS, MOST_MEGAPIXELS
from relion_ganpick.core.micrograph import read_header, read_micrograph

MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
STAMPS = {"<": [0x44, 0x44, 0, 0], ">": [0x11, 0x11, 0, 0]}
PACKERS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}
NX, NY, NZ, MODE, MX, CELL_X, NSYMBT, MAP, MACHST = 0, 4, 8, 12, 28, 40, 92, 208, 212  # offsets in an MRC header


def picture(dtype: str = "f4", shape: tuple[int, int] = (5, 7)) -> np.ndarray:
    """Values that differ in every pixel, so that no flip or transposition goes unnoticed; negative ones where they exist."""
    values = np.arange(shape[0] * shape[1]).reshape(shape)
    return (values if np.dtype(dtype).kind == "u" else values - 9).astype(dtype)


def write_mrc(path: Path, pixels: np.ndarray, order: str = "<", **fields: object) -> Path:
    """Write an MRC with the fields of its header as wished; the byte order holds for header and pixels."""
    header = np.zeros((), HEADER_DTYPE.newbyteorder(order))
    rows, columns = pixels.shape[-2:]
    sections = pixels.shape[0] if pixels.ndim == 3 else 1
    mode = next(mode for mode, code in MODES.items() if code == pixels.dtype.str[1:])
    usual = {"nx": columns, "ny": rows, "nz": sections, "mode": mode, "mx": columns, "my": rows, "mz": sections, "map": b"MAP "}
    for name, value in {**usual, "machst": STAMPS[order], **fields}.items():
        header[name] = value
    extended = bytes(max(0, int(header["nsymbt"])))
    values = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    path.write_bytes(PACKERS.get(path.suffix, bytes)(header.tobytes() + extended + values))
    return path


def change(path: Path, offset: int, form: str, *values: object) -> None:
    """Overwrite a place in the header of an uncompressed little-endian file."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(struct.pack("<" + form, *values))


def refusal(path: Path) -> str:
    """Return the one-line message with which a file is refused, less the name that it has to begin with."""
    with pytest.raises(GanpickError) as caught:
        read_micrograph(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


# what is read


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


# what is refused


def test_missing_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "m.mrc") == "no such file; check the path, RELION's are relative to the project directory"
    (tmp_path / "link.mrc").symlink_to(tmp_path / "gone.mrc")
    assert "no such file" in refusal(tmp_path / "link.mrc")


@pytest.mark.parametrize("name", ["m.mrc", "m.mrc.gz", "m.mrc.bz2", "m.tif"])
def test_empty_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert refusal(tmp_path / name) == "is empty (0 bytes); copy or write the file again"


def test_directory_and_fifo(tmp_path: Path) -> None:
    (tmp_path / "m.mrc").mkdir()
    os.mkfifo(tmp_path / "f.mrc")
    assert refusal(tmp_path / "m.mrc") == "is a directory; give a micrograph file"
    assert refusal(tmp_path / "f.mrc") == "is not a regular file; give a micrograph file"
    plain = write_mrc(tmp_path / "plain.mrc", picture())
    assert "Not a directory" in refusal(plain / "m.mrc")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
@pytest.mark.parametrize("name", ["m.mrc", "m.tif"])
def test_unreadable_file(tmp_path: Path, name: str) -> None:
    write_mrc(tmp_path / name, picture()).chmod(0)
    assert refusal(tmp_path / name) == "cannot be read (Permission denied); check the file and its permissions"


@pytest.mark.parametrize("name", ["m.mrc", "m.tif"])
def test_system_errors_are_named(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = write_mrc(tmp_path / name, picture())
    monkeypatch.setattr(Path, "open", denied)
    monkeypatch.setattr(tifffile.TiffFile, "__init__", denied)
    assert refusal(path) == "cannot be read (Permission denied); check the file and its permissions"


@pytest.mark.parametrize("name", ["m.eer", "m.png", "m", "m.gz", "m.tif.gz", "m.mrc.txt"])
def test_other_suffixes(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"something")
    assert "is not a known format; convert the micrograph to one of .mrc, .mrcs, .tif, .tiff" in refusal(tmp_path / name)


@pytest.mark.parametrize("missing", [1, 4, 35 * 4 - 1, 35 * 4])
@pytest.mark.parametrize("order", ["<", ">"])
def test_truncated_mrc_says_expected_and_found_size(tmp_path: Path, order: str, missing: int) -> None:
    path = write_mrc(tmp_path / "m.mrc", picture(), order)
    whole = path.read_bytes()
    path.write_bytes(whole[:-missing])
    sizes = f"{len(whole) - missing} bytes, but its header says {len(whole)}"
    assert refusal(path) == f"truncated: {sizes}; copy or write the file again"
    with pytest.raises(GanpickError, match="truncated"):
        read_header(path)


@pytest.mark.parametrize("packed", [".gz", ".bz2"])
@pytest.mark.parametrize("dtype", MODES.values())
def test_truncated_before_compression(tmp_path: Path, dtype: str, packed: str) -> None:
    whole = write_mrc(tmp_path / "m.mrc", picture(dtype)).read_bytes()
    path = tmp_path / f"m.mrc{packed}"
    path.write_bytes(PACKERS[packed](whole[:-3]))
    assert f"truncated: {len(whole) - 3} bytes, but its header says {len(whole)};" in refusal(path)


@pytest.mark.parametrize("packed", [".gz", ".bz2"])
@pytest.mark.parametrize("kept", [3, 0.5, -1])
def test_truncated_after_compression(tmp_path: Path, packed: str, kept: float) -> None:
    noise = np.random.default_rng(2).normal(size=(40, 50)).astype(np.float32)
    path = write_mrc(tmp_path / f"m.mrc{packed}", noise)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if kept == 0.5 else int(kept)])
    assert "damaged, or of a kind that cannot be read (Compressed file ended before" in refusal(path)


@pytest.mark.parametrize("packed", [".gz", ".bz2"])
def test_flipped_bit_in_a_compressed_file(tmp_path: Path, packed: str) -> None:
    noise = np.random.default_rng(2).normal(size=(500, 500)).astype(np.float32)  # more than one block of bzip2
    path = write_mrc(tmp_path / f"m.mrc{packed}", noise)
    whole = bytearray(path.read_bytes())
    whole[-len(whole) // 50] ^= 16
    path.write_bytes(whole)
    assert "damaged" in refusal(path)


@pytest.mark.parametrize("content", [b"x", b"text\n" * 500, bytes(5000), np.random.default_rng(3).bytes(5000)])
def test_what_is_no_mrc(tmp_path: Path, content: bytes) -> None:
    for name in ("m.mrc", "m.mrcs", "m.mrc.gz"):
        (tmp_path / name).write_bytes(content)
        assert "not an MRC file" in refusal(tmp_path / name)


def test_other_formats_under_a_wrong_name(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "t.mrc", picture(shape=(64, 64)))
    write_mrc(tmp_path / "m.tif", picture())
    (tmp_path / "noise.tif").write_bytes(np.random.default_rng(3).bytes(5000))
    assert "not an MRC file" in refusal(tmp_path / "t.mrc")
    assert "damaged, or of a kind that cannot be read (not a TIFF file" in refusal(tmp_path / "m.tif")
    assert "damaged, or of a kind that cannot be read (not a TIFF file" in refusal(tmp_path / "noise.tif")


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (3, "holds complex numbers (MRC mode 3), a Fourier transform: give the micrograph itself"),
        (4, "holds complex numbers (MRC mode 4), a Fourier transform: give the micrograph itself"),
        (7, "is of MRC mode 7, which is not known: convert it to mode 2 (float32)"),
    ],
)
def test_modes_that_are_no_real_micrograph(tmp_path: Path, mode: int, reason: str) -> None:
    path = write_mrc(tmp_path / "m.mrc", picture(), mode=mode)
    assert refusal(path) == reason
    with pytest.raises(GanpickError, match="mode"):
        read_header(path)


@pytest.mark.parametrize("packed", PACKERS)
@pytest.mark.parametrize(("columns", "rows"), [(0, 5), (7, 0), (-7, 5), (-7, -5), (10**9, 10**9), (1, 2**31 - 1), (2**16, 2**15)])
def test_impossible_sizes_are_refused_without_allocating(tmp_path: Path, columns: int, rows: int, packed: str) -> None:
    path = write_mrc(tmp_path / f"m.mrc{packed}", picture(), nx=columns, ny=rows)
    tracemalloc.start()
    try:
        message = refusal(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert message.startswith(f"its header says {columns} x {rows} pixels, which no micrograph has")
    assert peak < 2**24
    with pytest.raises(GanpickError, match="no micrograph has"):
        read_header(path)


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_more_pixels_than_the_largest_detectors_have_need_a_flag(tmp_path: Path, packed: str) -> None:
    path = write_mrc(tmp_path / f"m.mrc{packed}", picture(), nx=20000, ny=20000)
    assert "more than the largest detectors have: it is damaged or no micrograph. If it is one, give `max_megapixels` 400" in (
        refusal(path)
    )
    LIMITS.megapixels = 400
    try:
        assert "truncated" in refusal(path)
    finally:
        LIMITS.megapixels = MOST_MEGAPIXELS


def test_a_packed_file_is_unpacked_no_further_than_its_header_says(tmp_path: Path) -> None:
    whole = write_mrc(tmp_path / "m.mrc", picture()).read_bytes()
    for name, pack in (("m.mrc.gz", gzip.compress), ("m.mrc.bz2", bz2.compress)):
        path = tmp_path / name
        path.write_bytes(pack(whole + bytes(200 * 2**20)))
        tracemalloc.start()
        try:
            np.testing.assert_array_equal(read_micrograph(path).pixels, picture())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 2**23


@pytest.mark.parametrize("compression", [8, 32946, 50000, 34925])
def test_a_strip_of_a_tiff_is_unpacked_no_further_than_its_size(tmp_path: Path, compression: int) -> None:
    path = tmp_path / "m.tif"
    bomb = {8: zlib.compress, 32946: zlib.compress, 50000: zstd, 34925: lzma.compress}[compression](bytes(300 * 2**20))
    tifffile.imwrite(path, picture("u1", (64, 64)), metadata=None)
    content = bytearray(path.read_bytes())
    at = len(content)
    path.write_bytes(content + bomb)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tags = tiff.pages.first.tags
        tags["Compression"].overwrite(compression)
        tags["StripOffsets"].overwrite(at)
        tags["StripByteCounts"].overwrite(len(bomb))
    tracemalloc.start()
    try:
        with suppress(GanpickError):
            assert read_micrograph(path).pixels.shape == (64, 64)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**24


def zstd(content: bytes) -> bytes:
    return bytes(imagecodecs.zstd_encode(content))


@pytest.mark.parametrize(("nz", "nsymbt"), [(0, 0), (-1, 0), (1, -4)])
def test_senseless_sections_and_extended_header(tmp_path: Path, nz: int, nsymbt: int) -> None:
    path = write_mrc(tmp_path / "m.mrc", picture(), nz=nz, nsymbt=nsymbt)
    assert f"its header says {nz} sections and {nsymbt} bytes of extended header" in refusal(path)


@pytest.mark.parametrize("name", ["m.mrc", "m.mrc.gz"])
def test_absurd_extended_header_is_truncation(tmp_path: Path, name: str) -> None:
    path = write_mrc(tmp_path / "m.mrc", picture())
    change(path, NSYMBT, "i", 2**31 - 1)
    target = tmp_path / name
    target.write_bytes(PACKERS[target.suffix if target.suffix == ".gz" else ""](path.read_bytes()))
    assert f"bytes, but its header says {2**31 - 1 + 1024 + 140};" in refusal(target)


def test_stacks_say_how_many_sections(tmp_path: Path) -> None:
    stack = np.zeros((3, 5, 7), np.float32)
    write_mrc(tmp_path / "m.mrcs", stack)
    tifffile.imwrite(tmp_path / "m.tif", stack, photometric="minisblack")
    for name in ("m.mrcs", "m.tif"):
        assert refusal(tmp_path / name) == "a stack or movie of 3 sections; give the motion-corrected micrograph"
        with pytest.raises(GanpickError, match="3 sections"):
            read_header(tmp_path / name)


def test_volume_in_one_tiff_page_is_a_stack(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "m.tif", np.zeros((16, 16, 16), np.float32), volumetric=True, tile=(16, 16, 16))
    assert "a stack or movie of 16 sections" in refusal(tmp_path / "m.tif")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (10**9, "which no micrograph has"),
        (2 * 10**7, "truncated"),
        (10**8, "more than the largest detectors have"),
        (0, "which no micrograph has"),
    ],
)
def test_tiff_of_impossible_size_is_refused_without_allocating(tmp_path: Path, rows: int, reason: str) -> None:
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, picture())
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags["ImageLength"].overwrite(rows)
    tracemalloc.start()
    try:
        message = refusal(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reason in message
    assert peak < 2**24
    with pytest.raises(GanpickError, match=reason):
        read_header(path)


def test_tiffs_of_colour_or_complex_values(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((5, 7, 3), np.uint8), photometric="rgb")
    tifffile.imwrite(tmp_path / "ft.tif", np.zeros((5, 7), np.complex64))
    assert "a colour picture (3 values per pixel)" in refusal(tmp_path / "rgb.tif")
    assert "its pixels are of type complex64" in refusal(tmp_path / "ft.tif")


@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 8}, {"compression": "zlib"}, {"tile": (16, 16)}])
@pytest.mark.parametrize("missing", [1, 1000])
def test_truncated_tiff(tmp_path: Path, missing: int, layout: dict[str, object]) -> None:
    noise = np.random.default_rng(2).normal(size=(32, 32)).astype(np.float32)
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, noise, **layout)
    path.write_bytes(path.read_bytes()[:-missing])
    assert "truncated" in refusal(path)
    with pytest.raises(GanpickError, match="truncated"):
        read_header(path)


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
