"""The forward pass of a generator: prepared pictures in, markers out."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from relion_ganpick.model.eight_bit import EightBitUNet

Image = NDArray[np.float32]


def mark(
    generator: nn.Module | EightBitUNet,
    pictures: Image,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    multiple: int | None = None,
) -> Image:
    """Run a generator on pictures of one size; their sides are continued by reflection to what it can halve.

    To and from a GPU they go by memory that the device reads itself, so that other threads' work goes on meanwhile.

    Parameters
    ----------
    generator
        On the device and of the type that are given; has ``stride`` and ``mark``.
    pictures
        (n, h, w) float32, prepared for the generator.
    device, dtype
        Where and in which precision to compute.
    multiple
        Sides are continued to a multiple of this; by default the generator's stride.

    Returns
    -------
    (n, c, h, w) float32, the generator's outputs; the first is the markers.
    """
    multiple = multiple or int(generator.stride)  # type: ignore[arg-type]
    height, width = pictures.shape[1:]
    padded = torch.from_numpy(np.pad(pictures, ((0, 0), (0, -height % multiple), (0, -width % multiple)), "symmetric"))[:, None]
    on_gpu = device.type == "cuda"
    with torch.inference_mode():
        batch = (padded.pin_memory() if on_gpu else padded).to(device, non_blocking=on_gpu)
        batch = batch.to(dtype).contiguous(memory_format=torch.channels_last)
        marks = generator.mark(batch)[:, :, :height, :width]  # type: ignore[operator]
        if not on_gpu:
            return np.asarray(marks.numpy())
        found = torch.empty(marks.shape, pin_memory=True).copy_(marks, non_blocking=True)
        torch.cuda.current_stream(device).synchronize()
        return np.asarray(found.numpy())
