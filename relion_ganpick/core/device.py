"""Where to compute, and in which precision."""

from __future__ import annotations

import torch

from relion_ganpick.core.errors import GanpickError


def find_device(name: str) -> torch.device:
    """Find a device by name.

    Parameters
    ----------
    name
        "auto" is CUDA where there is one, else the CPU; "cpu", "cuda" and "cuda:N" are meant as said.

    Raises
    ------
    GanpickError
        If it is not there: a device that was asked for is never replaced by another.
    """
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if available else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise GanpickError(f"`device` {name}: no such kind of device; give auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise GanpickError(f"`device` {name}: not supported; give auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= available:
        raise GanpickError(
            f"`device` {name}: PyTorch sees {available or 'no'} CUDA device{'s' if available != 1 else ''} here; "
            "leave out `gpu` and `device` to use the CPU, or install a CUDA build of PyTorch"
        )
    return device


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
