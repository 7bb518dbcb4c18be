"""Areas without particles (section 2.2.2), found in the user's own micrographs without labels.

A particle is a dark blob of about its diameter. Noise makes dark and bright blobs alike, so that the bright ones, which are never
particles, tell how strong a blob of noise is. Areas are the largest squares in which no dark blob is stronger than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.equalise import PAPER_SIDE, Grey, preprocess, to_grey
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.frame import find_image_area
from relion_ganpick.core.micrograph import read_micrograph
from relion_ganpick.core.preprocess import resize

Image = NDArray[np.float32]

LARGEST = 127
QUANTILE = 0.9
MOST_SHIFT, LEAST_SPREAD, MOST_SPREAD = 0.75, 0.4, 1.25
MOST_PER_MICROGRAPH = 4
MOST_MICROGRAPHS = 24
DRAWN = 6


@dataclass(frozen=True)
class Area:
    """A square without particles.

    Attributes
    ----------
    left, top, side
        Corner and size, in pixels of the micrograph shrunk to 512 x 512.
    grey
        (512, 512) uint8, the square cut from the micrograph at full size, after step 1.
    """

    left: int
    top: int
    side: int
    grey: Grey


def blob_answer(grey: Grey, diameters: tuple[int, int]) -> Image:
    """Filter a picture by Laplacians of Gaussians for blobs of several diameters.

    Parameters
    ----------
    grey
        (h, w) uint8.
    diameters
        Smallest and largest diameter of a particle in pixels.

    Returns
    -------
    (3, h, w) float32 in grey values, positive where it is dark; for the smallest, the middle and the largest diameter.
    """
    answers = []
    for diameter in np.geomspace(*diameters, 3):
        sigma = diameter / np.sqrt(8)
        smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), float(sigma), borderType=cv2.BORDER_REFLECT)
        answers.append(sigma**2 * cv2.Laplacian(smooth, cv2.CV_32F, borderType=cv2.BORDER_REFLECT))
    return np.asarray(np.stack(answers), dtype=np.float32)


def particle_free_areas(pixels: Image, diameters: tuple[int, int], most: int = MOST_PER_MICROGRAPH) -> list[Area]:
    """Find the largest squares of a micrograph that hold no particles.

    No dark answer in a square is stronger than the 90 % quantile of the bright ones, at each diameter; and neither its mean
    nor its spread sets it apart from the micrograph, as those of carbon, ice and holes do.

    Parameters
    ----------
    pixels
        (h, w) float32, the image area of a micrograph, particles dark.
    diameters
        Smallest and largest diameter of a particle when the micrograph is 512 pixels wide.
    most
        Number of squares, which do not overlap.

    Returns
    -------
    Areas, the largest first: at least as wide as the largest particle, at most 127 pixels of 512.
    """
    grey = to_grey(resize(pixels, (PAPER_SIDE, PAPER_SIDE)))
    answer = blob_answer(grey, diameters)
    strongest_noise = np.quantile(-answer, QUANTILE, axis=(1, 2), keepdims=True)
    free = np.pad((answer <= strongest_noise).all(axis=0).astype(np.uint8), 1)
    chosen: list[Area] = []
    while len(chosen) < most:
        # In the chessboard metric the distance to the nearest pixel that is taken is half a square's side.
        distance = cv2.distanceTransform(free, cv2.DIST_C, 3)
        row, column = np.unravel_index(distance.argmax(), distance.shape)
        half = min(int(distance[row, column]) - 1, LARGEST // 2)
        left, top, side = int(column) - 1 - half, int(row) - 1 - half, 2 * half + 1
        if side < diameters[1]:
            break
        free[top + 1 : top + 1 + side, left + 1 : left + 1 + side] = 0
        if _ordinary(grey[top : top + side, left : left + side], grey):
            chosen.append(Area(left, top, side, _cut(pixels, left, top, side)))
    return chosen


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
    every = max(len(files) / MOST_MICROGRAPHS, 1.0)
    found: list[Area] = []
    rows: list[Grey] = []
    for path in [files[int(k * every)] for k in range(min(len(files), MOST_MICROGRAPHS))]:
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
            f"no area without particles was found in {len(files)} micrographs (smallest to largest particle: {diameters[0]} to "
            f"{diameters[1]} pixels of 512): give more micrographs or another --shape_diameter, or leave --backgrounds away"
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
            raise GanpickError(f"{star}: names {name}, which is not there; call from the project's folder")
        files.append(path)
    return files


def _ordinary(square: Grey, grey: Grey) -> bool:
    """Tell whether a square has about the mean and the spread of the whole picture."""
    spread = float(grey.std())
    return abs(float(square.mean()) - float(np.median(grey))) <= MOST_SHIFT * spread and bool(
        LEAST_SPREAD * spread <= square.std() <= MOST_SPREAD * spread
    )


def _cut(pixels: Image, left: int, top: int, side: int) -> Grey:
    """Cut a square, given in pixels of 512 x 512, from the micrograph at full size."""
    height, width = pixels.shape
    rows = slice(top * height // PAPER_SIDE, (top + side) * height // PAPER_SIDE)
    columns = slice(left * width // PAPER_SIDE, (left + side) * width // PAPER_SIDE)
    return preprocess(pixels[rows, columns])


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
