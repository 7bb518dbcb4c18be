"""What the networks are trained to make small; the paper's equations bear their numbers.

Judgements D are in (-1, 1), as tanh ends the discriminator; where an equation wants a probability it is (1 + D) / 2.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

LEAST = 1e-6


def cross_entropy(on_real: Tensor, on_fake: Tensor) -> Tensor:
    """Equation 1 of Kong et al.: E[log D(x, y)] + E[log(1 - D(y, G))], which D makes large and G small."""
    return _log_probability(on_real).mean() + _log_probability(-on_fake).mean()


def cross_entropy_discriminator(on_real: Tensor, on_fake: Tensor) -> Tensor:
    """Equation 1 for the discriminator, which makes it large: its negative."""
    return -cross_entropy(on_real, on_fake)


def cross_entropy_generator(on_fake: Tensor) -> Tensor:
    """Equation 1 for the generator in pix2pix's form: -E[log D(G)] in place of E[log(1 - D(G))].

    Both fall as D(G) grows; this one has a gradient also where the discriminator is sure of itself.
    """
    return -_log_probability(on_fake).mean()


def mean_squared_discriminator(on_real: Tensor, on_fake: Tensor, a: float = 1.0, b: float = 0.0) -> Tensor:
    """Equations 2 and 5 of Kong et al.: E[(D(x, y) - a)^2] + E[(D(G) - b)^2], with a = 1 and b = 0."""
    return ((on_real - a) ** 2).mean() + ((on_fake - b) ** 2).mean()


def mean_squared_generator(on_real: Tensor, on_fake: Tensor) -> Tensor:
    """Equation 3 of Kong et al.: E[(D(x, y) - D(G))^2]; the judgement of the real pair is taken as given."""
    return ((on_real.detach() - on_fake) ** 2).mean()


def data_loss(marker: Tensor, generated: Tensor) -> Tensor:
    """Equation 4 of Kong et al.: the mean absolute difference (L1) of the true and the generated picture."""
    return (marker - generated).abs().mean()


def generator_objective(adversarial: Tensor, data: Tensor, w1: float = 1.0, w2: float = 100.0) -> Tensor:
    """Equation 6 of Kong et al.: w1 times the adversarial loss of the generator plus w2 times the data loss."""
    return w1 * adversarial + w2 * data


def discriminator_loss(name: str, on_real: Tensor, on_fake: Tensor) -> Tensor:
    """Loss of the discriminator by the name of `--adversarial_loss`."""
    return (cross_entropy_discriminator if name == "cross_entropy" else mean_squared_discriminator)(on_real, on_fake)


def generator_loss(name: str, on_real: Tensor, on_fake: Tensor) -> Tensor:
    """Adversarial loss of the generator by the name of `--adversarial_loss`."""
    return cross_entropy_generator(on_fake) if name == "cross_entropy" else mean_squared_generator(on_real, on_fake)


def cross_entropy_with_dice(logits: Tensor, marker: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross entropy, which calibrates the marker's probability, plus 1 - Dice, which balances rare and common markers.

    Parameters
    ----------
    logits, marker
        (n, 1, h, w); the marker is in [0, 1].
    weight
        (n, 1, h, w), how much each pixel counts; None counts all alike.
    """
    probability = torch.sigmoid(logits)
    if weight is None:
        return F.binary_cross_entropy_with_logits(logits, marker) + 1 - _dice(probability, marker, marker)
    entropy = (F.binary_cross_entropy_with_logits(logits, marker, reduction="none") * weight).sum() / weight.sum().clamp(min=1)
    return entropy + 1 - _dice(probability * weight, marker, marker * weight)


def _dice(probability: Tensor, marker: Tensor, counted: Tensor) -> Tensor:
    """Dice coefficient; 1 is added to both sides of the fraction, so that an empty picture has one too."""
    return (2 * (probability * marker).sum() + 1) / (probability.sum() + counted.sum() + 1)


def _log_probability(judgement: Tensor) -> Tensor:
    """Logarithm of (1 + D) / 2, bounded where tanh has saturated."""
    return torch.log(((1 + judgement) / 2).clamp_min(LEAST))
