"""Small MRC files with any header, for tests of reading."""

from __future__ import annotations

import bz2
import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from mrcfile.dtypes import HEADER_DTYPE

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.micrograph import read_micrograph

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
