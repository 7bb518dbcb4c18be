"""Where the image ends: foil and grid bars that reach in, the edge of the beam, areas without any image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.preprocess import PARTICLE_PX, normalise
from relion_ganpick.synthesis.imaging import Image, coloured_noise
from relion_ganpick.synthesis.textures import Shape, dried_film, log_uniform, soften

COARSE = 8
NEAREST, NEAR, FAR = 0.5, 1.5, 4.0  # reaches of the means that fill a blank area, in diameters


def foil(shape: Shape, diameter_px: float, rng: np.random.Generator) -> tuple[Image, Image]:
    """Foil or grid bar that reaches into the picture: many particles thick, crumpled, with a ragged edge.

    Returns
    -------
    mass
        (h, w) float32 projected mass.
    cover
        (h, w) float32, 1 on the foil and its fringes, 0 elsewhere.
    """
    beyond = beyond_edge(shape, diameter_px, rng, deepest=0.5)
    film = np.clip(beyond / rng.uniform(0.5, 3.0) + 0.5, 0, 1).astype(np.float32)
    thick = log_uniform(3.0, 40.0, rng)
    crumpled = dried_film(shape, diameter_px, rng) * np.float32(rng.uniform(0, 2))
    cover = (beyond > -diameter_px * rng.uniform(0.1, 0.5)).astype(np.float32)
    return film * (np.float32(thick) + crumpled), cover


def beyond_edge(shape: Shape, diameter_px: float, rng: np.random.Generator, deepest: float) -> Image:
    """How far each pixel lies beyond an edge, straight or bent, smooth or ragged, that cuts a part of the picture off.

    Parameters
    ----------
    deepest
        How far the edge may reach in, as a share of the picture's longer side.

    Returns
    -------
    (h, w) float32 in pixels, negative before the edge.
    """
    radius = max(shape) * log_uniform(0.6, 20.0, rng)
    angle, reach = rng.uniform(0, 2 * np.pi), max(shape) * rng.uniform(0, deepest)
    outwards = np.array([np.cos(angle), np.sin(angle)])
    middle = np.array([shape[1], shape[0]]) / 2
    furthest = float(np.abs(outwards * middle).sum())
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    if rng.random() < 0.7:  # round the picture, as the beam and the hole of a foil are
        centre = middle + outwards * (furthest - reach - radius)
        beyond = np.hypot(x - centre[0], y - centre[1]) - np.float32(radius)
    else:
        centre = middle + outwards * (furthest - reach + radius)
        beyond = np.float32(radius) - np.hypot(x - centre[0], y - centre[1])
    if rng.random() < 0.5:
        wobble = soften(coloured_noise(shape, 1.2, rng), diameter_px / 4)
        beyond = beyond + wobble * np.float32(diameter_px * rng.uniform(0, 0.5))
    return np.asarray(beyond, dtype=np.float32)


def blank_area(shape: Shape, diameter_px: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw a part of the picture that holds no image: beyond an edge, a strip, or a rectangle, (h, w) bool."""
    kind = rng.random()
    if kind < 0.6:
        return beyond_edge(shape, diameter_px, rng, deepest=0.5) > 0
    blank = np.zeros(shape, np.uint8)
    x, y = rng.uniform(0, 1, 2) * np.array([shape[1], shape[0]])
    size = np.array([rng.uniform(1, 5), rng.uniform(1, 5) if kind < 0.8 else 100]) * diameter_px
    box = cv2.boxPoints(((float(x), float(y)), (float(size[0]), float(size[1])), float(rng.uniform(0, 180))))
    cv2.fillPoly(blank, [np.rint(box).astype(np.int32)], 1)
    return blank > 0


def fill_smoothly(pixels: Image, blank: NDArray[np.bool_], diameter_px: float) -> Image:
    """Fill areas without image by the level of what is near, without spread, as the picker does.

    The level is the mean of the image within half a diameter; where there is none, within 1.5, or four; else that of the whole.

    Parameters
    ----------
    pixels
        (h, w) float32.
    blank
        (h, w) bool, True where there is no image.

    Returns
    -------
    (h, w) float32, the same as ``pixels`` where there is an image.
    """
    if not blank.any() or blank.all():
        return pixels
    there = (~blank).astype(np.float32)
    small = (max(pixels.shape[1] // COARSE, 1), max(pixels.shape[0] // COARSE, 1))
    sum_of, count = (cv2.resize(each, small, interpolation=cv2.INTER_AREA) for each in (pixels * there, there))
    level = np.full(sum_of.shape, float(pixels[~blank].mean()), np.float32)
    for reach in (FAR, NEAR, NEAREST):
        total, share = (cv2.GaussianBlur(each, (0, 0), max(reach * diameter_px / COARSE, 0.5)) for each in (sum_of, count))
        trust = np.clip(share / 0.1, 0, 1)
        level += trust * (total / np.maximum(share, 1e-6) - level)
    smooth = cv2.resize(level, (pixels.shape[1], pixels.shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.where(blank, smooth, pixels).astype(np.float32)


def normalise_around(pixels: Image, blank: NDArray[np.bool_]) -> Image:
    """Prepare a picture at the working scale as the picker does one that has areas without image.

    Mean and spread are those of the image alone, and what is blank becomes 0.

    Parameters
    ----------
    pixels
        (h, w) float32, its blank areas filled (`fill_smoothly`).
    blank
        (h, w) bool, True where there is no image.

    Returns
    -------
    (h, w) float32.
    """
    if not blank.any() or blank.all():
        return normalise(pixels)
    # Grain of the image is laid into the blank areas, so that they do not count as without spread, and taken away again.
    grain = (pixels - soften(pixels, PARTICLE_PX / 2))[~blank]
    grained = pixels.copy()
    grained[blank] += np.resize(grain, int(blank.sum()))
    out = normalise(grained)
    out[blank] = 0
    return out
