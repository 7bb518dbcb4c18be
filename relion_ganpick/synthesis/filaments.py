"""Long thin things beside particles: cracks, folds, fibres, DNA, and stiff rods such as viruses and microtubules.

Every function returns projected mass on the picture's grid, in units of the mass that a particle typically projects.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.synthesis.imaging import Image
from relion_ganpick.synthesis.textures import Shape, log_uniform, soften

N_POINTS = 60


def ridges(shape: Shape, diameter_px: float, rng: np.random.Generator) -> Image:
    """Cracks, folds, fibres and DNA: long thin curves."""
    layer = np.zeros(shape, np.float32)
    for _ in range(int(rng.integers(1, 6))):
        bend = np.cumsum(rng.normal(0, rng.uniform(0.02, 0.4), N_POINTS)) + rng.uniform(0, 2 * np.pi)
        step = diameter_px * rng.uniform(0.1, 0.6)
        width = int(np.ceil(diameter_px * rng.uniform(0.03, 0.5)))
        cv2.polylines(layer, [_curve(shape, bend, step, rng)], False, float(rng.uniform(0.3, 2.0)), width)
    return soften(layer, rng.uniform(0.5, 1.2))


def rods(shape: Shape, diameter_px: float, rng: np.random.Generator) -> Image:
    """Rods and filaments of one kind, single or side by side: 0.1 to 0.7 diameters wide, 1.5 to 20 long, full or hollow."""
    layer = np.zeros(shape, np.float32)
    width, mass = diameter_px * rng.uniform(0.1, 0.7), log_uniform(0.3, 3.0, rng)
    longest, stiffness = log_uniform(2.0, 20.0, rng), rng.uniform(0, 0.06)
    hollow = rng.uniform(0.3, 0.8) if rng.random() < 0.4 else 0.0
    common = rng.uniform(0, 2 * np.pi)
    spread = rng.choice([0.05, np.pi])
    for _ in range(int(rng.integers(1, 13))):
        step = diameter_px * max(longest * rng.uniform(0.4, 1.0), 1.5) / N_POINTS
        bend = common + rng.normal(0, spread) + np.cumsum(rng.normal(0, stiffness, N_POINTS))
        path = _curve(shape, bend, step, rng)
        # From the middle outwards a rod's projection falls like that of a cylinder; three strokes are near enough.
        for share, part in ((1.0, 0.5), (0.75, 0.3), (0.45, 0.2 - hollow)):
            stroke = np.zeros(shape, np.uint8)
            cv2.polylines(stroke, [path], False, 1, max(round(width * share), 1))
            layer += np.float32(mass * part) * stroke
    return soften(np.maximum(layer, 0), rng.uniform(0.5, 1.0))


def _curve(shape: Shape, directions: NDArray[np.float64], step: float, rng: np.random.Generator) -> NDArray[np.int32]:
    """Draw a path through a random point of the picture, (n, 2) int32."""
    path = np.cumsum(np.stack([np.cos(directions), np.sin(directions)], axis=1) * step, axis=0)
    through = path[int(rng.integers(len(path)))]
    return np.asarray(rng.uniform(0, 1, 2) * np.array([shape[1], shape[0]]) + path - through).astype(np.int32)
