"""Where the image ends: foil and grid bars that reach in, the edge of the beam, areas without any image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.synthesis.imaging import Image, coloured_noise
from relion_ganpick.synthesis.textures import Shape, dried_film, log_uniform, soften

COARSE = 8
PAINTED, CONSTANT = 0.25, 0.35  # shares of the kinds of areas without image; the rest is dark
DEPTH, THROUGH, HARDLY_LIT = (15.0, 100.0), (0.002, 0.15), 0.3  # spreads of the picture; shares of the electrons
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


def without_image(
    pixels: Image, blank: NDArray[np.bool_], diameter_px: float, rng: np.random.Generator
) -> tuple[Image, NDArray[np.bool_]]:
    """Make a part of a picture look as parts without image do: painted over, saturated, or dark behind a bar or beyond the beam.

    A bar lets a few electrons through, so that its noise is weak, and its edge may be soft.

    Parameters
    ----------
    pixels
        (h, w) float32, the part filled (`fill_smoothly`).
    blank
        (h, w) bool, the part.

    Returns
    -------
    (h, w) float32, and (h, w) bool: the part with as much of its edge as is dark.
    """
    if not blank.any() or blank.all():
        return pixels, blank
    kind = rng.random()
    if kind < PAINTED:
        return pixels, blank
    image = pixels[~blank]
    spread = float(image.std())
    depth = spread * log_uniform(*DEPTH, rng)
    if kind < PAINTED + CONSTANT:
        levels = (float(image.mean()), float(image.min()), float(image.mean()) - depth, float(image.mean()) + depth)
        return np.where(blank, np.float32(levels[int(rng.integers(len(levels)))]), pixels).astype(np.float32), blank
    through = log_uniform(*THROUGH, rng)
    soft = soften(blank.astype(np.float32), diameter_px * float(rng.choice((0.02, rng.uniform(0, 0.5)))))
    beam = 1 - (1 - through) * np.clip(soft, 0, 1)
    grained = pixels.copy()
    grained[blank] += np.resize((pixels - soften(pixels, diameter_px / 2))[~blank], int(blank.sum()))
    level = float(image.mean())
    dark = level - depth * (1 - beam) + np.sqrt(beam) * (grained - level)
    return dark.astype(np.float32), blank | (beam < HARDLY_LIT)


def fill_smoothly(pixels: Image, blank: NDArray[np.bool_], diameter_px: float) -> Image:
    """Fill areas without image by the level of what is near, without spread.

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
