"""Where particles lie in a picture, how they are seen there, and what becomes of broken and clumped ones."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from relion_ganpick.synthesis.contamination import add_patch
from relion_ganpick.synthesis.imaging import Image
from relion_ganpick.synthesis.molecules import Points, project_all, random_views

N_VIEWS, N_PIECES = 24, 8


def random_centres(
    shape: tuple[int, int], diameter_px: float, area_density: float, spacing: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Throw particle centres that keep a minimum distance, evenly or gathered in patches.

    Parameters
    ----------
    shape
        (h, w) in pixels.
    diameter_px
        Particle diameter in pixels.
    area_density
        Share of the area that circles of one diameter cover, if there is room for as many.
    spacing
        Smallest distance between two centres, in diameters.

    Returns
    -------
    (n, 2) float64, (x, y).
    """
    wanted = int(area_density * shape[0] * shape[1] / (np.pi / 4 * diameter_px**2)) + 1
    size = np.array([shape[1], shape[0]], float)
    thrown = rng.uniform(0, 1, (3 * wanted + 10, 2)) * size
    if rng.random() < 0.3:
        hubs = rng.uniform(0, 1, (max(wanted // 12, 1), 2)) * size
        near = hubs[rng.integers(0, len(hubs), len(thrown))] + rng.normal(0, diameter_px * rng.uniform(1.0, 3.0), thrown.shape)
        thrown = np.where(rng.random((len(thrown), 1)) < rng.uniform(0.3, 0.9), near, thrown)
        thrown = thrown[((thrown > 0) & (thrown < size)).all(axis=1)]
    neighbours = cKDTree(thrown).query_ball_point(thrown, spacing * diameter_px)
    kept = np.zeros(len(thrown), bool)
    count = 0
    for index, near_by in enumerate(neighbours):
        if count == wanted:
            break
        if not kept[near_by].any():
            kept[index] = True
            count += 1
    return np.asarray(thrown[kept] - 0.5)


def project_views(
    molecule: Points, diameter_px: float, rng: np.random.Generator, n_views: int = N_VIEWS
) -> tuple[list[Image], NDArray[np.float64]]:
    """Project a molecule in as many views as one picture shows.

    Returns
    -------
    views
        Square pictures, float32, each with a sum of 1.
    offsets
        (n, 2) float64, sub-pixel shift (x, y) of each view's centre from its middle pixel.
    """
    offsets = rng.uniform(-0.5, 0.5, (n_views, 2))
    softness = rng.uniform(0.02, 0.06)
    return list(project_all(molecule, random_views(n_views, rng), diameter_px, softness, offsets)), offsets


def typical_mass(views: list[Image]) -> float:
    """Tell the mass that the views typically project at a pixel: the mean of the upper quartiles where there is any."""
    return float(np.mean([np.percentile(view[view > 0.02 * view.max()], 75) for view in views]))


def flattened(views: list[Image], level: float) -> list[Image]:
    """Cut views off at a mass: hard discs of one depth, as heavy particles are that the recording saturates at."""
    return [np.asarray(np.minimum(view, np.float32(level)) / np.float32(level), dtype=np.float32) for view in views]


def stained(views: list[Image], diameter_px: float, halo: float, width: float) -> list[Image]:
    """Put particles into negative stain, which gathers around them: inverted as particles are here, a bright halo.

    Parameters
    ----------
    views
        In units of the typical mass.
    halo
        Depth of the halo in the same unit.
    width
        Standard deviation of the halo's fall in diameters.
    """
    pad = int(np.ceil(2 * width * diameter_px))
    out = []
    for view in views:
        wide = np.pad(view, pad)
        cover = np.minimum(wide / np.float32(0.3), 1)
        around = cv2.GaussianBlur(cover, (0, 0), width * diameter_px)
        out.append(np.asarray(wide - np.float32(2 * halo) * around * (1 - cover), dtype=np.float32))
    return out


def add_fragments(mass: Image, molecule: Points, diameter_px: float, typical: float, rng: np.random.Generator) -> None:
    """Pieces of the molecule, cut off by a plane: broken complexes and free subunits."""
    cut = rng.normal(size=3)
    along = molecule @ cut
    piece = molecule[along > np.quantile(along, rng.uniform(0.5, 0.85))]
    piece = piece - piece.mean(axis=0)
    views, _ = project_views(piece, diameter_px, rng, N_PIECES)
    n_pieces = int(mass.size / diameter_px**2 * rng.uniform(0.01, 0.15)) + 1
    for _ in range(n_pieces):
        centre = rng.uniform(0, 1, 2) * np.array([mass.shape[1], mass.shape[0]])
        add_patch(mass, views[int(rng.integers(N_PIECES))], centre, weight=len(piece) / len(molecule) / typical)


def add_heaps(mass: Image, views: list[Image], diameter_px: float, rng: np.random.Generator) -> None:
    """Pile up particles so closely that nobody would pick one: aggregates."""
    for _ in range(int(rng.integers(1, 4))):
        hub = rng.uniform(0, 1, 2) * np.array([mass.shape[1], mass.shape[0]])
        spread = diameter_px * rng.uniform(0.5, 1.5)
        for _ in range(int(rng.integers(6, 30) * (spread / diameter_px) ** 2) + 3):
            add_patch(mass, views[int(rng.integers(len(views)))], hub + rng.normal(0, spread, 2))
