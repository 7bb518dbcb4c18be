"""What every candidate pick looks like, and how much contamination is around: what a rescorer judges it by."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.core.windows import distances, sums_around

Image = NDArray[np.float32]

RINGS = (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 1.0, 1.25, 1.7)
N_FEATURES = len(RINGS) - 1 + 4
LEAST = 1e-3


def features_of(picks: Picks, picture: Image, marked: Image) -> NDArray[np.float32]:
    """Describe candidates by the picture and the marks around them.

    Parameters
    ----------
    picks
        With raw scores in [0, 1]; pixels of ``picture``.
    picture
        (h, w) float32 at the working scale, normalised.
    marked
        (c, h, w) float32, the probabilities of a marker and of contamination; without the second, it counts as 0.

    Returns
    -------
    (n, 13) float32: the score's log odds; the picture's mean in nine rings, at `RINGS` diameters from the candidate; the
    logarithm of the marker's mass and the square root of the mean contamination within half a diameter; and, the same for
    all candidates of a picture, the square root of its mean contamination.
    """
    marker = marked[0]
    contamination = marked[1] if len(marked) > 1 else np.zeros_like(marker)
    odds = logit(np.clip(picks.score, LEAST, 1 - LEAST))
    reach = int(np.ceil(RINGS[-1] * PARTICLE_PX))
    row = np.clip(np.rint(picks.y).astype(int), 0, picture.shape[0] - 1)
    column = np.clip(np.rint(picks.x).astype(int), 0, picture.shape[1] - 1)
    away = distances(reach) / PARTICLE_PX
    rings = np.stack([(away >= inner) & (away < outer) for inner, outer in itertools.pairwise(RINGS)], axis=1)
    near = int(np.ceil(RINGS[4] * PARTICLE_PX))
    disc = (distances(near) / PARTICLE_PX < RINGS[4])[:, None].astype(np.float32)
    out = np.empty((len(picks), N_FEATURES), np.float32)
    out[:, 0] = odds
    out[:, 1:-3] = sums_around(picture, reach, row, column, (rings / rings.sum(axis=0)).astype(np.float32))[0]
    out[:, -3] = np.log1p(sums_around(marker, near, row, column, disc)[0][:, 0])
    out[:, -2] = np.sqrt(np.maximum(sums_around(contamination, near, row, column, disc / disc.sum())[0][:, 0], 0))
    out[:, -1] = np.sqrt(contamination.mean(dtype=float))
    return out
