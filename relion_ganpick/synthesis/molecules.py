"""Random molecules: clouds of a few hundred points of many shapes and symmetries, and their projections."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from relion_ganpick.synthesis.shapes import random_walk_points

Points = NDArray[np.float64]

N_POINTS = 400


def globule(n_points: int, rng: np.random.Generator) -> Points:
    """Solid ellipsoid with random axes, (n, 3)."""
    points = _ball(n_points, rng) * rng.uniform(0.45, 1.0, 3)
    return np.asarray(points + 0.15 * rng.normal(size=3) * _ball(n_points, rng))


def shell(n_points: int, rng: np.random.Generator) -> Points:
    """Hollow sphere or slightly flattened cage, (n, 3)."""
    thickness = rng.uniform(0.1, 0.35)
    points = _sphere(n_points, rng) * rng.uniform(1 - thickness, 1.0, (n_points, 1))
    return np.asarray(points * np.array([1.0, 1.0, rng.uniform(0.8, 1.0)]))


def rod(n_points: int, rng: np.random.Generator) -> Points:
    """Cylinder one and a half to four times as long as wide, solid or hollow, (n, 3)."""
    half_width = 1.0 / rng.uniform(1.5, 4.0)
    angle = rng.uniform(0, 2 * np.pi, n_points)
    hollow = rng.uniform(0, 0.8) if rng.random() < 0.4 else 0.0
    radius = half_width * np.sqrt(rng.uniform(hollow**2, 1.0, n_points))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), rng.uniform(-1, 1, n_points)], axis=1)


def chain(n_points: int, rng: np.random.Generator) -> Points:
    """Blobs along a random chain that keeps its direction for a while: a multi-domain protein, (n, 3)."""
    n_blobs = int(rng.integers(2, 14))
    steps = _sphere(n_blobs, rng) + rng.uniform(0, 1.5) * _sphere(1, rng)
    centres = np.cumsum(steps / np.linalg.norm(steps, axis=1, keepdims=True), axis=0)
    sizes = rng.uniform(0.5, 1.2, n_blobs)
    which = rng.choice(n_blobs, n_points, p=sizes**3 / (sizes**3).sum())
    return np.asarray(centres[which] + sizes[which, None] * _ball(n_points, rng))


def walk(n_points: int, rng: np.random.Generator) -> Points:
    """Random-walk shape of the paper, in three dimensions, (n, 3)."""
    return random_walk_points(n_points, int(rng.integers(20, 200)), rng)


def cyclic(n_points: int, rng: np.random.Generator) -> Points:
    """Ring of 2 to 14 equal subunits, (n, 3)."""
    return _assembly(_cyclic_group(int(rng.integers(2, 15))), n_points, rng)


def dihedral(n_points: int, rng: np.random.Generator) -> Points:
    """Two stacked rings of 2 to 8 equal subunits (D2 is beta-galactosidase's, D7 the proteasome's), (n, 3)."""
    ring = _cyclic_group(int(rng.integers(2, 9)))
    flipped = ring * Rotation.from_rotvec([np.pi, 0.0, 0.0])
    return _assembly(Rotation.concatenate([ring, flipped]), n_points, rng)


def cubic(n_points: int, rng: np.random.Generator) -> Points:
    """Cage of 12 or 24 equal subunits with tetrahedral or octahedral symmetry, (n, 3)."""
    return _assembly(Rotation.create_group("T" if rng.random() < 0.5 else "O"), n_points, rng)


def membrane(n_points: int, rng: np.random.Generator) -> Points:
    """Micelle or nanodisc with soluble domains on one or both sides, (n, 3)."""
    n_belt = int(n_points * rng.uniform(0.35, 0.65))
    belt = _ball(n_belt, rng) * np.array([1.0, 1.0, rng.uniform(0.3, 0.6)])
    domain = globule(n_points - n_belt, rng) * rng.uniform(0.4, 0.9)
    side = np.where(rng.random((n_points - n_belt, 1)) < rng.choice([0.0, 0.0, 0.5]), -1.0, 1.0)
    domain[:, 2:] = side * np.abs(domain[:, 2:]) + side * 0.4
    return np.concatenate([belt, domain])


KINDS: dict[str, tuple[Callable[[int, np.random.Generator], Points], float]] = {
    "globule": (globule, 0.14),
    "shell": (shell, 0.10),
    "rod": (rod, 0.10),
    "chain": (chain, 0.16),
    "walk": (walk, 0.10),
    "cyclic": (cyclic, 0.12),
    "dihedral": (dihedral, 0.16),
    "cubic": (cubic, 0.06),
    "membrane": (membrane, 0.06),
}


def random_molecule(rng: np.random.Generator, n_points: int = N_POINTS, kind: str | None = None) -> Points:
    """Draw a molecule, centred on its mass and one diameter across.

    Parameters
    ----------
    rng
        Source of randomness.
    n_points
        Number of points that carry its mass.
    kind
        One of `KINDS`, or None for a random one.

    Returns
    -------
    (n_points, 3) float64 in units of the diameter, which is the largest extent in any direction.

    Raises
    ------
    ValueError
        If ``kind`` is not one of `KINDS`.
    """
    if kind is None:
        names = list(KINDS)
        kind = names[int(rng.choice(len(names), p=[KINDS[name][1] for name in names]))]
    if kind not in KINDS:
        raise ValueError(f"no molecules of kind {kind!r}; the kinds are {', '.join(KINDS)}")
    points = KINDS[kind][0](n_points, rng)
    points = points - points.mean(axis=0)
    return np.asarray(points / longest_extent(points))


def longest_extent(points: Points) -> float:
    """Tell how far points reach in the direction in which they reach furthest, of 64 that are even over the sphere."""
    return float(np.ptp(points @ _fibonacci_sphere(64).T, axis=0).max())


def random_views(n_views: int, rng: np.random.Generator) -> Rotation:
    """Draw orientations: uniform, or, in one picture of four, a few preferred views turned in the plane."""
    if rng.random() < 0.75:
        return _uniform_rotations(n_views, rng)
    few = _uniform_rotations(int(rng.integers(1, 4)), rng)
    spins = Rotation.from_rotvec(rng.uniform(0, 2 * np.pi, (n_views, 1)) * [0.0, 0.0, 1.0])
    return spins * few[rng.integers(0, len(few), n_views)]


def project(molecule: Points, view: Rotation, diameter_px: float, softness: float, offset: Points) -> NDArray[np.float32]:
    """Project a molecule along z after turning it.

    Parameters
    ----------
    molecule
        (n, 3) float64 in diameters.
    view
        One rotation.
    diameter_px
        Diameter in pixels of the projection.
    softness
        Standard deviation of the Gaussian that stands for one point, in diameters.
    offset
        (2,) sub-pixel shift (x, y) of the centre of mass from the centre of the middle pixel.

    Returns
    -------
    (s, s) float32, s odd, centre of mass in the middle pixel shifted by ``offset``; its sum is 1.
    """
    picture: NDArray[np.float32] = project_all(molecule, Rotation.concatenate([view]), diameter_px, softness, offset[None])[0]
    return picture


def project_all(molecule: Points, views: Rotation, diameter_px: float, softness: float, offsets: Points) -> NDArray[np.float32]:
    """Project a molecule in several views at once, as `project` does in one.

    Parameters
    ----------
    molecule
        (n, 3) float64 in diameters.
    views
        v rotations.
    offsets
        (v, 2), a shift for each.

    Returns
    -------
    (v, s, s) float32; each has a sum of 1.
    """
    half = int(np.ceil(diameter_px * (0.55 + 2 * softness))) + 2
    size, n_views = 2 * half + 1, len(views)
    turned = molecule.astype(np.float32) @ views.as_matrix()[:, :2].transpose(0, 2, 1).astype(np.float32)
    spots = np.clip(turned * np.float32(diameter_px) + (half + offsets[:, None]).astype(np.float32), 0, size - 1.001)
    base = spots.astype(np.int32)
    right, below = np.moveaxis(spots - base, 2, 0)
    corner = base[..., 1] * size + base[..., 0] + np.arange(n_views, dtype=np.int32)[:, None] * size**2
    picture = np.zeros(n_views * size**2)
    for step, weight in (
        (0, (1 - right) * (1 - below)),
        (1, right * (1 - below)),
        (size, (1 - right) * below),
        (size + 1, right * below),
    ):
        picture += np.bincount((corner + step).ravel(), weight.ravel(), picture.size)[: picture.size]
    sharp = (picture.reshape(n_views, size, size) / len(molecule)).astype(np.float32)
    sigma = max(softness * diameter_px, 0.5)
    return np.stack([cv2.GaussianBlur(each, (0, 0), sigma) for each in sharp])


def _uniform_rotations(n: int, rng: np.random.Generator) -> Rotation:
    return Rotation.from_quat(rng.normal(size=(n, 4)))


def _ball(n: int, rng: np.random.Generator) -> Points:
    return _sphere(n, rng) * np.cbrt(rng.random((n, 1)))


def _sphere(n: int, rng: np.random.Generator) -> Points:
    points = rng.normal(size=(n, 3))
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True))


def _fibonacci_sphere(n: int) -> Points:
    k = np.arange(n) + 0.5
    polar, turn = np.arccos(1 - 2 * k / n), np.pi * (1 + 5**0.5) * k
    return np.stack([np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], axis=1)


def _cyclic_group(order: int) -> Rotation:
    return Rotation.from_rotvec(2 * np.pi * np.arange(order)[:, None] / order * [0.0, 0.0, 1.0])


def _assembly(group: Rotation, n_points: int, rng: np.random.Generator) -> Points:
    """Place copies of one small subunit by the operations of a symmetry group."""
    order = len(group)
    unit = (chain if rng.random() < 0.4 else globule)(max(n_points // order, 1), rng)
    unit *= rng.uniform(0.7, 1.4) * 1.6 / np.sqrt(order) / np.ptp(unit, axis=0).max()
    unit += np.array([rng.uniform(0.4, 1.0), 0.0, rng.uniform(0.0, 0.9)])
    copies = np.concatenate([group[k].apply(unit) for k in range(order)])
    return copies[rng.integers(0, len(copies), n_points)]
