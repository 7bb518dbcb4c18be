"""Micrographs that are damaged, or none, are refused by name with the way out."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from mrc_files import (
    MODES,
    NSYMBT,
    PACKERS,
    change,
    picture,
    refusal,
    write_mrc,
)

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.file_checks import LIMITS, MOST_MEGAPIXELS
from relion_ganpick.core.micrograph import read_header, read_micrograph


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


def test_tiff_with_pages_in_a_circle_or_absurd_counts_costs_neither_time_nor_memory(tmp_path: Path) -> None:
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, np.arange(64.0 * 64).reshape(64, 64).astype(np.float32), metadata=None, byteorder="<")
    good = path.read_bytes()
    start = int.from_bytes(good[4:8], "little")
    n_tags = int.from_bytes(good[start : start + 2], "little")
    end = start + 2 + 12 * n_tags
    path.write_bytes(good[:end] + start.to_bytes(4, "little") + good[end + 4 :])
    with suppress(GanpickError):  # old versions of tifffile refuse it
        assert read_micrograph(path, 1.0).pixels.shape == (64, 64)
    for k in range(n_tags):
        at = start + 2 + 12 * k + 4
        for count in (2**28, 2**32 - 1):
            path.write_bytes(good[:at] + count.to_bytes(4, "little") + good[at + 4 :])
            tracemalloc.start()
            with suppress(GanpickError):
                assert read_micrograph(path, 1.0).pixels.shape == (64, 64)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 20 * 2**20
