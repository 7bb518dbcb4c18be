"""A model's generator on a device, ready to mark pictures."""

from __future__ import annotations

import copy
import logging
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from relion_ganpick.core.device import find_devices, named_loss
from relion_ganpick.model.eight_bit import EightBitUNet, has_eight_bit
from relion_ganpick.model.forward import mark
from relion_ganpick.model.networks import UNetGenerator
from relion_ganpick.model.weights import Model
from relion_ganpick.picking.method import method_of

log = logging.getLogger(__name__)

Image = NDArray[np.float32]

GPU_MULTIPLE = 64


class MarkingNetwork:
    """A generator with its batch normalisations folded in, in the fastest precision that its method and the device allow.

    Parameters
    ----------
    model
        A loaded model.
    device
        "auto", "cpu", "cuda", "cuda:N", or several; see `core.device.find_devices`.

    Attributes
    ----------
    device
        The first of the devices; what is looked at before a run is marked there.
    everywhere
        The same network on each of them, this one first.

    Raises
    ------
    GanpickError
        If the device is missing.
    """

    def __init__(self, model: Model, device: str = "auto") -> None:
        devices = find_devices(device)
        self.model = model
        self.method = method_of(model.card)
        self.device = devices[0]
        self.everywhere = (self, *(MarkingNetwork(model, str(each)) for each in devices[1:]))
        self.dtype = self.method.precision(self.device)
        fused = _fuse(model.generator)
        self._bytes = _in_bytes(fused) if self.device.type == "cpu" and self.dtype is not torch.float32 else None
        if self._bytes is not None:
            self.dtype = torch.uint8
        else:
            self._generator = fused.to(self.device, self.dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, batch: Image) -> Image:
        """Mark pictures, (n, h, w) float32 -> (n, c, h, w) float32."""
        with named_loss(self.device):
            if self._bytes is not None:
                return mark(self._bytes, batch, self.device)
            return mark(self._generator, batch, self.device, self.dtype, self._multiple)

    @property
    def _multiple(self) -> int:
        """Sides of what the network sees are multiples of this; on a GPU few shapes are better than many."""
        stride = int(self.model.generator.stride)  # type: ignore[arg-type]
        return stride if self.device.type == "cpu" else math.lcm(stride, GPU_MULTIPLE)

    def padded_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Size to which a picture of (h, w) pixels is continued before it is marked."""
        height, width = (side + -side % self._multiple for side in shape)
        return height, width


def _in_bytes(fused: nn.Module) -> EightBitUNet | None:
    """Make a network of bytes where the processor is fastest in them; None where that cannot be, or would not be the same."""
    if not has_eight_bit(fused):
        return None
    assert isinstance(fused, UNetGenerator)
    try:
        return EightBitUNet(fused)
    except (ValueError, RuntimeError, TypeError) as error:  # PyTorch's operators for bytes may change between its versions
        log.debug(f"no network of bytes: {error}")
        return None


def _fuse(generator: nn.Module) -> nn.Module:
    """Copy a network with every batch normalisation worked into the convolution before it."""
    fused = copy.deepcopy(generator).eval()
    for block in fused.modules():
        if isinstance(block, nn.Sequential):
            for k in range(len(block) - 1):
                convolution, normalisation = block[k], block[k + 1]
                if isinstance(convolution, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d):
                    block[k], block[k + 1] = fuse_conv_bn_eval(convolution, normalisation), nn.Identity()
    return fused
