"""Read micrographs: pixels and pixel size of MRC and TIFF files, rows in RELION's order.

mrcfile says how an MRC header is to be understood (fields, byte orders, modes); the pixels are then streamed straight into
the one float32 array that is returned, because mrcfile itself would hold a second copy, unpack a compressed file twice, and
tell of damage by warnings, which cannot be caught safely in several threads.
"""

from __future__ import annotations

import bz2
import gzip
import io
import math
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from mrcfile import utils as mrc_utils
from mrcfile.constants import MAP_ID, MAP_ID_OFFSET_BYTES
from mrcfile.dtypes import HEADER_DTYPE
from numpy.typing import NDArray

from relion_ganpick.core.errors import GanpickError

MRC_SUFFIXES, TIFF_SUFFIXES, PACKED_SUFFIXES = (".mrc", ".mrcs"), (".tif", ".tiff"), (".gz", ".bz2")
READABLE_MODES = (0, 1, 2, 6, 12)
OTHER_MODES = {
    3: "holds complex numbers (MRC mode 3), a Fourier transform: give the micrograph itself",
    4: "holds complex numbers (MRC mode 4), a Fourier transform: give the micrograph itself",
    101: "is packed in 4 bits (MRC mode 101): convert it to float32, for instance with IMOD's newstack -mode 2",
}
MOST_PIXELS = 2**30  # eleven of the largest super-resolution frames (11520 x 8184); beyond it the header is damaged
PIXELS_AT_ONCE = 2**20  # values converted at a time: few enough to be no second copy of the micrograph
TIFF_UNITS_ANGSTROM = {2: 2.54e8, 3: 1e8}  # ResolutionUnit: inch, centimetre
LARGEST_TIFF_PIXEL = 1000.0  # Angstrom; "72 dots per inch", a default of image editors, would be 3.5 million
MRC_ERRORS = (OSError, EOFError, zlib.error)
TIFF_ERRORS = (
    *MRC_ERRORS,
    tifffile.TiffFileError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    struct.error,
)
AGAIN = "copy or write the file again"


@dataclass(frozen=True)
class Micrograph:
    """One micrograph.

    Attributes
    ----------
    pixels
        (h, w) float32, C-contiguous; `pixels[y, x]` is what RELION calls the coordinate (x, y).
    pixel_size
        Angstrom per pixel, None where neither the caller nor the file says.
    name
        The file as the caller named it.
    header_pixel_size
        Angstrom per pixel by the file's own header, None where it says nothing.
    """

    pixels: NDArray[np.float32]
    pixel_size: float | None
    name: str
    header_pixel_size: float | None = None


def read_header(path: str | Path) -> tuple[tuple[int, int], float | None]:
    """Shape (h, w) in pixels and Angstrom per pixel (None if not given) of a micrograph, without reading its pixels.

    Raises
    ------
    GanpickError
        If the file is missing, cannot be read, is truncated, or is not a single real-valued micrograph.
    """
    source = Path(path)
    if _is_tiff(source):
        with _named_errors(source, TIFF_ERRORS), tifffile.TiffFile(source) as tiff:
            page = _only_page(tiff, source)
            return (page.imagelength, page.imagewidth), _tiff_pixel_size(page)
    with _named_errors(source, MRC_ERRORS), _mrc_stream(source) as (stream, size):
        layout = _mrc_layout(stream, size, source)
        return layout.shape, layout.pixel_size


def read_micrograph(path: str | Path, pixel_size: float | None = None) -> Micrograph:
    """Read a micrograph: `.mrc`, `.mrcs` (one section; plain, gzip or bzip2), `.tif`, `.tiff`.

    Parameters
    ----------
    path
        The file.
    pixel_size
        Angstrom per pixel; None takes the header's.

    Raises
    ------
    GanpickError
        If the file is missing, cannot be read, is truncated, or is not a single real-valued micrograph.
    """
    source = Path(path)
    pixels, in_header = _read_tiff(source) if _is_tiff(source) else _read_mrc(source)
    return Micrograph(pixels, in_header if pixel_size is None else pixel_size, str(path), in_header)


