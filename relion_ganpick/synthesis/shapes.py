"""Random-walk shapes: Algorithm 1 of Kong et al., the paper's stand-in for a particle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = np.array([[-1, -1], [-1, 0], [-1, 1], [0, -1], [0, 1], [1, -1], [1, 0], [1, 1]])


def random_walk_shape(n_steps: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw the cells visited by a random walk on the eight-neighbour grid.

    Algorithm 1 of Kong et al.: from (0, 0), ``n_steps`` steps to a random neighbour; the picture is
    just large enough for the walk, 255 where it has been and 0 elsewhere.

    Parameters
    ----------
    n_steps
        Length of the walk, at least 1.
    rng
        Source of randomness.

    Returns
    -------
    (h, w) uint8, 0 or 255.
    """
    if n_steps < 1:
        raise ValueError(f"a random walk needs at least one step, not {n_steps}")
    visited = np.cumsum(NEIGHBOURS[rng.integers(0, len(NEIGHBOURS), n_steps)], axis=0)
    visited -= visited.min(axis=0)
    shape = np.zeros(visited.max(axis=0) + 1, np.uint8)
    shape[visited[:, 0], visited[:, 1]] = 255
    return shape


def random_walk_points(n_points: int, n_steps: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Scatter points over the cells of a random walk in three dimensions (Algorithm 1, one axis more).

    Returns
    -------
    (n_points, 3) float64, in steps of the walk.
    """
    visited = np.cumsum(rng.integers(-1, 2, (n_steps, 3)), axis=0)
    return np.asarray(visited[rng.integers(0, n_steps, n_points)] + rng.uniform(-0.5, 0.5, (n_points, 3)))
