"""What every candidate pick looks like, and how much contamination is around: what a rescorer judges it by."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import PARTICLE_PX

Image = NDArray[np.float32]

RINGS = (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 1.0, 1.25, 1.7)
N_FEATURES = len(RINGS) - 1 + 4
AT_ONCE = 2048
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
    steps = np.arange(-reach, reach + 1)
    away = np.hypot(steps[:, None], steps[None, :]) / PARTICLE_PX
    rings = [np.nonzero((away >= inner) & (away < outer)) for inner, outer in itertools.pairwise(RINGS)]
    disc = np.nonzero(away < RINGS[4])
    row = np.clip(np.rint(picks.y).astype(int), 0, picture.shape[0] - 1)
    column = np.clip(np.rint(picks.x).astype(int), 0, picture.shape[1] - 1)
    wide = [np.pad(layer, reach, "symmetric") for layer in (picture, marker, contamination)]

    def mean(layer: Image, where: tuple[NDArray[np.intp], ...], part: slice) -> NDArray[np.float64]:
        return np.asarray(layer[row[part, None] + where[0], column[part, None] + where[1]].mean(axis=1, dtype=float))

    out = np.empty((len(picks), N_FEATURES), np.float32)
    for first in range(0, len(picks), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        out[part, 0] = odds[part]
        for k, ring in enumerate(rings, 1):
            out[part, k] = mean(wide[0], ring, part)
        out[part, -3] = np.log(1 + len(disc[0]) * mean(wide[1], disc, part))
        out[part, -2] = np.sqrt(mean(wide[2], disc, part))
        out[part, -1] = np.sqrt(contamination.mean(dtype=float))
    return out
