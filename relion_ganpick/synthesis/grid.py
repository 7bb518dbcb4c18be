"""Scenes brought to another pixel grid: the truth goes along."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import resize
from relion_ganpick.core.scale import Scale
from relion_ganpick.synthesis.scene import Scene


def resized(scene: Scene, shape: tuple[int, int]) -> Scene:
    """Resize a scene to ``shape`` (h, w), its pixels as the picker does."""
    old = scene.pixels.shape[0], scene.pixels.shape[1]
    centres = Scale(old, shape).to_working(Picks(scene.centres[:, 0], scene.centres[:, 1], np.ones(len(scene.centres)))).xy
    masks = (_nearest(layer, shape) for layer in (scene.contaminated, scene.blank))
    contaminated, blank = masks
    pixel_size = scene.pixel_size * old[0] / shape[0]
    pixels = resize(scene.pixels, shape)
    return replace(scene, pixels=pixels, centres=centres, contaminated=contaminated, blank=blank, pixel_size=pixel_size)


def left_out(scene: Scene) -> Scene:
    """Leave out every second row and column, without averaging: the noise stays as strong as it was and detail is aliased."""
    small = (slice(None, None, 2), slice(None, None, 2))
    return replace(
        scene,
        pixels=np.ascontiguousarray(scene.pixels[small]),
        centres=scene.centres / 2,
        contaminated=np.ascontiguousarray(scene.contaminated[small]),
        blank=np.ascontiguousarray(scene.blank[small]),
        pixel_size=2 * scene.pixel_size,
    )


def _nearest(layer: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    return cv2.resize(layer.astype(np.uint8), (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST) > 0
