"""Find the areas of a micrograph that hold no image, of any shape: grid bars, the dark outside the beam, blanked parts.

They are told by their grain, the noise that there is wherever electrons made an image. A constant area has none, and so has one
where the detector is saturated. Behind a bar and outside the beam there is less, and the level is far lower. All is done on the
small picture at the working scale.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Set by hand on simulated scenes and on micrographs without such areas, where nothing may be found (tests/test_blank.py).
WINDOW = 5  # pixels across that grain and level are averaged over
MOST_GRAIN = 2.0  # of the upper twentieth: what is above, such as a hot pixel, counts as this
NO_GRAIN = 0.03  # of the image's: constant
DARK_GRAIN = 0.6  # of the image's: behind a bar a third of the electrons at most
DARKER, SPREADS = 8.0, 3.0  # between the level of the image and that of a dark area: grains, and spreads of the image's level
FAR_END = 20.0  # grains between the level of the image and an end of the scale at which pixels are saturated or black
LEAST_IMAGE = 0.1  # of the picture: fewer pixels cannot tell how much grain an image has
THINNEST, SMALLEST = 0.5, 4.0  # diameters, squared diameters
EDGE = 1.25  # diameters that a soft edge may be wide
EDGE_SPREADS, EDGE_SHARE = 4.0, 0.5  # from the level of the image: spreads of it, and share of the way to that of the blank area
SCATTERED = 0.05  # of the image: if so much of it, far from the dark area, is as dark, it is the ground between bright particles
WIDE, IN_ONE_PIECE = 2.5, 0.6  # diameters of a disc, and the share of the image that such discs must fill
EVERY = 4  # pixels: what is sampled for medians
LEAST = 1e-6  # of the largest value: rounding errors of float32


def find_blank(picture: Image, particle_px: float) -> Mask | None:
    """Find where there is no image.

    Parameters
    ----------
    picture
        (h, w) float32 at the working scale, dark where the specimen is dense.
    particle_px
        Diameter in pixels.

    Returns
    -------
    (h, w) bool, True where there is no image; None where there is image everywhere, or nowhere.
    """
    grain, level = _grain(picture), _mean(picture, WINDOW)
    blank = _constant(picture, grain)
    if blank.any() and not blank.all():
        blank |= _clipped(grain, level, blank)
    dark = _dark(grain, level, blank)
    if dark is not None and not _is_ground(dark, particle_px):
        blank |= dark
    if not blank.any():
        return None
    blank = _large(blank, particle_px)
    if not blank.any() or blank.all():
        return None
    blank = _with_soft_edges(picture, blank, particle_px)
    return blank if _is_one_piece(~blank, particle_px) else None


def distance_from(blank: Mask, pixel: tuple[float, float] = (1.0, 1.0)) -> NDArray[np.float64]:
    """Distance of each pixel from the nearest blank one, (h, w) float64, where a pixel is ``pixel`` (x, y) wide."""
    from scipy.ndimage import distance_transform_edt

    return np.asarray(distance_transform_edt(~blank, sampling=(pixel[1], pixel[0])), dtype=np.float64)


def _mean(picture: Image, side: int) -> Image:
    return np.asarray(cv2.blur(picture, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)


def _grain(picture: Image) -> Image:
    """Mean size of the finest detail around each pixel, (h, w) float32."""
    detail = np.abs(picture - _mean(picture, 3))
    most = MOST_GRAIN * float(np.percentile(detail[::EVERY, ::EVERY], 95))
    return _mean(np.minimum(detail, np.float32(most)), WINDOW)


def _constant(picture: Image, grain: Image) -> Mask:
    """Find the pixels around which there is no grain."""
    limit = NO_GRAIN * float(np.percentile(grain[::EVERY, ::EVERY], 90))
    if not limit > 0:  # nine tenths are constant
        limit = NO_GRAIN * float(grain.max())
    found = grain <= max(limit, LEAST * float(np.abs(picture).max()))
    return grown(found, WINDOW // 2 + 1)


def _clipped(grain: Image, level: Image, constant: Mask) -> Mask:
    """Find what belongs to constant parts at either end of the scale, where not every pixel is saturated or black."""
    middle, usual = float(np.median(level[~constant])), float(np.median(grain[~constant]))
    found = np.zeros_like(constant)
    for end in (float(level.min()), float(level.max())):
        at_end = constant & (np.abs(level - np.float32(end)) < usual)
        if at_end.any() and abs(end - middle) > FAR_END * usual:
            found |= np.abs(level - np.float32(end)) < abs(end - middle) / 2
    return found


def _dark(grain: Image, level: Image, known: Mask) -> Mask | None:
    """Find the pixels that are much darker than all others and have less grain."""
    sample = (slice(None, None, EVERY), slice(None, None, EVERY))
    there = ~grown(known, WINDOW)[sample] if known.any() else np.ones(known[sample].shape, bool)
    grains, levels = grain[sample][there], level[sample][there]
    if len(levels) < LEAST_IMAGE * there.size:
        return None
    split = _split(levels)
    low, high = levels < split, levels >= split
    if min(low.sum(), high.sum()) == 0:
        return None
    low_grain, high_grain = float(np.median(grains[low])), float(np.median(grains[high]))
    middle = float(np.median(levels[high]))
    between = middle - float(np.median(levels[low]))
    spread = 1.4826 * float(np.median(np.abs(levels[high] - middle)))
    if high.sum() < LEAST_IMAGE * there.size or low_grain >= DARK_GRAIN * high_grain:
        return None
    return None if between < max(DARKER * high_grain, SPREADS * spread) else np.asarray((level < split) & ~known)


def _is_ground(dark: Mask, particle_px: float) -> bool:
    """Tell the ground between crowded bright particles, half of it without any, from an area without image."""
    far = ~grown(_large(dark, particle_px), round(EDGE * particle_px))
    return bool(far.any()) and float(dark[far].mean()) > SCATTERED


def _split(values: Image) -> float:
    """Part values into two kinds so that the kinds' means are as far apart as can be for their numbers (Otsu 1979)."""
    low, high = np.percentile(values, (0.2, 99.8))
    counts, edges = np.histogram(np.clip(values, low, high), 128)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1]
    above = below[-1] + counts[-1] - below
    sum_below = np.cumsum(counts * centres)[:-1]
    sum_above = (counts * centres).sum() - sum_below
    between = below * above * (sum_below / np.maximum(below, 1) - sum_above / np.maximum(above, 1)) ** 2
    return float(edges[1:-1][between.argmax()])


