"""What the header of an MRC file says: size, mode, byte order, pixel size.

mrcfile knows the fields, byte orders and modes. What old programs leave out is understood as RELION does.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mrcfile import utils as mrc_utils
from mrcfile.constants import MAP_ID
from mrcfile.dtypes import HEADER_DTYPE
from numpy.typing import NDArray

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.file_checks import AGAIN, IMPOSSIBLE, check_shape, stack, truncated

BYTES, PACKED = 0, 101
READABLE_MODES = (BYTES, 1, 2, 6, 12, PACKED)
OTHER_MODES = {
    3: "holds complex numbers (MRC mode 3), a Fourier transform: give the micrograph itself",
    4: "holds complex numbers (MRC mode 4), a Fourier transform: give the micrograph itself",
}
IMOD_STAMP_AT, IMOD_STAMP, SIGNED = 152, 1146047817, 1  # IMOD's "imodStamp"; bit 1 of "imodFlags", which follow it
LARGEST_SIGNED, LARGEST_BYTE = 127, 255


@dataclass(frozen=True)
class MrcLayout:
    """Where and how an MRC file holds its pixels.

    Attributes
    ----------
    shape
        (h, w) in pixels.
    dtype
        Of the values on disk; of four bits, of two of them.
    offset
        Bytes before the first.
    pixel_size
        Angstrom; None where the header does not say.
    per_value
        Pixels in each value on disk: 2 of four bits (mode 101), the lower ones first, and rows follow each other without a gap.
    note
        What a user should know about how it is read.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    offset: int
    pixel_size: float | None
    per_value: int = 1
    note: str | None = None


def read_layout(stream: io.BufferedIOBase, size: int | None, path: Path) -> MrcLayout:
    """Read the header of a file of ``size`` bytes (None where only unpacking tells).

    Raises
    ------
    GanpickError
        If it is no MRC file, is truncated, or is not a single real-valued micrograph.
    """
    raw = stream.read(HEADER_DTYPE.itemsize)
    if len(raw) < HEADER_DTYPE.itemsize:
        raise GanpickError(f"{path}: not an MRC file ({len(raw)} bytes, a header has {HEADER_DTYPE.itemsize}); {AGAIN}")
    header, order = _header(raw, path)
    mode, extended = int(header["mode"]), int(header["nsymbt"])
    columns, rows, sections = (int(header[axis]) for axis in ("nx", "ny", "nz"))
    if mode not in READABLE_MODES:
        what = OTHER_MODES.get(mode, f"is of MRC mode {mode}, which is not known: convert it to mode 2 (float32)")
        raise GanpickError(f"{path}: {what}")
    check_shape(rows, columns, path)
    if sections > 1:
        raise stack(path, sections)
    if sections < 1 or extended < 0:
        raise GanpickError(f"{path}: its header says {sections} sections and {extended} bytes of extended header; {AGAIN}")
    dtype, per_value, note = _values(mode, order, header, raw, path)
    offset = HEADER_DTYPE.itemsize + extended
    needed = offset + rows * columns // per_value * dtype.itemsize
    if size is not None and size < needed:
        raise truncated(path, needed, size)
    cell, intervals = float(header["cella"]["x"]), int(header["mx"])
    pixel_size = cell / intervals if intervals else 0.0
    return MrcLayout((rows, columns), dtype, offset, pixel_size if 0 < pixel_size < math.inf else None, per_value, note)


def unpack(values: NDArray[Any], pixels: NDArray[np.float32], per_value: int) -> None:
    """Turn (n,) values on disk into (n * per_value,) pixels."""
    if per_value == 1:
        pixels[:] = values
    else:
        pixels[0::2], pixels[1::2] = values & 15, values >> 4


def _values(mode: int, order: str, header: Any, raw: bytes, path: Path) -> tuple[np.dtype[Any], int, str | None]:
    """Find type of the values on disk, pixels in each, and what to say about it."""
    if mode == PACKED:
        if int(header["nx"]) * int(header["ny"]) % 2:
            raise GanpickError(
                f"{path}: an odd number of pixels ({header['nx']} x {header['ny']}) of 4 bits (MRC mode 101), which RELION "
                "refuses, too: convert it to float32, for instance with IMOD's newstack -mode 2"
            )
        return np.dtype(np.uint8), 2, None
    if mode == BYTES and _unsigned(header, raw, order):
        note = f"{path}: its bytes (MRC mode 0) are unsigned by its header and are read so; RELION 3.1 takes all for signed"
        return np.dtype(np.uint8), 1, note
    return mrc_utils.dtype_from_mode(mode).newbyteorder(order), 1, None


def _unsigned(header: Any, raw: bytes, order: str) -> bool:
    """Tell whether bytes are unsigned: by IMOD's stamp, or else by a largest value that signed ones cannot have."""
    stamp, flags = (int(value) for value in np.frombuffer(raw, f"{order}i4", 2, IMOD_STAMP_AT))
    if stamp == IMOD_STAMP:
        return not flags & SIGNED
    return LARGEST_SIGNED < float(header["dmax"]) <= LARGEST_BYTE and float(header["dmin"]) >= 0


def _header(raw: bytes, path: Path) -> tuple[Any, str]:
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
        if (mode in READABLE_MODES or mode in OTHER_MODES) and (stamped or 0 < pixels <= IMPOSSIBLE):
            return records[order], order
    if stamped or bytes(records["<"]["map"]).startswith(MAP_ID[:3]):
        return records[first], first
    raise GanpickError(f"{path}: not an MRC file (no 'MAP ' in its header, no known mode and size); {AGAIN}")
