"""The U-Net in 8-bit whole numbers, through oneDNN: half the time of bfloat16 on a processor with VNNI.

Activations are unsigned bytes, weights signed bytes with a scale for each output channel; sums are exact, in 32 bits. What range
an activation takes is measured once, when the model is loaded, on a made-up picture that holds noise, particles and dirt
(`probe`). So the same weights give the same marks everywhere, whichever micrograph comes first.
Jacob et al. 2018 (https://arxiv.org/abs/1712.05877) describe the scheme.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from relion_ganpick.core.preprocess import CLIP, PARTICLE_PX
from relion_ganpick.core.threads import one_thread
from relion_ganpick.model.networks import UNetGenerator

Image = NDArray[np.float32]

LEVELS = 255
CHANNELS_AT_ONCE = 16  # bytes that are moved together; the channels of every level are a multiple of it
PROBE_SIDE = 192
PICTURE_ZERO, PICTURE_STEP = 128, CLIP / 127
MOST_APART = 0.05  # of the marks on the probe, in the mean over what is marked at all


class EightBitUNet:
    """A generator that computes in bytes; it can be called from several threads.

    Parameters
    ----------
    generator
        In evaluation mode, float32, on the CPU, every batch normalisation folded into its convolution.

    Raises
    ------
    ValueError
        If the generator, the processor or PyTorch does not allow it, or its marks come out too far from the generator's own.
    """

    def __init__(self, generator: UNetGenerator) -> None:
        if not has_eight_bit(generator):
            raise ValueError("this generator cannot compute in 8 bits here")
        self.stride, self.outputs = generator.stride, generator.outputs
        batch = torch.from_numpy(probe())[None, None]
        with one_thread():  # the last digit of a range decides how some pixels are rounded
            ranges, wanted = _ranges(generator, batch)
        self._build(generator, ranges)
        with torch.inference_mode():
            found = self.mark(batch)
        apart = float((wanted - found)[:, 0].abs().sum() / wanted[:, 0].sum().clamp(min=1))
        if not apart <= MOST_APART:
            raise ValueError(f"marks in 8 bits are {100 * apart:.1f} % away from those in float32")

    def _build(self, generator: UNetGenerator, ranges: dict[nn.Module, tuple[float, float]]) -> None:
        """Turn every convolution into one of bytes."""
        step = {module: max(high - low, 1e-6) / LEVELS for module, (low, high) in ranges.items()}
        zero = {module: round(-low / step[module]) for module, (low, _) in ranges.items()}
        given = _Bytes((PICTURE_STEP,), (PICTURE_ZERO,))
        self._encoder, self._decoder = [], []
        for level, block in enumerate(generator.encoder):
            first, last = _pair(block, given, step, int(level > 0))
            self._encoder.append((first, last))
            given = last.gives
        self._bottom = _pair(generator.bottom, given, step, 1)
        given = self._bottom[1].gives
        for upward, block, (_, skip) in zip(generator.upward, generator.decoder, reversed(self._encoder), strict=True):
            assert isinstance(upward, nn.ConvTranspose2d)
            up = _upward(upward, given, step[upward], zero[upward])
            channels = upward.out_channels
            both = _Bytes(
                (*[step[upward]] * channels, *skip.gives.steps * channels), (*[zero[upward]] * channels, *[0] * channels)
            )
            pair = _pair(block, both, step, 0)
            self._decoder.append((up, zero[upward], pair))
            given = pair[1].gives
        self._head = _Convolution(generator.head.weight, generator.head.bias, given, None, relu=False, padding=0)

    def mark(self, picture: Tensor) -> Tensor:
        """Mark pictures as `UNetGenerator.mark` does, (n, 1, h, w) float32 -> (n, outputs, h, w) float32."""
        return UNetGenerator.probabilities(self(picture), self.outputs)

    def __call__(self, picture: Tensor) -> Tensor:
        """Give the logits, (n, 1, h, w) float32 within `CLIP` -> (n, outputs, h, w) float32; sides fit the stride."""
        codes = (picture * (1 / PICTURE_STEP) + PICTURE_ZERO).round_().clamp_(0, LEVELS).to(torch.uint8)
        x = nn.functional.pad(codes, (1, 1, 1, 1), value=PICTURE_ZERO).contiguous(memory_format=torch.channels_last)
        skips = []
        for first, last in self._encoder:
            x = last(first(x))
            skips.append(x)
            x = _pooled(x)
        x = self._bottom[1](self._bottom[0](x))
        for up, zero, (first, last) in self._decoder:
            x = last(first(_joined(up(x), skips.pop(), zero)))
        logits: Tensor = self._head(x)
        return logits


def has_eight_bit(generator: nn.Module) -> bool:
    """Tell whether a generator can compute in bytes on this processor, faster than in any other type."""
    if not isinstance(generator, UNetGenerator) or generator.head.in_channels % CHANNELS_AT_ONCE:
        return False
    return _has_vnni() and _operator() is not None


def probe(side: int = PROBE_SIDE) -> Image:
    """Draw a picture that holds what micrographs hold, at the working scale, (side, side) float32, always the same.

    White and soft noise, particles from faint to strong, dark and bright dirt up to the bounds, and a sharp edge.
    """
    random = np.random.default_rng(1)
    white = random.standard_normal((side, side)).astype(np.float32)
    picture = np.where(np.arange(side) < side // 2, white, 2 * cv2.GaussianBlur(white, (0, 0), 1.0))
    spacing = int(1.5 * PARTICLE_PX)
    y, x = np.mgrid[:spacing, :spacing] - spacing // 2
    particle = 1 / (1 + np.exp(np.hypot(y, x) - 0.45 * PARTICLE_PX))
    n = side // spacing
    heights = 0.5 + 3.5 * random.random((n, n))
    picture[: n * spacing, : n * spacing] -= np.kron(heights, particle)
    y, x = np.mgrid[:side, :side]
    for radius, height in ((0.6 * PARTICLE_PX, -9.0), (1.5 * PARTICLE_PX, 9.0), (1.2 * PARTICLE_PX, -9.0)):
        row, column = random.integers(0, side, 2)
        picture += height / (1 + np.exp(np.minimum(np.hypot(y - row, x - column) - radius, 50)))
    picture[: side // 8, : side // 3] += 4
    return np.clip(picture, -CLIP, CLIP).astype(np.float32)


@dataclass(frozen=True)
class _Bytes:
    """What bytes stand for: value = step * (byte - zero), with one step and zero for all channels, or one for each."""

    steps: tuple[float, ...]
    zeros: tuple[int, ...]


class _Convolution:
    """A convolution of bytes. Where it has no padding of its own, the caller has put the bytes for 0 around its input."""

    def __init__(
        self, weight: Tensor, bias: Tensor | None, given: _Bytes, step: float | None, relu: bool, padding: int, zero: int = 0
    ) -> None:
        scaled = weight.detach().double() * torch.tensor(given.steps, dtype=torch.float64)[None, :, None, None]
        scale = (scaled.abs().amax(dim=(1, 2, 3)) / 127).clamp(min=1e-12)
        whole = (scaled / scale[:, None, None, None]).round()
        shift = (whole * torch.tensor(given.zeros, dtype=torch.float64)[None, :, None, None]).sum(dim=(1, 2, 3)) * scale
        self._bias = ((torch.zeros(len(weight)) if bias is None else bias.detach()).double() - shift).float()
        self._scale, self._zero_points = scale.float(), torch.zeros(len(weight), dtype=torch.int64)
        self._sizes = ([1, 1], [padding, padding], [1, 1], 1)
        self._weight = torch.ops.onednn.qconv_prepack(whole.to(torch.int8), self._scale, 1.0, 0, *self._sizes, None)
        self._out = (1.0, 0, torch.float32) if step is None else (step, zero, torch.uint8)
        self._after = "relu" if relu else "none"
        self._run = _operator()
        self.gives = _Bytes((step or 1.0,), (zero,))

    def __call__(self, x: Tensor) -> Tensor:
        assert self._run is not None
        weight = (self._weight, self._scale, self._zero_points, self._bias)
        found: Tensor = self._run(x, 1.0, 0, *weight, *self._sizes, *self._out, self._after, [], "")
        return found


def _pair(block: nn.Module, given: _Bytes, step: dict[nn.Module, float], own: int) -> tuple[_Convolution, _Convolution]:
    """Make the two convolutions of a block; the first has padding of its own, or its caller pads."""
    convolutions = [each for each in block.modules() if isinstance(each, nn.Conv2d)]
    steps = [step[each] for each in block.modules() if isinstance(each, nn.ReLU)]
    first = _Convolution(convolutions[0].weight, convolutions[0].bias, given, steps[0], relu=True, padding=own)
    return first, _Convolution(convolutions[1].weight, convolutions[1].bias, first.gives, steps[1], relu=True, padding=1)


def _upward(upward: nn.ConvTranspose2d, given: _Bytes, step: float, zero: int) -> _Convolution:
    """Make a doubling convolution one of 1 x 1 with four times the channels: those of the four new pixels."""
    weight = upward.weight.detach().permute(2, 3, 1, 0).reshape(-1, upward.in_channels, 1, 1)
    assert upward.bias is not None
    return _Convolution(weight, upward.bias.repeat(4), given, step, relu=False, padding=0, zero=zero)


def _pooled(x: Tensor) -> Tensor:
    """Halve by maxima, (n, c, h, w) uint8."""
    high = x.permute(0, 2, 3, 1)
    rows = torch.maximum(high[:, ::2], high[:, 1::2])
    return torch.maximum(rows[:, :, ::2], rows[:, :, 1::2]).permute(0, 3, 1, 2)


def _joined(up: Tensor, skip: Tensor, zero: int) -> Tensor:
    """Put four new pixels in the place of each, skips behind them, and around all the bytes for 0.

    Parameters
    ----------
    up
        (n, 4 c, h, w) uint8, of the upper left, upper right, lower left and lower right pixel.
    skip
        (n, c, 2 h, 2 w) uint8.
    zero
        The byte for 0 in ``up``.

    Returns
    -------
    (n, 2 c, 2 h + 2, 2 w + 2) uint8, channels last.
    """
    n, channels, height, width = skip.shape
    both = torch.empty((n, height + 2, width + 2, 2 * channels), dtype=torch.uint8)
    for edge in (both[:, 0], both[:, -1], both[:, :, 0], both[:, :, -1]):
        edge[..., :channels] = zero
        edge[..., channels:] = 0
    inner = both[:, 1:-1, 1:-1].view(torch.complex128)  # sixteen bytes are moved at once
    parts = up.permute(0, 2, 3, 1).view(torch.complex128)
    k = channels // CHANNELS_AT_ONCE
    for place in range(4):
        inner[:, place // 2 :: 2, place % 2 :: 2, :k] = parts[..., place * k : (place + 1) * k]
    inner[..., k:] = skip.permute(0, 2, 3, 1).view(torch.complex128)
    return both.permute(0, 3, 1, 2)


def _ranges(generator: UNetGenerator, batch: Tensor) -> tuple[dict[nn.Module, tuple[float, float]], Tensor]:
    """Find the least and the largest value of every activation on a batch, 0 within them, and the generator's marks."""
    found: dict[nn.Module, tuple[float, float]] = {}
    seen = copy.deepcopy(generator)
    twins = dict(zip(seen.modules(), generator.modules(), strict=True))

    def note(module: nn.Module, _: Any, output: Tensor) -> None:
        found[twins[module]] = min(float(output.min()), 0.0), max(float(output.max()), 0.0)

    for module in seen.modules():
        if isinstance(module, nn.ReLU | nn.ConvTranspose2d):
            module.register_forward_hook(note)
    with torch.inference_mode():
        return found, seen.mark(batch)


def _operator() -> Callable[..., Tensor] | None:
    """Find PyTorch's convolution of bytes; its name has changed, and may again."""
    for name in ("qconv_pointwise", "qconv2d_pointwise"):
        if hasattr(torch.ops.onednn, name) and hasattr(torch.ops.onednn, "qconv_prepack"):
            found: Callable[..., Tensor] = getattr(torch.ops.onednn, name)
            return found
    return None


def _has_vnni() -> bool:
    """Tell whether the processor adds up products of bytes in one instruction; PyTorch's name for it is not public."""
    ask: Sequence[Callable[[], bool]] = [
        getattr(torch.cpu, name) for name in ("_is_vnni_supported", "_is_cpu_support_avx512_vnni") if hasattr(torch.cpu, name)
    ]
    return torch.backends.mkldnn.is_available() and any(each() for each in ask)  # type: ignore[no-untyped-call]