def _large(blank: Mask, particle_px: float) -> Mask:
    """Keep what is thick and large enough to matter; pieces of image that are too small to hold particles go as well."""
    kept = cv2.morphologyEx(blank.astype(np.uint8), cv2.MORPH_OPEN, _disc(THINNEST * particle_px)) > 0
    kept = _without_small(kept, SMALLEST * particle_px**2)
    return ~_without_small(~kept, SMALLEST * particle_px**2)


def _without_small(mask: Mask, least: float) -> Mask:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    large = stats[:, cv2.CC_STAT_AREA] >= least
    large[0] = False
    return np.asarray(large[labels])


def _with_soft_edges(picture: Image, blank: Mask, particle_px: float) -> Mask:
    """Add what lies beside a blank area and has not come half the way to the level of the image yet.

    Where more than half of the electrons come through, particles are seen; that the level rises there is taken out later.
    """
    ring = grown(blank, round(EDGE * particle_px)) & ~blank
    beyond = ~(ring | blank)
    if not beyond.any():
        return blank
    soft = np.asarray(cv2.GaussianBlur(picture, (0, 0), 2.0, borderType=cv2.BORDER_REFLECT), np.float32)
    level = mean_around(soft, beyond, EDGE * particle_px)
    away = np.abs(soft - level)
    between = abs(float(np.median(soft[blank]) - np.median(soft[beyond])))
    limit = max(EDGE_SPREADS * 1.4826 * float(np.median(away[beyond])), EDGE_SHARE * between)
    edge = (ring & (away > limit)) | blank
    _, labels = cv2.connectedComponents(edge.astype(np.uint8), connectivity=4)
    return np.asarray(np.isin(labels, np.unique(labels[blank])))


def mean_around(picture: Image, there: Mask, sigma: float) -> Image:
    """Gaussian mean of the pixels that are ``there``; where none is near, that of all of them, (h, w) float32."""
    weight = there.astype(np.float32)
    middle = np.float32(picture[there].mean(dtype=float))
    total = cv2.GaussianBlur((picture - middle) * weight, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    share = cv2.GaussianBlur(weight, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return np.asarray(middle + total / np.maximum(share, np.float32(1e-3)), dtype=np.float32)


def _is_one_piece(image: Mask, particle_px: float) -> bool:
    """Tell an image with blank areas beside it from lone particles on a ground without grain."""
    wide = cv2.morphologyEx(image.astype(np.uint8), cv2.MORPH_OPEN, _disc(WIDE * particle_px))
    return int(wide.sum()) >= IN_ONE_PIECE * int(image.sum()) > 0


def grown(mask: Mask, reach: int) -> Mask:
    """Add the pixels within a reach of a mask, (h, w) bool."""
    return np.asarray(cv2.dilate(mask.astype(np.uint8), _disc(2 * reach + 1)) > 0)


def _disc(across: float) -> NDArray[np.uint8]:
    side = 2 * round(across / 2) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
