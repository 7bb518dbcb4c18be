"""CryoSPARC's ``.cs`` datasets: locations of particles."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.errors import GanpickError

Points = NDArray[np.float64]


def read_cs(path: Path) -> dict[str, Points]:
    """Read particle locations of CryoSPARC, in pixels.

    Raises
    ------
    GanpickError
        If the file is no dataset with locations.
    """
    table = _load_cs(path)
    names = ("location/micrograph_path", "location/micrograph_shape", "location/center_x_frac", "location/center_y_frac")
    try:
        micrographs, shapes, x, y = (np.asarray(table[name]) for name in names)
    except (KeyError, ValueError) as error:
        raise GanpickError(f"{path}: has no {error}: give a dataset of particles with locations") from error
    points = np.stack([x * shapes[:, 1], y * shapes[:, 0]], axis=1).astype(np.float64).round(3)
    stems = np.array([PurePosixPath(each.decode() if isinstance(each, bytes) else str(each)).stem for each in micrographs])
    return {str(stem): points[stems == stem] for stem in np.unique(stems)}


def _load_cs(path: Path) -> Any:
    """Load a dataset; those in CryoSPARC's own stream format need its client."""
    try:
        return np.load(path, allow_pickle=False)
    except OSError as error:
        raise GanpickError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, EOFError) as error:
        try:
            dataset = import_module("cryosparc.dataset")
        except ImportError:
            raise GanpickError(
                f"{path}: cannot be read without cryosparc-tools: pip install 'relion-ganpick[cryosparc]'"
            ) from error
        try:
            return dataset.Dataset.load(path)
        except Exception as second:
            raise GanpickError(f"{path}: not a dataset of CryoSPARC ({second})") from second
