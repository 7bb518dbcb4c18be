"""Markers to particle centres: regions as in the paper (Algorithm 3), or peaks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.picks import Picks

# In diameters. The markers of the training pairs have this radius (synthesis/pairs.py), so it goes with the model. The other
# two were set by hand in the first version and not compared with others.
MARKER_RADIUS = 0.25
SMOOTHING = 0.1  # less than half a marker's radius, so that close markers stay apart
FLOOR = 0.05  # height of a mark; all that any threshold could want lies above


@dataclass(frozen=True)
class RegionSettings:
    """The four quantities that Algorithm 3 begins with.

    Attributes
    ----------
    threshold
        The paper's threshold1: share of the grey range that input - output must reach.
    erosion
        Side of the square kernel of the erosion in pixels.
    area_tolerance
        The paper's threshold2: how far a region's area may be from the mean, as a share of the mean.
    mean_area
        The mean area AA in pixels; None takes it from the regions of the picture, as Algorithm 3 does.
    """

    threshold: float = 0.1
    erosion: int = 5
    area_tolerance: float = 0.5
    mean_area: float | None = None


def peaks(marked: NDArray[np.float32], particle_px: float, min_distance_px: float, floor: float = FLOOR) -> Picks:
    """Find one particle in every peak of the smoothed marker image.

    The image is smoothed by a Gaussian of 0.1 diameters; a pixel that is the largest within half a minimum distance is a
    peak; its centre is refined to the centre of mass of the marker within a marker's radius; its figure of merit is the
    height of the peak, where 1 is a full marker. Of two peaks closer than the minimum distance the lower one goes.

    Parameters
    ----------
    marked
        (h, w) float32, the probability that a pixel belongs to a particle's marker.
    particle_px
        Diameter in pixels.
    min_distance_px
        Smallest distance between two centres in pixels.
    floor
        Peaks lower than this are dropped.

    Returns
    -------
    Picks, in pixels of ``marked``.
    """
    sigma = SMOOTHING * particle_px
    full = 1 - np.exp(-0.5 * (MARKER_RADIUS / SMOOTHING) ** 2)
    smooth = cv2.GaussianBlur(marked, (0, 0), sigma, borderType=cv2.BORDER_REFLECT) / np.float32(full)
    reach = max(int(min_distance_px / 2), 1)
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    rows, columns = np.nonzero((smooth >= cv2.dilate(smooth, window)) & (smooth >= floor))
    if not len(rows):
        return Picks.none()
    x, y = _centres_of_mass(smooth, rows, columns, int(np.ceil(MARKER_RADIUS * particle_px)))
    score = np.clip(smooth[rows, columns].astype(np.float64), 0.0, 1.0)
    return Picks(x, y, score).thinned(min_distance_px)


def _centres_of_mass(
    image: NDArray[np.float32], rows: NDArray[np.intp], columns: NDArray[np.intp], radius: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    dy, dx = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = dx**2 + dy**2 <= radius**2
    dy, dx = dy[disc], dx[disc]
    padded = np.pad(image, radius)
    weight = padded[rows[:, None] + dy + radius, columns[:, None] + dx + radius].astype(np.float64) ** 2
    total = np.maximum(weight.sum(axis=1), 1e-12)
    x = columns + (weight * dx).sum(axis=1) / total
    y = rows + (weight * dy).sum(axis=1) / total
    return np.clip(x, 0, image.shape[1] - 1), np.clip(y, 0, image.shape[0] - 1)


def binarise(marked: NDArray[np.float32], threshold: float) -> NDArray[np.uint8]:
    """Second step of Algorithm 3: 0 where input - output is lower than the threshold, else 255.

    Parameters
    ----------
    marked
        (h, w) float32, input - output in units of the grey range (1 is 255 grey values).
    threshold
        In the same unit.
    """
    return np.where(marked < threshold, 0, 255).astype(np.uint8)


def erode(binary: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Third step of Algorithm 3: erosion by a square of ``side`` pixels; what lies outside the picture erodes nothing."""
    return np.asarray(cv2.erode(binary, np.ones((side, side), np.uint8)), dtype=np.uint8)


def regions(marked: NDArray[np.float32], settings: RegionSettings | None = None) -> Picks:
    """Find one particle in every connected region of about the mean area: Algorithm 3 of Kong et al.

    Regions are connected over edges and corners, as in skimage. The figure of merit, which the paper has not, is the mean
    of ``marked`` over the region.

    Parameters
    ----------
    marked
        (h, w) float32, input - output in units of the grey range; for the default model the probability of a marker.
    settings
        The algorithm's numbers, by default the paper's.

    Returns
    -------
    Picks, in pixels of ``marked``, best first.
    """
    from skimage.measure import label

    settings = settings or RegionSettings()
    eroded = erode(binarise(marked, settings.threshold), settings.erosion)
    labels, n_regions = label(eroded, return_num=True)  # type: ignore[no-untyped-call]
    if not n_regions:
        return Picks.none()
    rows, columns = np.nonzero(labels)
    region = labels[rows, columns] - 1
    area = np.bincount(region, minlength=n_regions)
    # Added up in the paper's order, so that a region at the limit falls on the same side.
    mean_area = np.cumsum(area / n_regions)[-1] if settings.mean_area is None else settings.mean_area
    smallest, largest = (1 - settings.area_tolerance) * mean_area, (1 + settings.area_tolerance) * mean_area
    accepted = (area >= smallest) & (area <= largest)
    x, y, contrast = (
        np.bincount(region, weights=values, minlength=n_regions) / area for values in (columns, rows, marked[rows, columns])
    )
    return Picks(x, y, np.clip(contrast, 0.0, 1.0)).where(accepted).sorted()
