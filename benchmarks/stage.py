"""Folders in which a picker finds micrographs as RELION gives them to it: links to the files, and a STAR file that lists them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np
from numpy.typing import NDArray

STAR_FILE = "micrographs.star"
FOLDER = "Micrographs"


@dataclass(frozen=True)
class Optics:
    """The microscope, as a STAR file gives it."""

    voltage_kv: float = 300.0
    spherical_aberration_mm: float = 2.7
    amplitude_contrast: float = 0.1


def stage(folder: Path, paths: Sequence[Path], pixel_size: float, optics: Optics | None = None) -> list[str]:
    """Link micrographs into a project's folder and list them.

    Parameters
    ----------
    folder
        The project's folder; it is made.
    paths
        The micrographs, in the order of the list; their names must differ.
    pixel_size
        Angstrom per pixel of all of them.
    optics
        The microscope; the usual 300 kV by default.

    Returns
    -------
    Their names in the list.
    """
    names = [f"{FOLDER}/{path.name}" for path in paths]
    if len(set(names)) < len(names):
        raise ValueError("two micrographs have the same name")
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    for name, path in zip(names, paths, strict=True):
        (folder / name).symlink_to(path.resolve())
    write_list(folder / STAR_FILE, names, pixel_size, optics or Optics())
    return names


def write_list(path: Path, names: Sequence[str], pixel_size: float, optics: Optics) -> None:
    """Write a micrographs STAR file of RELION 3.1 with one optics group."""
    values = {
        "OpticsGroupName": "opticsGroup1",
        "OpticsGroup": 1,
        "MicrographOriginalPixelSize": pixel_size,
        "MicrographPixelSize": pixel_size,
        "Voltage": optics.voltage_kv,
        "SphericalAberration": optics.spherical_aberration_mm,
        "AmplitudeContrast": optics.amplitude_contrast,
    }
    head = "".join(f"_rln{label} #{k}\n" for k, label in enumerate(values, 1))
    rows = "".join(f"{name} 1\n" for name in names)
    path.write_text(
        f"\n# version 30001\n\ndata_optics\n\nloop_\n{head}{' '.join(map(str, values.values()))}\n\n"
        f"\n# version 30001\n\ndata_micrographs\n\nloop_\n_rlnMicrographName #1\n_rlnOpticsGroup #2\n{rows}\n"
    )


def write_mrc(path: Path, pixels: NDArray[np.float32], pixel_size: float) -> None:
    """Write an MRC file, the same bytes whenever it is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(np.ascontiguousarray(pixels, np.float32))
        mrc.voxel_size = pixel_size
        mrc.header.nlabl = 0
        mrc.header.label = b""
