"""Read micrographs: pixels and pixel size of MRC and TIFF files, rows in RELION's order.

mrcfile says how an MRC header is to be understood (fields, byte orders, modes); the pixels are then streamed straight into
the one float32 array that is returned, because mrcfile itself would hold a second copy, unpack a compressed file twice, and
tell of damage by warnings, which cannot be caught safely in several threads.
"""

from __future__ import annotations

import bz2
import gzip
import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from mrcfile.constants import MAP_ID, MAP_ID_OFFSET_BYTES
from numpy.typing import NDArray

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.file_checks import AGAIN, check_shape, stack, truncated
from relion_ganpick.core.mrc_layout import read_layout, unpack

MRC_SUFFIXES, TIFF_SUFFIXES, PACKED_SUFFIXES = (".mrc", ".mrcs"), (".tif", ".tiff"), (".gz", ".bz2")
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
    note
        What a user should know about how the file is read, in one line; None if nothing.
    """

    pixels: NDArray[np.float32]
    pixel_size: float | None
    name: str
    header_pixel_size: float | None = None
    note: str | None = None


_Read = tuple[NDArray[np.float32], float | None, str | None]


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
        layout = read_layout(stream, size, source)
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
    pixels, in_header, note = _read_tiff(source) if _is_tiff(source) else _read_mrc(source)
    return Micrograph(pixels, in_header if pixel_size is None else pixel_size, str(path), in_header, note)


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


# MRC


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


def _read_mrc(path: Path) -> _Read:
    with _named_errors(path, MRC_ERRORS), _mrc_stream(path) as (stream, size):
        layout = read_layout(stream, size, path)
        stream.seek(layout.offset)
        pixels = np.empty(layout.shape, np.float32)
        values = pixels.reshape(-1)
        as_they_are = layout.dtype == values.dtype
        buffer = np.empty(0 if as_they_are else min(PIXELS_AT_ONCE, values.size) // layout.per_value, layout.dtype)
        for begin in range(0, values.size, PIXELS_AT_ONCE):
            chunk = values[begin : begin + PIXELS_AT_ONCE]
            stored = chunk if as_they_are else buffer[: chunk.size // layout.per_value]
            found = _fill(stream, stored.view(np.uint8).data)
            if found < stored.nbytes:
                before = layout.offset + begin // layout.per_value * layout.dtype.itemsize
                needed = layout.offset + values.size // layout.per_value * layout.dtype.itemsize
                raise truncated(path, needed, before + found)
            if stored is not chunk:
                unpack(stored, chunk, layout.per_value)
        stream.read(1)  # makes gzip and bzip2 compare their checksums, which follow the last byte
    return pixels, layout.pixel_size, layout.note


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
        raise stack(path, len(tiff.pages))
    page = tiff.pages.first
    check_shape(page.imagelength, page.imagewidth, path)
    if page.imagedepth > 1:
        raise stack(path, page.imagedepth)
    if page.ndim != 2:
        raise GanpickError(f"{path}: a colour picture ({page.samplesperpixel} values per pixel); give a grey micrograph")
    if page.dtype is None or page.dtype.kind not in "iuf":
        raise GanpickError(f"{path}: its pixels are of type {page.dtype}; convert it to float32 or to 8 or 16 bit integers")
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if page.is_contiguous:
        ends.append(page.dataoffsets[0] + page.nbytes)
    if not ends or max(ends) > tiff.filehandle.size:
        raise truncated(path, max(ends, default=0), tiff.filehandle.size)
    return page


def _tiff_pixel_size(page: tifffile.TiffPage) -> float | None:
    """Angstrom per pixel by the resolution tags; None where they are missing or meant for a printer."""
    unit, resolution = page.tags.valueof("ResolutionUnit"), page.tags.valueof("XResolution")
    if unit not in TIFF_UNITS_ANGSTROM or not isinstance(resolution, tuple) or 0 in resolution:
        return None
    size = TIFF_UNITS_ANGSTROM[unit] * resolution[1] / resolution[0]
    return size if 0 < size < LARGEST_TIFF_PIXEL else None


def _read_tiff(path: Path) -> _Read:
    """Read a TIFF and turn its rows upside down, as RELION does when it reads one."""
    with _named_errors(path, TIFF_ERRORS), tifffile.TiffFile(path) as tiff:
        page = _only_page(tiff, path)
        stored = page.asarray(maxworkers=1)
        with np.errstate(over="ignore", invalid="ignore"):  # whether pixels are finite is judged by the picker
            pixels = np.array(stored[::-1], np.float32, order="C")
        return pixels, _tiff_pixel_size(page), None
