"""A small part of benchmarks/fuzz.py: damaged files are read or refused in one line that names them, never anything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.fuzz import damaged
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.micrograph import read_micrograph


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_damaged_files_are_read_or_refused_in_one_line(first: int, tmp_path: Path) -> None:
    for number in range(first, first + 50):
        path = damaged(tmp_path, number, 2)
        try:
            pixels = read_micrograph(path).pixels
        except GanpickError as error:
            message = str(error)
        else:
            message = f"{path}: read"
            assert pixels.dtype == np.float32
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        path.unlink()
