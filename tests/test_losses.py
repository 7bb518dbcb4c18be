"""The loss of the default preset and of adaptation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from relion_ganpick.training.losses import cross_entropy_with_dice

MARKER = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
LOGITS = torch.tensor([[[[2.0, -1.0], [0.5, 0.0]]]])


def by_hand(pixels: list[tuple[int, int]]) -> float:
    """Cross entropy plus 1 - Dice of some pixels, from the formulas."""
    p = [1 / (1 + np.exp(-LOGITS[0, 0][at].item())) for at in pixels]
    m = [MARKER[0, 0][at].item() for at in pixels]
    entropy = np.mean([-np.log(a if b else 1 - a) for a, b in zip(p, m, strict=True)])
    return float(entropy + 1 - (2 * np.dot(p, m) + 1) / (sum(p) + sum(m) + 1))


def test_loss_is_cross_entropy_and_dice() -> None:
    everywhere = [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert cross_entropy_with_dice(LOGITS, MARKER).item() == pytest.approx(by_hand(everywhere))
    assert cross_entropy_with_dice(LOGITS, MARKER, torch.ones_like(MARKER)).item() == pytest.approx(by_hand(everywhere))


def test_pixels_without_weight_do_not_count() -> None:
    weight = torch.tensor([[[[1.0, 1.0], [0.0, 1.0]]]])
    assert cross_entropy_with_dice(LOGITS, MARKER, weight).item() == pytest.approx(by_hand([(0, 0), (0, 1), (1, 1)]))
    others = LOGITS.clone()
    others[0, 0, 1, 0] = -7.0
    assert cross_entropy_with_dice(others, MARKER, weight) == cross_entropy_with_dice(LOGITS, MARKER, weight)


def test_nothing_to_mark_costs_nothing_when_nothing_is_marked() -> None:
    empty, sure = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), -30.0)
    for weight in (None, torch.zeros_like(empty)):
        assert cross_entropy_with_dice(sure, empty, weight).item() == pytest.approx(0, abs=1e-6)
