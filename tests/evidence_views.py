"""Made-up micrographs with marks, for tests of the evidence of sets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.evidence.view import View, view_of
from relion_ganpick.synthesis.pairs import markers

RADIUS = 4.0  # pixels; a marker's, a quarter of the 16 that a particle is wide


def view_with(
    centres: NDArray[np.float64],
    shape: tuple[int, int] = (160, 200),
    seed: int = 0,
    depth: float = 2.0,
    marked: float = 0.9,
    shown: NDArray[np.bool_] | None = None,
) -> View:
    """Make a noisy picture with dark discs 12 pixels wide, and marks on those that are ``shown`` (all by default)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    picture = rng.normal(size=shape).astype(np.float32)
    for column, row in centres:
        picture -= np.float32(depth) * (np.hypot(x - column, y - row) < 6)
    kept = centres if shown is None else centres[shown]
    marker = np.float32(marked) * markers(shape, kept, RADIUS)
    return view_of(picture, np.stack([marker, np.zeros_like(marker)]))


def lattice(shape: tuple[int, int] = (160, 200), step: int = 28) -> NDArray[np.float64]:
    """Places on a square lattice, (n, 2) float64, x and y."""
    y, x = np.mgrid[step // 2 : shape[0] : step, step // 2 : shape[1] : step]
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(float)
