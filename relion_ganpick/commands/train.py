"""``ganpick train``: train a model on synthetic micrographs."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.model.presets import PRESETS, TrainSettings

if TYPE_CHECKING:
    import torch

TEXTS = {
    "width": "channels of the generator's first level",
    "levels": "number of times the generator halves the picture",
    "discriminator_width": "channels of the discriminator's first convolution",
    "steps": "number of updates of each network",
    "batch": "pairs per update",
    "crop": "side of the training pictures in pixels",
    "learning_rate": "highest learning rate of the generator",
    "discriminator_learning_rate": "learning rate of the discriminator",
    "beta1": "first moment of Adam",
    "adversarial_weight": "weight of the adversarial loss",
    "l1_weight": "weight of the L1 loss",
    "entropy_weight": "weight of the cross entropy that calibrates the figure of merit",
    "average": "decay per step of the average of the weights, which is what is saved",
    "validate_every": "steps between validations and checkpoints",
    "validation_scenes": "number of held-out scenes",
    "seed": "names all random streams",
}
AT_LEAST_ONE = ("width", "levels", "discriminator_width", "steps", "batch", "validate_every", "validation_scenes")
NOT_NEGATIVE = ("adversarial_weight", "l1_weight", "entropy_weight", "seed")


def add_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and one argument for every training setting."""
    parser = subparsers.add_parser(
        "train",
        help="train a model on synthetic micrographs",
        description="Train a model on synthetic micrographs; weights and card go to DIR/<preset>.safetensors and .json.",
        allow_abbrev=False,
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for checkpoint, log and weights")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="default", help="recipe (default: default)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in DIR")
    parser.add_argument("--workers", type=int, default=1, help="processes that make pictures, 0 for none (default: 1)")
    settings = parser.add_argument_group("settings, in place of the preset's")
    for name, text in TEXTS.items():
        value = getattr(PRESETS["default"], name)
        help_text = f"{text} (default preset: {value:g})"
        settings.add_argument(f"--{name}", type=type(value), default=argparse.SUPPRESS, help=help_text)
    parser.set_defaults(run=run)


def run(namespace: argparse.Namespace) -> int:
    """Train, and say where the weights are."""
    given = vars(namespace)
    changes = {each.name: given[each.name] for each in fields(TrainSettings) if each.name in given}
    settings = replace(PRESETS[namespace.preset], **changes)
    _check(settings, namespace.workers)
    checkpoint: Path = namespace.out / "checkpoint.pt"
    if checkpoint.exists() and not namespace.resume:
        raise GanpickError(f"{checkpoint}: a training run is already here; give --resume to go on with it, or another --out")

    from relion_ganpick.core.picker import find_device
    from relion_ganpick.model.train import Trainer

    device = find_device(namespace.device)
    namespace.out.mkdir(parents=True, exist_ok=True)
    bfloat16 = _has_bfloat16(device)
    print(f"device {device}, {'bfloat16' if bfloat16 else 'float32'}", flush=True)
    trainer = Trainer(settings, namespace.out, device, bfloat16)
    if checkpoint.exists():
        trainer.resume()
        print(f"resuming at step {trainer.step} of {settings.steps}", flush=True)
    elif namespace.resume:
        print(f"no checkpoint in {namespace.out}: starting at step 0", flush=True)
    path = trainer.run(workers=namespace.workers)
    print(f"weights: {path}")
    print(f"use them: ganpick pick ... --model {path}")
    return 0


def _check(settings: TrainSettings, workers: int) -> None:
    for name in AT_LEAST_ONE:
        if getattr(settings, name) < 1:
            raise GanpickError(f"--{name} {getattr(settings, name)}: give at least 1")
    for name in NOT_NEGATIVE:
        if not getattr(settings, name) >= 0:
            raise GanpickError(f"--{name} {getattr(settings, name):g}: give 0 or a positive number")
    for name in ("learning_rate", "discriminator_learning_rate"):
        if not getattr(settings, name) > 0:
            raise GanpickError(f"--{name} {getattr(settings, name):g}: give a positive number")
    for name in ("beta1", "average"):
        if not 0 <= getattr(settings, name) < 1:
            raise GanpickError(f"--{name} {getattr(settings, name):g}: give a number from 0 to less than 1")
    # The discriminator halves three times and loses two more pixels; batch normalisation needs more than one value.
    least = max(2 * 2**settings.levels, 32)
    if settings.crop < least or settings.crop % 2**settings.levels:
        raise GanpickError(
            f"--crop {settings.crop}: give a multiple of {2**settings.levels} (2 to the power of --levels), at least {least}"
        )
    if workers < 0:
        raise GanpickError(f"--workers {workers}: give 0 or a positive number of processes")


def _has_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 faster than in float32."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
