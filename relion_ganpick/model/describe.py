"""Figures of a network that follow from its layers: receptive field and number of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import nn

from relion_ganpick.model.card import Card
from relion_ganpick.model.judge import SetJudge
from relion_ganpick.model.networks import PatchDiscriminator, UNetGenerator, n_parameters
from relion_ganpick.model.paper_networks import PaperGenerator
from relion_ganpick.model.rescorer import Rescorer
from relion_ganpick.model.weights import build_generator

POOL = nn.MaxPool2d(2)


def deepest_path(network: nn.Module) -> Iterator[nn.Module]:
    """Convolutions and poolings that the deepest way through a network leads over, from input to output."""
    if isinstance(network, UNetGenerator):
        for level in network.encoder:
            yield from (*_convolutions(level), POOL)
        yield from _convolutions(network.bottom)
        for upward, level in zip(network.upward, network.decoder, strict=True):
            yield from (upward, *_convolutions(level))
        yield network.head
    elif isinstance(network, PaperGenerator):
        yield from _convolutions(network.encoding)
        yield from _convolutions(network.decoding)
        yield network.last
    else:
        yield from _convolutions(network)


def receptive_field(path: Iterable[nn.Module]) -> int:
    """Side in pixels of the part of the input that one pixel of the output depends on by way of convolutions.

    Followed backwards: n pixels that a convolution of kernel k and stride s gives see (n - 1) s + k pixels; those that a
    transposed one gives see at most floor((n + k - 2) / s) + 1. Normalisation by a picture's own statistics, which sees all
    of it, is not counted.
    """
    side = 1
    for layer in reversed(list(path)):
        kernel, stride = _first(layer.kernel_size), _first(layer.stride)
        side = (side + kernel - 2) // stride + 1 if isinstance(layer, nn.ConvTranspose2d) else (side - 1) * stride + kernel
    return side


def describe_networks(card: Card) -> list[str]:
    """Say in a line for each network of a model how many parameters it has and how far it sees."""
    networks = {"generator": build_generator(card.network)}
    width = card.training.get("discriminator_width")
    lines = []
    both: dict[str, nn.Module] = networks | ({"discriminator": PatchDiscriminator(int(width))} if width else {})
    for name, network in both.items():
        path = list(deepest_path(network))
        side = receptive_field(path)
        lines.append(
            f"{name}: {n_parameters(network)} parameters, {len([p for p in path if p is not POOL])} convolutions in a row, "
            f"receptive field {side} x {side} pixels"
        )
    if card.rescorer:
        rescorer = Rescorer(**card.rescorer)
        lines.append(f"rescorer: {n_parameters(rescorer)} parameters in {len(rescorer.members)} members")
    if card.judge:
        judge = SetJudge(**card.judge)
        lines.append(f"judge of sets: {n_parameters(judge)} parameters in {len(judge.members)} members")
    return lines


def _convolutions(network: nn.Module) -> Iterator[nn.Module]:
    return (layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d))


def _first(size: object) -> int:
    return int(size[0]) if isinstance(size, tuple) else int(str(size))
