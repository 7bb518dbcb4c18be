"""The forward pass: pictures of any size, one or many."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from relion_ganpick.core.preprocess import normalise
from relion_ganpick.model.forward import mark
from relion_ganpick.model.networks import UNetGenerator

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def generator() -> nn.Module:
    torch.manual_seed(3)
    return UNetGenerator(4, 3).eval()


def noise(n: int, height: int, width: int) -> np.ndarray:
    return np.stack([normalise(each) for each in np.random.default_rng(1).normal(size=(n, height, width)).astype(np.float32)])


def test_marks_have_the_size_of_the_picture(generator: nn.Module) -> None:
    pictures = noise(2, 43, 58)
    marked = mark(generator, pictures, CPU)
    assert (marked.shape, marked.dtype) == ((2, 1, 43, 58), np.float32)
    assert 0 <= marked.min() < marked.max() <= 1


def test_sides_are_continued_by_reflection(generator: nn.Module) -> None:
    pictures = noise(1, 43, 58)
    continued = np.pad(pictures, ((0, 0), (0, 5), (0, 6)), "symmetric")
    np.testing.assert_array_equal(mark(generator, pictures, CPU), mark(generator, continued, CPU)[:, :, :43, :58])


def test_a_picture_is_marked_alike_alone_and_among_others(generator: nn.Module) -> None:
    pictures = noise(3, 40, 48)
    together = mark(generator, pictures, CPU)
    for k in range(3):
        np.testing.assert_allclose(mark(generator, pictures[k : k + 1], CPU)[0], together[k], atol=1e-6)
