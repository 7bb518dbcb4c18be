"""What was learned from particles that a user has kept: a filter and a few numbers that travel with the model."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, logit
from torch import Tensor, nn

Values = NDArray[np.float64]
Features = NDArray[np.float32]

LEAST = 1e-3
FURTHEST = 3.0  # standard deviations


class Correction(nn.Module):
    """Figures of merit, corrected: their log odds times a factor, plus an offset, plus weighted features.

    Parameters
    ----------
    features
        Number of a candidate's features.
    rings
        Number of rings of the filter that finds candidates.

    Attributes
    ----------
    mean, scale
        (features,) float32, which bring features to mean 0 and deviation 1.
    line
        (2,) float32, factor and offset.
    weight
        (features,) float32.
    filter_weights, filter_offset, filter_profile
        (rings,), (1,) and (rings,) float32: what the particles look like (`evidence.filter.SetFilter`).
    """

    mean: Tensor
    scale: Tensor
    line: Tensor
    weight: Tensor
    filter_weights: Tensor
    filter_offset: Tensor
    filter_profile: Tensor

    def __init__(self, features: int, rings: int = 0) -> None:
        super().__init__()
        self.size = {"features": features, "rings": rings}
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("line", torch.tensor([1.0, 0.0]))
        self.register_buffer("weight", torch.zeros(features))
        self.register_buffer("filter_weights", torch.zeros(rings))
        self.register_buffer("filter_offset", torch.zeros(1))
        self.register_buffer("filter_profile", torch.zeros(rings))

    def standardised(self, features: Features) -> Values:
        """Bring features to mean 0 and deviation 1; what lies further out than 3 deviations counts as there."""
        scaled = (features - self.mean.double().numpy()) / self.scale.double().numpy()
        return np.asarray(np.clip(scaled, -FURTHEST, FURTHEST), np.float64)

    def correct(self, merit: Values, features: Features) -> Values:
        """Correct figures of merit, (n,) float64, of candidates with these features, (n, features)."""
        factor, offset = self.line.double().tolist()
        odds = factor * log_odds(merit) + offset + self.standardised(features) @ self.weight.double().numpy()
        return np.asarray(expit(odds), np.float64)


def log_odds(merit: Values) -> Values:
    """Log odds of figures of merit, bounded at 0.001 and 0.999."""
    return np.asarray(logit(np.clip(merit, LEAST, 1 - LEAST)), np.float64)
