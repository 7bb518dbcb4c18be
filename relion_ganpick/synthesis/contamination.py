"""What a micrograph holds beside particles: ice, gold, carbon film, debris. None of it is ever marked.

Every function returns projected mass on the picture's grid, in units of the mass that a particle typically
projects, so that everything passes through the same contrast transfer function.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.synthesis.imaging import Image, coloured_noise
from relion_ganpick.synthesis.shapes import random_walk_shape

Shape = tuple[int, int]


def ice_crystals(shape: Shape, diameter_px: float, rng: np.random.Generator) -> Image:
    """Dark round or lumpy spots of 0.4 to four diameters, of all sizes in one picture: hexagonal ice, ethane, contaminants."""
    layer = np.zeros(shape, np.float32)
    contrast = float(np.exp(rng.uniform(np.log(0.3), np.log(6.0))))
    largest = float(np.exp(rng.uniform(np.log(0.8), np.log(4.0))))
    crowding = float(rng.choice([20, 60]))
    for _ in range(int(rng.integers(1, 4 + shape[0] * shape[1] // int(crowding * diameter_px**2)))):
        size = diameter_px * float(np.exp(rng.uniform(np.log(0.4), np.log(largest))))
        centre = _random_point(shape, rng)
        blob = np.zeros(shape, np.uint8)
        for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
            axes = (int(size / 2 * rng.uniform(0.6, 1.0)) + 1, int(size / 2 * rng.uniform(0.6, 1.0)) + 1)
            spot = centre + rng.normal(0, size / 3, 2) * (blob.max() > 0)
            cv2.ellipse(blob, (int(spot[0]), int(spot[1])), axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        layer += np.float32(contrast * rng.uniform(0.3, 1.0)) * blob
    return _soften(layer, rng.uniform(0.5, 1.5))


def gold_beads(shape: Shape, diameter_px: float, rng: np.random.Generator) -> Image:
    """Very dark small discs: fiducials or the edge of a gold film that has broken up."""
    layer = np.zeros(shape, np.float32)
    radius = diameter_px * rng.uniform(0.08, 0.35)
    for _ in range(int(rng.integers(1, 9))):
        x, y = _random_point(shape, rng)
        cv2.circle(layer, (int(x), int(y)), int(radius) + 1, float(rng.uniform(4.0, 15.0)), -1)
    return _soften(layer, 0.6)


def carbon_film(shape: Shape, diameter_px: float, rng: np.random.Generator) -> tuple[Image, Image, Image]:
    """Film with its grain, outside (or inside) a circular hole whose edge crosses the picture.

    Returns
    -------
    mass
        (h, w) float32 projected mass of the film: its thickness and its grain.
    edge
        (h, w) float32 projected mass along the edge of the hole.
    film
        (h, w) float32, 1 on the film and 0 in the hole.
    """
    radius = float(rng.uniform(0.6, 4.0)) * max(shape)
    point, angle = _random_point(shape, rng), rng.uniform(0, 2 * np.pi)
    centre = point + radius * np.array([np.cos(angle), np.sin(angle)])
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    wobble = _soften(coloured_noise(shape, 1.2, rng), diameter_px / 4) * diameter_px * rng.uniform(0, 0.4)
    inside = np.float32(radius) - np.hypot(x - centre[0], y - centre[1]) + wobble
    film = (1 / (1 + np.exp(np.clip(inside / rng.uniform(0.5, 2.0), -30, 30)))).astype(np.float32)
    if rng.random() < 0.2:
        film = 1 - film
    grain = film_grain(shape, diameter_px, rng)
    edge = np.exp(-((inside / (diameter_px * rng.uniform(0.05, 0.4))) ** 2)) * rng.uniform(0, 4)
    return (film * (rng.uniform(0, 4) + grain)).astype(np.float32), edge.astype(np.float32), film


def film_grain(shape: Shape, diameter_px: float, rng: np.random.Generator) -> Image:
    """Amorphous texture of a film: band-limited noise, its grain from a pixel to half a diameter."""
    fine = coloured_noise(shape, rng.uniform(0.0, 0.6), rng)
    coarse = _soften(rng.standard_normal(shape, dtype=np.float32), diameter_px * rng.uniform(0.04, 0.3))
    coarse /= max(float(coarse.std()), 1e-6)
    share = rng.uniform(0, 1)
    strength = np.float32(np.exp(rng.uniform(np.log(0.1), np.log(1.5))))
    return strength * (np.float32(1 - share) * fine + np.float32(share) * coarse)


def mottle(shape: Shape, diameter_px: float, rng: np.random.Generator) -> Image:
    """Flecks in the ice as large as particles but weaker, even or in patches: random noise, its grain 0.1 to 0.4 diameters."""
    flecks = _soften(rng.standard_normal(shape, dtype=np.float32), diameter_px * rng.uniform(0.1, 0.4))
    flecks /= max(float(flecks.std()), 1e-6)
    if rng.random() < 0.5:
        flecks = np.maximum(flecks - np.float32(rng.uniform(0.5, 2.0)), 0)
    if rng.random() < 0.5:
        patches = _soften(rng.standard_normal(shape, dtype=np.float32), diameter_px * rng.uniform(1.0, 4.0))
        flecks *= np.clip(0.5 + patches / max(float(patches.std()), 1e-6), 0, 2)
    return np.asarray(flecks * np.float32(rng.uniform(0.05, 0.5)), dtype=np.float32)


def ridges(shape: Shape, diameter_px: float, rng: np.random.Generator) -> Image:
    """Cracks, folds, fibres and DNA: long thin curves."""
    layer = np.zeros(shape, np.float32)
    for _ in range(int(rng.integers(1, 6))):
        bend = np.cumsum(rng.normal(0, rng.uniform(0.02, 0.4), 60)) + rng.uniform(0, 2 * np.pi)
        step = diameter_px * rng.uniform(0.1, 0.6)
        path = _random_point(shape, rng) + np.cumsum(np.stack([np.cos(bend), np.sin(bend)], axis=1) * step, axis=0)
        width = int(np.ceil(diameter_px * rng.uniform(0.03, 0.5)))
        cv2.polylines(layer, [path.astype(np.int32)], False, float(rng.uniform(0.3, 2.0)), width)
    return _soften(layer, rng.uniform(0.5, 1.2))


def debris(shape: Shape, diameter_px: float, rng: np.random.Generator) -> Image:
    """Denatured protein: random-walk specks much smaller than a particle, loose or in heaps larger than one."""
    layer = np.zeros(shape, np.float32)
    heap = rng.random() < 0.5
    area = shape[0] * shape[1] / diameter_px**2
    for _ in range(int(area * rng.uniform(0.02, 0.3)) + 1):
        centre = _random_point(shape, rng)
        n_specks = int(rng.integers(8, 40)) if heap and rng.random() < 0.15 else 1
        reach = diameter_px * rng.uniform(0.4, 1.3)
        for _ in range(n_specks):
            side = max(int(diameter_px * rng.uniform(0.12, 0.42)), 2)
            walk = cv2.resize(random_walk_shape(int(rng.integers(10, 120)), rng), (side, side), interpolation=cv2.INTER_AREA)
            corner = centre + (rng.normal(0, reach, 2) if n_specks > 1 else 0)
            add_patch(layer, walk.astype(np.float32) * np.float32(rng.uniform(0.2, 1.0) / 255), corner)
    return _soften(layer, 0.7)


def add_patch(layer: Image, patch: NDArray[np.float32], centre: NDArray[np.float64], weight: float = 1.0) -> None:
    """Add a small picture to a large one in place, its middle at ``centre`` (x, y); what hangs over is cut."""
    height, width = patch.shape
    top, left = int(np.floor(centre[1])) - height // 2, int(np.floor(centre[0])) - width // 2
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + height, layer.shape[0]), min(left + width, layer.shape[1])
    if y1 > y0 and x1 > x0:
        layer[y0:y1, x0:x1] += np.float32(weight) * patch[y0 - top : y1 - top, x0 - left : x1 - left]


def _random_point(shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
    return np.asarray(rng.uniform(0, 1, 2) * np.array([shape[1], shape[0]]))


def _soften(layer: Image, sigma_px: float) -> Image:
    return np.asarray(cv2.GaussianBlur(layer, (0, 0), float(sigma_px)), dtype=np.float32)
