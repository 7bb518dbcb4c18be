"""Areas without particles (section 2.2.2), found in the user's own micrographs without labels.

Particles are dark and noise is not: where there are none, a filter that answers to blobs of a particle's size gives as many
and as strong dark answers as bright ones. Areas are squares that pass this test, taken in order of their weakest dark answers.
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

SIDE = PAPER_SIDE // 4
STEP = PAPER_SIDE // 16
QUANTILE = 0.99
MOST_ASYMMETRY = 1.15
MOST_SHIFT = 0.5
LEAST_SPREAD, MOST_SPREAD = 0.7, 1.4
MOST_PER_MICROGRAPH = 4
MOST_MICROGRAPHS = 24
DRAWN = 6


@dataclass(frozen=True)
class Area:
    """A square without particles.

    Attributes
    ----------
    left, top
        Corner, in pixels of the micrograph shrunk to 512 x 512.
    strength
        Strength of the dark blobs that it still holds, in grey values.
    grey
        (512, 512) uint8, the square cut from the micrograph at full size, after step 1.
    """

    left: int
    top: int
    strength: float
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
    """Find the squares of a quarter of a micrograph's side that hold no particles.

    A square is taken when the dark answers in it (their 99 % quantile, at each diameter) are at most 15 % stronger than the
    bright ones, and when neither its mean nor its spread sets it apart from the micrograph, as those of carbon and ice do.

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
    Areas, those with the weakest dark blobs first.
    """
    grey = to_grey(resize(pixels, (PAPER_SIDE, PAPER_SIDE)))
    answer = blob_answer(grey, diameters)
    corners = [(left, top) for top in range(0, PAPER_SIDE - SIDE + 1, STEP) for left in range(0, PAPER_SIDE - SIDE + 1, STEP)]
    squares = [grey[top : top + SIDE, left : left + SIDE].astype(np.float32) for left, top in corners]
    spread = float(np.median([square.std() for square in squares]))
    middle = float(np.median([square.mean() for square in squares]))
    candidates = []
    for (left, top), square in zip(corners, squares, strict=True):
        part = answer[:, top : top + SIDE, left : left + SIDE].reshape(len(answer), -1)
        dark, bright = np.quantile(part, QUANTILE, axis=1), -np.quantile(part, 1 - QUANTILE, axis=1)
        ordinary = LEAST_SPREAD * spread <= square.std() <= MOST_SPREAD * spread
        if ordinary and abs(square.mean() - middle) <= MOST_SHIFT * spread and (dark <= MOST_ASYMMETRY * bright).all():
            candidates.append((float(dark.max()), left, top))
    chosen: list[Area] = []
    for strength, left, top in sorted(candidates):
        if len(chosen) < most and all(max(abs(left - each.left), abs(top - each.top)) >= SIDE for each in chosen):
            chosen.append(Area(left, top, strength, _cut(pixels, left, top)))
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


def _cut(pixels: Image, left: int, top: int) -> Grey:
    """Cut a square, given in pixels of 512 x 512, from the micrograph at full size."""
    height, width = pixels.shape
    rows = slice(top * height // PAPER_SIDE, (top + SIDE) * height // PAPER_SIDE)
    columns = slice(left * width // PAPER_SIDE, (left + SIDE) * width // PAPER_SIDE)
    return preprocess(pixels[rows, columns])


def _row(pixels: Image, areas: list[Area]) -> Grey:
    """Draw a micrograph with its areas, and the areas in a square of two by two, (512, 1024) uint8."""
    drawn = preprocess(pixels)
    beside = np.full((PAPER_SIDE, PAPER_SIDE), 255, np.uint8)
    half = PAPER_SIDE // 2
    for k, area in enumerate(areas[:4]):
        cv2.rectangle(drawn, (area.left, area.top), (area.left + SIDE - 1, area.top + SIDE - 1), 255, 3)
        y, x = half * (k // 2), half * (k % 2)
        beside[y : y + half, x : x + half] = cv2.resize(area.grey, (half, half), interpolation=cv2.INTER_AREA)
    return np.hstack([drawn, beside])
