"""What a network sees of a picture at the working scale: background and contrast come from where there is an image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.blank import Mask, find_blank, mean_around
from relion_ganpick.core.preprocess import CLIP, HIGH_PASS_DIAMETERS, PARTICLE_PX, normalise

Image = NDArray[np.float32]

HOT = 40.0  # spreads from the median: no specimen reaches so far
EDGE_DIAMETERS, CALM = 3.0, 6  # reach of soft edges; steps of a pixel at its end where the level is that of the image
FEWEST = 4.0  # squared diameters of image further away, to compare with
GRAIN_DIAMETERS = 0.5  # detail of an image that is finer than this is laid into blank areas


def standardise(picture: Image, particle_px: float = PARTICLE_PX, contrast: str = "dark") -> tuple[Image, Mask | None]:
    """Remove the background and scale the contrast, leaving out of account what is no image.

    Parameters
    ----------
    picture
        (h, w) float32 at the working scale.
    particle_px
        Diameter in pixels.
    contrast
        "dark" or "bright" particles; bright ones come out dark.

    Returns
    -------
    picture
        (h, w) float32 as of `preprocess.normalise`; 0 where there is no image.
    blank
        (h, w) bool, where there is none; None where there is image everywhere.
    """
    bright = contrast == "bright"
    blank = find_blank(-picture if bright else picture, particle_px)
    standard = normalise(picture, particle_px) if blank is None else normalise_around(picture, blank, particle_px)
    return (-standard if bright else standard), blank


def normalise_around(picture: Image, blank: Mask, particle_px: float = PARTICLE_PX) -> Image:
    """Normalise a picture as `preprocess.normalise` does, from the pixels that are not blank; the blank ones become 0.

    Parameters
    ----------
    picture
        (h, w) float32.
    blank
        (h, w) bool, True where there is no image.
    """
    there = ~blank
    if not there.any():
        return np.zeros_like(picture)
    values = picture[there]
    middle = np.median(values)
    reach = HOT * 1.4826 * float(np.median(np.abs(values - middle)))
    bounded = np.clip(picture, middle - reach, middle + reach) if reach > 0 else picture
    levels, calm = _edge_levels(bounded, blank, particle_px)
    level_edges = bounded - levels
    flat = level_edges - mean_around(level_edges, there, HIGH_PASS_DIAMETERS * particle_px)
    values = flat[calm]
    middle = np.median(values)
    spread = 1.4826 * float(np.median(np.abs(values - middle))) or float(values.std())
    if not spread > 0:
        return np.zeros_like(picture)
    standard = np.clip((flat - middle) / np.float32(spread), -CLIP, CLIP)
    return np.where(there, standard, np.float32(0)).astype(np.float32)


def _edge_levels(picture: Image, blank: Mask, particle_px: float) -> tuple[Image, Mask]:
    """Find how the level falls or rises towards each blank area, as it does at soft edges.

    Returns
    -------
    levels
        (h, w) float32, the median of what is as far from the same area, and 0 from 3 diameters on.
    calm
        (h, w) bool, what is that far away, as contrast is to come from there; all of the image where that is too little.
    """
    reach = round(EDGE_DIAMETERS * particle_px)
    there = (~blank).astype(np.uint8)
    away, nearest = cv2.distanceTransformWithLabels(there, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP)
    far = np.asarray(away > reach)
    levels = np.zeros_like(picture)
    if far.sum() < FEWEST * particle_px**2:
        return levels, ~blank
    above = picture - mean_around(picture, far, reach)
    for area in np.unique(nearest[blank]):
        ring = (nearest == area) & (away > 0) & ~far
        if ring.any():
            steps, medians = _medians(away[ring], above[ring])
            levels[ring] = np.interp(away[ring], steps, medians - np.median(medians[-CALM:]))
    return levels, far


def _medians(away: Image, values: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Part what lies at some distance into steps of a pixel, rising: the mean distance of each and the median of its values."""
    groups = away.astype(int)
    order = np.argsort(groups, kind="stable")
    _, first = np.unique(groups[order], return_index=True)
    means = [float(part.mean(dtype=float)) for part in np.split(away[order], first[1:])]
    return np.array(means), np.array([np.median(part) for part in np.split(values[order], first[1:])])


def filled(pixels: Image, blank: Mask, diameter_px: float) -> Image:
    """Fill the blank areas of a picture with the level of the image and grain like its own.

    Parameters
    ----------
    pixels
        (h, w) float32 of any scale.
    blank
        (h', w') bool of any other.
    diameter_px
        Diameter in pixels of ``pixels``.

    Returns
    -------
    (h, w) float32, the same as ``pixels`` where there is an image.
    """
    shape = pixels.shape[1], pixels.shape[0]
    covered = cv2.resize(blank.astype(np.uint8), shape, interpolation=cv2.INTER_NEAREST) > 0
    level = np.where(covered, mean_around(pixels, ~covered, diameter_px), pixels)
    grain = (level - cv2.GaussianBlur(level, (0, 0), GRAIN_DIAMETERS * diameter_px))[~covered]
    level[covered] += np.resize(grain, int(covered.sum()))
    return np.asarray(level, dtype=np.float32)
