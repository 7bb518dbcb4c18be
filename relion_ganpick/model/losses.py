"""What the networks are trained to make small."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def mean_squared_discriminator(on_real: Tensor, on_fake: Tensor, a: float = 1.0, b: float = 0.0) -> Tensor:
    """Equations 2 and 5 of Kong et al.: E[(D(x, y) - a)^2] + E[(D(G) - b)^2], with a = 1 and b = 0."""
    return ((on_real - a) ** 2).mean() + ((on_fake - b) ** 2).mean()


def mean_squared_generator(on_real: Tensor, on_fake: Tensor) -> Tensor:
    """Equation 3 of Kong et al.: E[(D(x, y) - D(G))^2]; the judgement of the real pair is taken as given."""
    return ((on_real.detach() - on_fake) ** 2).mean()


def data_loss(marker: Tensor, generated: Tensor) -> Tensor:
    """Equation 4 of Kong et al.: the mean absolute difference (L1) of the true and the generated picture."""
    return (marker - generated).abs().mean()


def cross_entropy_with_dice(logits: Tensor, marker: Tensor) -> Tensor:
    """Cross entropy, which calibrates the marker's probability, plus 1 - Dice, which balances rare and common markers."""
    entropy = F.binary_cross_entropy_with_logits(logits, marker)
    probability = torch.sigmoid(logits)
    overlap = 2 * (probability * marker).sum() + 1
    return entropy + 1 - overlap / (probability.sum() + marker.sum() + 1)
