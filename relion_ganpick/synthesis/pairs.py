"""Training pairs for the default preset: pictures at the working scale and the markers that belong on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.blank import Mask
from relion_ganpick.core.localize import MARKER_RADIUS
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.core.standardise import standardise
from relion_ganpick.synthesis.grid import left_out, resized
from relion_ganpick.synthesis.scene import Scene, SceneSettings, make_scene
from relion_ganpick.synthesis.textures import log_uniform

Image = NDArray[np.float32]

CROPS_PER_SCENE = 2
DIAMETER_ERROR = (0.75, 1.25)
SIDE, LARGEST = 16, 1.5
COARSER = (0.8, 2.0)  # pixels of regridded scenes in those of the working scale


def markers(shape: tuple[int, int], centres: NDArray[np.float64], radius_px: float) -> Image:
    """Draw a disc with a soft rim of one pixel at every centre.

    Parameters
    ----------
    shape
        (h, w) in pixels.
    centres
        (n, 2) float64, (x, y).
    radius_px
        Radius of the discs.

    Returns
    -------
    (h, w) float32 in [0, 1]; discs that overlap keep the larger value.
    """
    half = int(np.ceil(radius_px)) + 1
    canvas = np.zeros((shape[0] + 2 * half, shape[1] + 2 * half), np.float32)
    offsets = np.arange(-half, half + 1)
    for x, y in centres:
        column, row = int(np.rint(x)), int(np.rint(y))
        if not (0 <= column < shape[1] and 0 <= row < shape[0]):
            continue
        away = np.hypot(offsets[None, :] + column - x, offsets[:, None] + row - y)
        disc = np.clip(radius_px + 0.5 - away, 0, 1)
        window = canvas[row : row + 2 * half + 1, column : column + 2 * half + 1]
        np.maximum(window, disc, out=window)
    return canvas[half:-half, half:-half]


def random_scene(rng: np.random.Generator, crop: int, settings: SceneSettings | None = None) -> Scene:
    """Draw a scene of random size, at the working scale but for the error of a user's diameter.

    Some were recorded on pixels coarser or hardly finer than the working scale's and brought to it as a picker does, and
    some on finer ones of which every second was left out, so that their noise and detail are aliased.

    Parameters
    ----------
    crop
        Smallest side in pixels; sides are up to one and a half times as long, and multiples of `SIDE`.
    """
    settings = settings or SceneSettings()
    sides = rng.integers(-(-crop // SIDE), int(LARGEST * crop) // SIDE + 1, 2) * SIDE
    shape = int(sides[0]), int(sides[1])
    diameter_px = PARTICLE_PX * float(np.clip(rng.normal(1.0, 0.12), *DIAMETER_ERROR))
    chosen = rng.random()
    if chosen < settings.aliased:
        return left_out(make_scene((2 * shape[0], 2 * shape[1]), 2 * diameter_px, rng, settings))
    if chosen < settings.aliased + settings.regridded:
        coarser = log_uniform(*COARSER, rng)
        grid = round(shape[0] / coarser), round(shape[1] / coarser)
        return resized(make_scene(grid, diameter_px / coarser, rng, settings), shape)
    return make_scene(shape, diameter_px, rng, settings)


def prepared(scene: Scene) -> Image:
    """Make the picture that the network sees of a scene at the working scale, (h, w) float32."""
    return prepared_with_blank(scene)[0]


def prepared_with_blank(scene: Scene) -> tuple[Image, Mask | None]:
    """Prepare a scene as the picker does a micrograph: areas without image are found, not known (`core.standardise`)."""
    return standardise(scene.pixels)


def make_batch(seed: int, step: int, batch: int, crop: int, settings: SceneSettings | None = None) -> tuple[Image, Image]:
    """Make the pairs of one training step; the same seed and step give the same pairs.

    Parameters
    ----------
    seed, step
        Name the random stream.
    batch
        Number of pairs.
    crop
        Side of the pictures in pixels.

    Returns
    -------
    pictures, targets
        (batch, 1, crop, crop) and (batch, 2, crop, crop) float32; the first channel of a target is the markers of the
        particles, the second is 1 on contamination.
    """
    pictures = np.empty((batch, 1, crop, crop), np.float32)
    targets = np.empty((batch, 2, crop, crop), np.float32)
    for index in range(batch):
        if index % CROPS_PER_SCENE == 0:
            rng = np.random.default_rng((seed, step, index))
            scene = random_scene(rng, crop, settings)
            picture = prepared(scene)
            target = np.stack([markers(picture.shape, scene.centres, MARKER_RADIUS * PARTICLE_PX), scene.contaminated])
        top = int(rng.integers(0, picture.shape[0] - crop + 1))
        left = int(rng.integers(0, picture.shape[1] - crop + 1))
        turn, flip = int(rng.integers(4)), bool(rng.integers(2))
        for source, out in ((picture[None], pictures), (target, targets)):
            piece = np.rot90(source[:, top : top + crop, left : left + crop], turn, axes=(1, 2))
            out[index] = piece[:, :, ::-1] if flip else piece
    return pictures, targets
