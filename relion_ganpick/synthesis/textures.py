"""Ice and films that cover much of a picture: granular and crystalline ice, mottle, the grain of films, dried films.

Every function returns projected mass on the picture's grid, in units of the mass that a particle typically projects, so
that everything passes through the same contrast transfer function.
"""

from __future__ import annotations

import cv2
import numpy as np

from relion_ganpick.synthesis.imaging import Image, coloured_noise

Shape = tuple[int, int]


def film_grain(shape: Shape, diameter_px: float, rng: np.random.Generator) -> Image:
    """Amorphous texture of a film: band-limited noise, its grain from a pixel to half a diameter."""
    fine = coloured_noise(shape, rng.uniform(0.0, 0.6), rng)
    coarse = _blobs(shape, diameter_px * rng.uniform(0.04, 0.3), rng)
    share = rng.uniform(0, 1)
    strength = np.float32(log_uniform(0.1, 1.5, rng))
    return strength * (np.float32(1 - share) * fine + np.float32(share) * coarse)


def mottle(shape: Shape, diameter_px: float, rng: np.random.Generator) -> Image:
    """Flecks in the ice as large as particles but weaker, even or in patches: random noise, its grain 0.1 to 0.4 diameters."""
    flecks = _blobs(shape, diameter_px * rng.uniform(0.1, 0.4), rng)
    if rng.random() < 0.5:
        flecks = np.maximum(flecks - np.float32(rng.uniform(0.5, 2.0)), 0)
    if rng.random() < 0.5:
        flecks *= _patches(shape, diameter_px, rng)
    return np.asarray(flecks * np.float32(rng.uniform(0.05, 0.5)), dtype=np.float32)


def granular_ice(shape: Shape, diameter_px: float, rng: np.random.Generator) -> Image:
    """Ice like a leopard's skin: dark and bright grains of one size, 0.2 to one diameter, even or in patches."""
    grain = diameter_px * rng.uniform(0.1, 0.4)
    white = rng.standard_normal(shape, dtype=np.float32)
    grains = unit_spread(soften(white, grain) - soften(white, grain * rng.uniform(1.3, 2.5)))
    if rng.random() < 0.4:
        grains = unit_spread(np.sign(grains) * np.abs(grains) ** np.float32(rng.uniform(1.2, 1.8)))
    if rng.random() < 0.4:
        grains *= _patches(shape, diameter_px, rng)
    return np.asarray(grains * np.float32(log_uniform(0.15, 2.0, rng)), dtype=np.float32)


def crystalline_ice(shape: Shape, diameter_px: float, rng: np.random.Generator) -> Image:
    """Crystals side by side, 2 to 10 diameters large: each of its own thickness, often with stripes, over soft clouds."""
    size = diameter_px * rng.uniform(2, 10)
    n_crystals = max(int(shape[0] * shape[1] / size**2), 2)
    seeds = np.ones(shape, np.uint8)
    seeds[rng.integers(0, shape[0], n_crystals), rng.integers(0, shape[1], n_crystals)] = 0
    _, crystal = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    thickness = rng.normal(0, rng.uniform(0.2, 1.0), crystal.max() + 1).astype(np.float32)
    mass = thickness[crystal]
    if rng.random() < 0.6:
        y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
        turn = rng.uniform(0, np.pi) + rng.normal(0, rng.uniform(0.1, 1.5), len(thickness))
        per_px = 2 * np.pi / (diameter_px * rng.uniform(0.3, 1.5, len(thickness)))
        along = [(per_px * wave(turn)).astype(np.float32)[crystal] for wave in (np.cos, np.sin)]
        strength = (rng.uniform(0, 1, len(thickness)) ** 2 * rng.uniform(0.3, 1.2)).astype(np.float32)
        mass = mass + strength[crystal] * np.sin(along[0] * x + along[1] * y)
    mass = soften(mass, rng.uniform(0.7, 2.0))
    clouds = _blobs(shape, diameter_px * rng.uniform(0.2, 0.6), rng)
    clouds = np.abs(clouds) ** np.float32(rng.uniform(1.0, 1.6)) * np.sign(clouds)
    mass += clouds * np.float32(rng.uniform(0.1, 0.8))
    return np.asarray(mass * np.float32(log_uniform(0.3, 3.0, rng)), dtype=np.float32)


def dried_film(shape: Shape, diameter_px: float, rng: np.random.Generator) -> Image:
    """Draw a crust of protein or salt that has dried: rough at all sizes, torn, with sharp edges, several particles thick."""
    rough = coloured_noise(shape, rng.uniform(0.9, 1.7), rng)
    torn = unit_spread(soften(rng.standard_normal(shape, dtype=np.float32), diameter_px * rng.uniform(0.5, 3.0)))
    cover = np.clip((torn + np.float32(rng.uniform(-0.7, 1.5))) * np.float32(rng.uniform(2, 12)), 0, 1)
    thick = np.maximum(np.float32(rng.uniform(0.5, 1.5)) + rough * np.float32(rng.uniform(0.3, 1.2)), 0)
    return np.asarray(cover * thick * np.float32(log_uniform(0.5, 8.0, rng)), dtype=np.float32)


def soften(layer: Image, sigma_px: float) -> Image:
    """Blur a picture by a Gaussian; a wide one is made on a coarser grid, where it costs a sixteenth."""
    if sigma_px < 8 or min(layer.shape) < 64:
        return np.asarray(cv2.GaussianBlur(layer, (0, 0), float(sigma_px)), dtype=np.float32)
    small = cv2.resize(layer, (layer.shape[1] // 4, layer.shape[0] // 4), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), float(sigma_px) / 4)
    return np.asarray(cv2.resize(small, (layer.shape[1], layer.shape[0]), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def unit_spread(layer: Image) -> Image:
    """Shift and scale a picture to a mean of 0 and a standard deviation of 1."""
    return np.asarray((layer - layer.mean()) / max(float(layer.std()), 1e-6), dtype=np.float32)


def log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.clip(np.exp(rng.uniform(np.log(low), np.log(high))), low, high))


def _blobs(shape: Shape, sigma_px: float, rng: np.random.Generator) -> Image:
    return unit_spread(soften(rng.standard_normal(shape, dtype=np.float32), sigma_px))


def _patches(shape: Shape, diameter_px: float, rng: np.random.Generator) -> Image:
    """Where a texture is and where it is not, in patches of several diameters; between 0 and 2."""
    return np.asarray(np.clip(0.5 + _blobs(shape, diameter_px * rng.uniform(1.0, 4.0), rng), 0, 2), dtype=np.float32)
