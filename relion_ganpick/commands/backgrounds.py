"""Areas without particles from micrographs on disk, and a picture of them; see `synthesis.backgrounds`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.equalise import PAPER_SIDE, Grey, preprocess
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.frame import find_image_area
from relion_ganpick.core.micrograph import read_micrograph
from relion_ganpick.synthesis.backgrounds import Area, particle_free_areas

Image = NDArray[np.float32]

MOST_SEARCHED = 24
DRAWN = 6


def find_areas(files: Sequence[Path], diameters: tuple[int, int], picture: Path, bright: bool = False) -> list[Grey]:
    """Find areas without particles in micrographs, and show them in a picture.

    Parameters
    ----------
    files
        Micrographs; of more than 24, as many are taken evenly.
    diameters
        Smallest and largest diameter of a particle when a micrograph is 512 pixels wide.
    picture
        PNG to write: the first micrographs with squares around the areas, and the areas beside them.
    bright
        Particles are bright.

    Returns
    -------
    The areas, (512, 512) uint8 each.

    Raises
    ------
    GanpickError
        If a micrograph cannot be read or none holds such an area.
    """
    every = max(len(files) / MOST_SEARCHED, 1.0)
    found: list[Area] = []
    rows: list[Grey] = []
    for path in [files[int(k * every)] for k in range(min(len(files), MOST_SEARCHED))]:
        pixels = read_micrograph(path).pixels
        frame = find_image_area(pixels)
        inside = pixels[frame.top : frame.bottom, frame.left : frame.right]
        inside = -inside if bright else inside
        areas = particle_free_areas(inside, diameters)
        found += areas
        if len(rows) < DRAWN and (areas or len(files) <= DRAWN):
            rows.append(_row(inside, areas))
    picture.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(picture), np.vstack(rows) if rows else np.zeros((8, 8), np.uint8))
    if not found:
        raise GanpickError(
            f"there is no area without particles in {len(files)} micrographs (smallest to largest particle: {diameters[0]} to "
            f"{diameters[1]} pixels of 512): give more micrographs or another --shape_diameter, or leave out --backgrounds"
        )
    return [area.grey for area in found]


def locate_files(names: Iterable[str], star: Path) -> list[Path]:
    """Find the micrographs that a STAR file names, relative to here or to a folder above the STAR file.

    Raises
    ------
    GanpickError
        If one is nowhere.
    """
    files = []
    for name in names:
        bases = (Path(), *star.absolute().parents)
        path = next((base / name for base in bases if (base / name).is_file()), None)
        if path is None:
            raise GanpickError(f"{star}: lists {name}, which is not there; run the command in the project's folder")
        files.append(path)
    return files


def _row(pixels: Image, areas: list[Area]) -> Grey:
    """Draw a micrograph with its areas, and the areas in a square of two by two, (512, 1024) uint8."""
    drawn = preprocess(pixels)
    beside = np.full((PAPER_SIDE, PAPER_SIDE), 255, np.uint8)
    half = PAPER_SIDE // 2
    for k, area in enumerate(areas[:4]):
        cv2.rectangle(drawn, (area.left, area.top), (area.left + area.side - 1, area.top + area.side - 1), 255, 2)
        y, x = half * (k // 2), half * (k % 2)
        beside[y : y + half, x : x + half] = cv2.resize(area.grey, (half, half), interpolation=cv2.INTER_AREA)
    return np.hstack([drawn, beside])
