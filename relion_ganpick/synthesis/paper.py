"""The paper's training pairs (section 2.2.2): Algorithm 2, black square markers, and backgrounds.

Algorithm 1, the random walk, is in `shapes`; areas without particles are found by `backgrounds`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.equalise import Grey
from relion_ganpick.synthesis.imaging import coloured_noise
from relion_ganpick.synthesis.pair_settings import PairSettings
from relion_ganpick.synthesis.shapes import random_walk_shape

MIDDLE = 130.0
SHAPES_PER_PICTURE = 40
TRAINING, HELD_OUT = 0, 1


@dataclass(frozen=True)
class Pair:
    """A synthetic picture and its truth.

    Attributes
    ----------
    picture
        (size, size) uint8, the synthetic input image.
    truth
        (size, size) uint8, the same with black markers.
    centres
        (n, 2) float64, (x, y) in pixels.
    diameter
        Side of the shapes in pixels.
    """

    picture: Grey
    truth: Grey
    centres: NDArray[np.float64]
    diameter: int


def noise_background(size: int, spread: float, colour: float, smoothing: float, rng: np.random.Generator) -> Grey:
    """Make a picture of pure noise about the mean of a micrograph after step 1.

    Parameters
    ----------
    size
        Side in pixels.
    spread
        Standard deviation in grey values.
    colour
        Amplitudes fall with this power of the frequency; 0 is white.
    smoothing
        Standard deviation of a Gaussian in pixels; 0 leaves the noise as it is.
    rng
        Source of randomness.

    Returns
    -------
    (size, size) uint8.
    """
    noise = coloured_noise((size, size), colour, rng)
    if smoothing > 0:
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), smoothing, borderType=cv2.BORDER_REFLECT), dtype=np.float32)
        noise /= noise.std()
    return np.asarray(np.rint(np.clip(MIDDLE + spread * noise, 0, 255)), dtype=np.uint8)


def background_from_area(area: Grey, size: int, rng: np.random.Generator) -> Grey:
    """Make a background of an area without particles: resized as the paper says, and turned or flipped at random."""
    resized = cv2.resize(area, (size, size), interpolation=cv2.INTER_AREA if area.shape[0] > size else cv2.INTER_CUBIC)
    turned = np.rot90(resized, int(rng.integers(4)))
    return np.ascontiguousarray(turned[:, ::-1] if rng.integers(2) else turned, dtype=np.uint8)


def synthetic_input(
    background: Grey,
    shapes: Sequence[Grey],
    shape_diameter: int,
    shape_number: int,
    fade: tuple[float, float],
    rng: np.random.Generator,
    smoothing: float = 0.0,
) -> tuple[Grey, NDArray[np.int64]]:
    """Subtract random shapes from a background: Algorithm 2 of Kong et al.

    Two shapes overlap when their squares of one diameter do; one that would overlap an earlier one is left out. What
    would fall below black is black.

    Parameters
    ----------
    background
        (size, size) uint8, the noise image.
    shapes
        (h, w) uint8 each, 0 or 255, of Algorithm 1.
    shape_diameter
        Side in pixels that shapes are resized to.
    shape_number
        Number of tries.
    fade
        Range of the factor that a shape is multiplied by.
    rng
        Source of randomness.
    smoothing
        Standard deviation of a Gaussian in pixels that makes the shapes as soft as the noise; 0 leaves them as they are.

    Returns
    -------
    picture
        (size, size) uint8.
    centres
        (n, 2) int64, (x, y) in pixels.
    """
    height, width = background.shape
    picture = background.astype(np.float32)
    centres = np.empty((0, 2), np.int64)
    for _ in range(shape_number):
        centre = rng.integers(0, (width, height))
        shape = shapes[int(rng.integers(len(shapes)))]
        rand_fade = rng.uniform(*fade)
        if (np.abs(centres - centre).max(axis=1) < shape_diameter).any():
            continue
        rand_shape = _resized(shape, shape_diameter, smoothing)
        rows, columns, part = _square(centre, shape_diameter, (height, width))
        picture[rows, columns] -= rand_shape[part] * np.float32(rand_fade)
        centres = np.concatenate([centres, centre[None]])
    return np.asarray(np.rint(np.clip(picture, 0, 255)), dtype=np.uint8), centres


def add_markers(picture: Grey, centres: NDArray[np.int64], marker_size: int) -> Grey:
    """Blacken a square at every centre, by a logical "and" of the picture with the markers.

    Parameters
    ----------
    picture
        (h, w) uint8.
    centres
        (n, 2) int64, (x, y) in pixels.
    marker_size
        Side of the squares in pixels.

    Returns
    -------
    (h, w) uint8.
    """
    mask = np.full(picture.shape, 255, np.uint8)
    for centre in centres:
        rows, columns, _ = _square(centre, marker_size, (picture.shape[0], picture.shape[1]))
        mask[rows, columns] = 0
    return np.asarray(np.bitwise_and(picture, mask), dtype=np.uint8)


def make_pair(settings: PairSettings, index: int, areas: Sequence[Grey] = (), stream: int = TRAINING) -> Pair:
    """Make one pair; the same settings, index and stream give the same pair.

    Parameters
    ----------
    settings
        Ranges to draw from.
    index, stream
        Name the pair; training and hold-out draw from different streams.
    areas
        Areas without particles of micrographs, (h, w) uint8 each; without any the background is pure noise.

    Returns
    -------
    Pair
    """
    rng = np.random.default_rng((settings.seed, stream, index))
    ranges = (settings.noise_spread, settings.noise_colour, settings.smoothing)
    spread, colour, smoothing = (float(rng.uniform(*bounds)) for bounds in ranges)
    if areas:
        background = background_from_area(areas[int(rng.integers(len(areas)))], settings.size, rng)
    else:
        background = noise_background(settings.size, spread, colour, smoothing, rng)
    diameter = int(rng.integers(settings.shape_diameter[0], settings.shape_diameter[1] + 1))
    number = int(rng.integers(settings.shape_number[0], settings.shape_number[1] + 1))
    number = min(number, settings.size**2 // diameter**2)
    lengths = rng.integers(settings.walk_length[0], settings.walk_length[1] + 1, SHAPES_PER_PICTURE)
    shapes = [random_walk_shape(int(length), rng) for length in lengths]
    picture, centres = synthetic_input(background, shapes, diameter, number, settings.fade, rng, smoothing)
    return Pair(picture, add_markers(picture, centres, settings.marker_size), centres.astype(np.float64), diameter)


def _resized(shape: Grey, side: int, smoothing: float) -> NDArray[np.float32]:
    """Resize a shape to a square, and soften it, (h, w) uint8 -> (side, side) float32."""
    method = cv2.INTER_AREA if min(shape.shape) > side else cv2.INTER_LINEAR
    resized = cv2.resize(shape, (side, side), interpolation=method).astype(np.float32)
    if smoothing > 0:
        resized = np.asarray(cv2.GaussianBlur(resized, (0, 0), smoothing, borderType=cv2.BORDER_CONSTANT), dtype=np.float32)
    return resized


def _square(centre: NDArray[np.int64], side: int, shape: tuple[int, int]) -> tuple[slice, slice, tuple[slice, slice]]:
    """Rows and columns of a square around a centre that lie in the picture, and which part of the square they are."""
    left, top = (int(value) - side // 2 for value in centre)
    rows = slice(max(top, 0), min(top + side, shape[0]))
    columns = slice(max(left, 0), min(left + side, shape[1]))
    return rows, columns, (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
