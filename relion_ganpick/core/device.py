"""Where to compute, and in which precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from relion_ganpick.core.errors import DeviceError
from relion_ganpick.core.workers import EVERY_GPU


def find_device(name: str) -> torch.device:
    """Find a device by name.

    Parameters
    ----------
    name
        "auto" is CUDA where there is one, else the CPU; "cpu", "cuda" and "cuda:N" are meant as said.

    Raises
    ------
    DeviceError
        If it is not there: a device that was asked for is never replaced by another.
    """
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if available else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"`device` {name}: no such kind of device; give auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"`device` {name}: not supported; give auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= available:
        raise DeviceError(
            f"`device` {name}: PyTorch sees {available or 'no'} CUDA device{'s' if available != 1 else ''} here; "
            "leave out `gpu` and `device` to use the CPU, or install a CUDA build of PyTorch"
        )
    return device


def find_devices(name: str) -> list[torch.device]:
    """Find one device or several.

    Parameters
    ----------
    name
        As for `find_device`, several with commas between them, such as "cuda:0,cuda:1", or "cuda:all".

    Raises
    ------
    DeviceError
        If one of them is not there, or the CPU is among several.
    """
    if name == EVERY_GPU:
        n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return [find_device(f"cuda:{index}") for index in range(max(n_devices, 1))]
    devices = list(dict.fromkeys(find_device(each.strip()) for each in name.split(",")))
    if len(devices) > 1 and any(device.type == "cpu" for device in devices):
        raise DeviceError(f"`device` {name}: the CPU cannot help a GPU; give one kind of device")
    return devices


@contextmanager
def named_loss(device: torch.device) -> Iterator[None]:
    """Turn PyTorch's error about a device that fails while it computes into ours; lack of memory stays what it is.

    Raises
    ------
    DeviceError
        If the device was lost.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        if "CUDA error" not in str(error):
            raise
        reason = str(error).splitlines()[0]
        raise DeviceError(
            f"{device}: the device was lost while it computed ({reason}); what is finished is kept: see whether nvidia-smi still "
            "shows it, then run it again"
        ) from error


def fastest_type(device: torch.device) -> torch.dtype:
    """Half precision where the device computes in it: float16 on CUDA, bfloat16 on a CPU that has it."""
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if has_bfloat16(device) else torch.float32


def has_bfloat16(device: torch.device) -> bool:
    """Tell whether a device computes in bfloat16 faster than in float32.

    On a CPU oneDNN does so from AVX-512 on; PyTorch has no public name for oneDNN's own answer. Other processors take float32.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return bool(has_onednn) and torch.backends.cpu.get_cpu_capability().startswith("AVX512")
