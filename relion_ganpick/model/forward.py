"""The forward pass of a generator: prepared pictures in, markers out."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from relion_ganpick.model.eight_bit import EightBitUNet

Image = NDArray[np.float32]


def mark(generator: nn.Module | EightBitUNet, pictures: Image, device: torch.device, dtype: torch.dtype = torch.float32) -> Image:
    """Run a generator on pictures of one size; their sides are continued by reflection to what it can halve.

    Parameters
    ----------
    generator
        On the device and of the type that are given; has ``stride`` and ``mark``.
    pictures
        (n, h, w) float32, prepared for the generator.
    device, dtype
        Where and in which precision to compute.

    Returns
    -------
    (n, c, h, w) float32, the generator's outputs; the first is the markers.
    """
    stride = int(generator.stride)  # type: ignore[arg-type]
    height, width = pictures.shape[1:]
    padded = np.pad(pictures, ((0, 0), (0, -height % stride), (0, -width % stride)), "symmetric")
    with torch.inference_mode():
        batch = torch.from_numpy(padded)[:, None].to(device, dtype).contiguous(memory_format=torch.channels_last)
        return np.asarray(generator.mark(batch)[:, :, :height, :width].cpu().numpy())  # type: ignore[operator]
