"""Candidates of made-up scenes, for tests of what judges them."""

from __future__ import annotations

import numpy as np

from relion_ganpick.core.picks import Picks
from relion_ganpick.model.surroundings import N_FEATURES
from relion_ganpick.training.validate import HeldOut


def empty_and_full(n_scenes: int, seed: int) -> HeldOut:
    """Make scenes in turn full of particles that look alike, and empty with things that do not; the heights tell nothing."""
    rng = np.random.default_rng(seed)
    items, features = [], []
    for number in range(n_scenes):
        full = number % 2 == 0
        count = 60 if full else 20
        xy = rng.uniform(0, 5000, (count, 2))
        score = rng.uniform(0.2, 0.8, count)
        look = rng.normal(0, 1, (1 if full else count, N_FEATURES)) + rng.normal(0, 0.1, (count, N_FEATURES))
        look[:, 0] = np.log(score / (1 - score))
        items.append((Picks(xy[:, 0], xy[:, 1], score), xy if full else np.empty((0, 2)), 1e-6))
        features.append(look.astype(np.float32))
    return HeldOut(items, features, [400.0] * n_scenes)
