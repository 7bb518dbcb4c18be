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
from relion_ganpick.synthesis.textures import Shape, film_grain, log_uniform, soften

N_SPECKS = 16


def ice_crystals(shape: Shape, diameter_px: float, rng: np.random.Generator) -> Image:
    """Dark round or lumpy spots of 0.4 to four diameters, of all sizes in one picture: hexagonal ice, ethane, contaminants.

    In one half of the pictures they are as thick everywhere, in the other they are balls.
    """
    layer = np.zeros(shape, np.float32)
    contrast, largest = log_uniform(0.3, 6.0, rng), log_uniform(0.8, 4.0, rng)
    crowding = float(rng.choice([20, 60]))
    balls = rng.random() < 0.5
    for _ in range(int(rng.integers(1, 4 + shape[0] * shape[1] // int(crowding * diameter_px**2)))):
        size = diameter_px * log_uniform(0.4, largest, rng)
        spot = _lumps(size, rng).astype(np.float32)
        if balls:
            depth = cv2.distanceTransform(spot.astype(np.uint8), cv2.DIST_L2, 5)
            spot = np.sqrt(1 - np.square(1 - depth / max(float(depth.max()), 1.0)))
        add_patch(layer, spot, _random_point(shape, rng), contrast * rng.uniform(0.3, 1.0))
    return soften(layer, rng.uniform(0.5, 1.5))


def gold_beads(shape: Shape, diameter_px: float, rng: np.random.Generator) -> Image:
    """Very dark small discs: fiducials or the edge of a gold film that has broken up."""
    layer = np.zeros(shape, np.float32)
    radius = diameter_px * rng.uniform(0.08, 0.35)
    for _ in range(int(rng.integers(1, 9))):
        x, y = _random_point(shape, rng)
        cv2.circle(layer, (int(x), int(y)), int(radius) + 1, float(rng.uniform(4.0, 15.0)), -1)
    return soften(layer, 0.6)


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
    wobble = soften(coloured_noise(shape, 1.2, rng), diameter_px / 4) * diameter_px * rng.uniform(0, 0.4)
    inside = np.float32(radius) - np.hypot(x - centre[0], y - centre[1]) + wobble
    film = (1 / (1 + np.exp(np.clip(inside / rng.uniform(0.5, 2.0), -30, 30)))).astype(np.float32)
    if rng.random() < 0.2:
        film = 1 - film
    grain = film_grain(shape, diameter_px, rng)
    edge = np.exp(-((inside / (diameter_px * rng.uniform(0.05, 0.4))) ** 2)) * rng.uniform(0, 4)
    return (film * (rng.uniform(0, 4) + grain)).astype(np.float32), edge.astype(np.float32), film


def debris(shape: Shape, diameter_px: float, rng: np.random.Generator) -> Image:
    """Denatured protein: random-walk specks much smaller than a particle, loose or in heaps larger than one."""
    layer = np.zeros(shape, np.float32)
    heap = rng.random() < 0.5
    area = shape[0] * shape[1] / diameter_px**2
    specks = [_speck(diameter_px, rng) for _ in range(N_SPECKS)]
    for _ in range(int(area * rng.uniform(0.02, 0.3)) + 1):
        centre = _random_point(shape, rng)
        n_specks = int(rng.integers(8, 40)) if heap and rng.random() < 0.15 else 1
        reach = diameter_px * rng.uniform(0.4, 1.3)
        for _ in range(n_specks):
            corner = centre + (rng.normal(0, reach, 2) if n_specks > 1 else 0)
            add_patch(layer, np.rot90(specks[int(rng.integers(N_SPECKS))], int(rng.integers(4))), corner, rng.uniform(0.2, 1.0))
    return soften(layer, 0.7)


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


def _speck(diameter_px: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """One random walk, 0.12 to 0.42 diameters wide, between 0 and 1."""
    side = max(int(diameter_px * rng.uniform(0.12, 0.42)), 2)
    walk = cv2.resize(random_walk_shape(int(rng.integers(10, 120)), rng), (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(walk / np.float32(255), dtype=np.float32)


def _lumps(size: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One to three ellipses that overlap, 1 inside, in a square of three times their size."""
    side = 2 * int(1.5 * size + 2) + 1
    lumps = np.zeros((side, side), np.uint8)
    spot = np.array([side // 2, side // 2], float)
    for k in range(int(rng.choice([1, 1, 1, 2, 3]))):
        axes = (int(size / 2 * rng.uniform(0.6, 1.0)) + 1, int(size / 2 * rng.uniform(0.6, 1.0)) + 1)
        x, y = spot + rng.normal(0, size / 3, 2) * (k > 0)
        cv2.ellipse(lumps, (int(x), int(y)), axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    return lumps