@contextmanager
def _named_errors(path: Path, expected: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn what the system or a decoder complains of into one line that names the file."""
    try:
        yield
    except FileNotFoundError as error:
        raise GanpickError(f"{path}: no such file; check the path, RELION's are relative to the project directory") from error
    except expected as error:
        if isinstance(error, OSError) and error.strerror:
            raise GanpickError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise GanpickError(f"{path}: damaged, or of a kind that cannot be read ({reason}); {AGAIN}") from error


def _is_tiff(path: Path) -> bool:
    """Tell TIFF from MRC by the file's name, as RELION does, once it is seen to be a file that holds something."""
    with _named_errors(path, MRC_ERRORS):
        size, is_file = path.stat().st_size, path.is_file()
    if not is_file:
        raise GanpickError(f"{path}: is {'a directory' if path.is_dir() else 'not a regular file'}; give a micrograph file")
    if size == 0:
        raise GanpickError(f"{path}: is empty (0 bytes); {AGAIN}")
    suffix = path.suffix.lower()
    if suffix in TIFF_SUFFIXES:
        return True
    if suffix in PACKED_SUFFIXES:
        suffix = Path(path.stem).suffix.lower()
    if suffix not in MRC_SUFFIXES:
        known = ", ".join((*MRC_SUFFIXES, *TIFF_SUFFIXES, ".mrc.gz"))
        raise GanpickError(f"{path}: '{path.suffix}' is not a known format; convert the micrograph to one of {known} or .mrc.bz2")
    return False


def _check_shape(height: int, width: int, path: Path) -> None:
    if height <= 0 or width <= 0 or height * width > MOST_PIXELS:
        raise GanpickError(f"{path}: its header says {width} x {height} pixels, which no micrograph has: it is damaged; {AGAIN}")


def _truncated(path: Path, needed: int, found: int) -> GanpickError:
    return GanpickError(f"{path}: truncated: {found} bytes, but its header says {needed}; {AGAIN}")


def _stack(path: Path, sections: int) -> GanpickError:
    return GanpickError(f"{path}: a stack or movie of {sections} sections; give the motion-corrected micrograph")


# MRC


@dataclass(frozen=True)
class _MrcLayout:
    """Where and how an MRC file holds its pixels."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    offset: int
    pixel_size: float | None


@contextmanager
def _mrc_stream(path: Path) -> Iterator[tuple[io.BufferedIOBase, int | None]]:
    """Open the unpacked bytes of a file; the number of bytes comes along, None where only unpacking tells."""
    with path.open("rb") as file:
        start = file.read(MAP_ID_OFFSET_BYTES + len(MAP_ID))
        file.seek(0)
        if not start.endswith(MAP_ID) and start.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked, None
        elif not start.endswith(MAP_ID) and start.startswith(b"BZh"):
            with bz2.BZ2File(file) as unbzipped:
                yield unbzipped, None
        else:
            yield file, os.fstat(file.fileno()).st_size


def _mrc_layout(stream: io.BufferedIOBase, size: int | None, path: Path) -> _MrcLayout:
    raw = stream.read(HEADER_DTYPE.itemsize)
    if len(raw) < HEADER_DTYPE.itemsize:
        raise GanpickError(f"{path}: not an MRC file ({len(raw)} bytes, a header has {HEADER_DTYPE.itemsize}); {AGAIN}")
    header, order = _mrc_header(raw, path)
    mode, extended = int(header["mode"]), int(header["nsymbt"])
    columns, rows, sections = (int(header[axis]) for axis in ("nx", "ny", "nz"))
    if mode not in READABLE_MODES:
        what = OTHER_MODES.get(mode, f"is of MRC mode {mode}, which is not known: convert it to mode 2 (float32)")
        raise GanpickError(f"{path}: {what}")
    _check_shape(rows, columns, path)
    if sections > 1:
        raise _stack(path, sections)
    if sections < 1 or extended < 0:
        raise GanpickError(f"{path}: its header says {sections} sections and {extended} bytes of extended header; {AGAIN}")
    dtype: np.dtype[Any] = mrc_utils.dtype_from_mode(mode).newbyteorder(order)
    offset = HEADER_DTYPE.itemsize + extended
    needed = offset + rows * columns * dtype.itemsize
    if size is not None and size < needed:
        raise _truncated(path, needed, size)
    cell, intervals = float(header["cella"]["x"]), int(header["mx"])
    pixel_size = cell / intervals if intervals else 0.0
    return _MrcLayout((rows, columns), dtype, offset, pixel_size if 0 < pixel_size < math.inf else None)


def _mrc_header(raw: bytes, path: Path) -> tuple[Any, str]:
    """Find the header record and its byte order.

    Old programs leave out "MAP " or write no or a wrong machine stamp, and RELION reads their files. So the stamp is believed
    unless the mode makes no sense in its byte order; without a stamp the shape has to make sense too.
    """
    records = {order: np.frombuffer(raw, HEADER_DTYPE.newbyteorder(order))[0] for order in "<>"}
    try:
        first = mrc_utils.byte_order_from_machine_stamp(records["<"]["machst"])
        stamped = True
    except ValueError:
        first, stamped = "<", False
    for order in (first, "<>".replace(first, "")):
        mode, pixels = int(records[order]["mode"]), int(records[order]["ny"]) * int(records[order]["nx"])
        if (mode in READABLE_MODES or mode in OTHER_MODES) and (stamped or 0 < pixels <= MOST_PIXELS):
            return records[order], order
    if stamped or bytes(records["<"]["map"]).startswith(MAP_ID[:3]):
        return records[first], first
    raise GanpickError(f"{path}: not an MRC file (no 'MAP ' in its header, no known mode and size); {AGAIN}")


def _read_mrc(path: Path) -> tuple[NDArray[np.float32], float | None]:
    with _named_errors(path, MRC_ERRORS), _mrc_stream(path) as (stream, size):
        layout = _mrc_layout(stream, size, path)
        stream.seek(layout.offset)
        pixels = np.empty(layout.shape, np.float32)
        values = pixels.reshape(-1)
        as_stored = values[:0] if layout.dtype == values.dtype else np.empty(min(PIXELS_AT_ONCE, values.size), layout.dtype)
        for begin in range(0, values.size, PIXELS_AT_ONCE):
            chunk = values[begin : begin + PIXELS_AT_ONCE]
            stored = as_stored[: chunk.size] if as_stored.size else chunk
            found = _fill(stream, stored.view(np.uint8).data)
            if found < stored.nbytes:
                so_far = layout.offset + begin * layout.dtype.itemsize + found
                raise _truncated(path, layout.offset + values.size * layout.dtype.itemsize, so_far)
            if stored is not chunk:
                chunk[:] = stored
        stream.read(1)  # makes gzip and bzip2 compare their checksums, which follow the last byte
    return pixels, layout.pixel_size


def _fill(stream: io.BufferedIOBase, buffer: memoryview) -> int:
    """Read until the buffer is full or the stream ends; the number of bytes read."""
    done = 0
    while done < len(buffer) and (got := stream.readinto(buffer[done:])):
        done += got
    return done


# TIFF


def _only_page(tiff: tifffile.TiffFile, path: Path) -> tifffile.TiffPage:
    """Take the one image out of a TIFF and check that it is a complete grey one."""
    if len(tiff.pages) > 1:
        raise _stack(path, len(tiff.pages))
    page = tiff.pages.first
    _check_shape(page.imagelength, page.imagewidth, path)
    if page.imagedepth > 1:
        raise _stack(path, page.imagedepth)
    if page.ndim != 2:
        raise GanpickError(f"{path}: a colour picture ({page.samplesperpixel} values per pixel); give a grey micrograph")
    if page.dtype is None or page.dtype.kind not in "iuf":
        raise GanpickError(f"{path}: its pixels are of type {page.dtype}; convert it to float32 or to 8 or 16 bit integers")
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if page.is_contiguous:
        ends.append(page.dataoffsets[0] + page.nbytes)
    if not ends or max(ends) > tiff.filehandle.size:
        raise _truncated(path, max(ends, default=0), tiff.filehandle.size)
    return page


def _tiff_pixel_size(page: tifffile.TiffPage) -> float | None:
    """Angstrom per pixel by the resolution tags; None where they are missing or meant for a printer."""
    unit, resolution = page.tags.valueof("ResolutionUnit"), page.tags.valueof("XResolution")
    if unit not in TIFF_UNITS_ANGSTROM or not isinstance(resolution, tuple) or 0 in resolution:
        return None
    size = TIFF_UNITS_ANGSTROM[unit] * resolution[1] / resolution[0]
    return size if 0 < size < LARGEST_TIFF_PIXEL else None


def _read_tiff(path: Path) -> tuple[NDArray[np.float32], float | None]:
    """Read a TIFF and turn its rows upside down, as RELION does when it reads one."""
    with _named_errors(path, TIFF_ERRORS), tifffile.TiffFile(path) as tiff:
        page = _only_page(tiff, path)
        stored = page.asarray(maxworkers=1)
        with np.errstate(over="ignore", invalid="ignore"):  # whether pixels are finite is judged by the picker
            pixels = np.array(stored[::-1], np.float32, order="C")
        return pixels, _tiff_pixel_size(page)
