"""``ganpick train``: train a model on synthetic pictures, by the default recipe or by the paper's."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from relion_ganpick.commands.pair_options import BACKGROUNDS, PAIR_TEXTS, add_setting, find_backgrounds
from relion_ganpick.commands.scene_option import add_scene_option, read_scene
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.training.presets import ADVERSARIAL_LOSSES, PRESETS, PaperSettings, TrainSettings

if TYPE_CHECKING:
    import torch

    from relion_ganpick.training.paper_train import PaperTrainer
    from relion_ganpick.training.train import Trainer

TEXTS = {
    "width": "channels of the generator's first level",
    "levels": "how often the generator halves the picture",
    "discriminator_width": "channels of the discriminator's first convolution",
    "steps": "number of training steps",
    "epochs": "how often every pair is shown",
    "batch": "pictures per step",
    "crop": "side of the training pictures in pixels",
    "learning_rate": "highest learning rate of the generator; preset paper: of both networks",
    "discriminator_learning_rate": "learning rate of the discriminator",
    "beta1": "first moment of Adam",
    "adversarial_loss": f"{', '.join(ADVERSARIAL_LOSSES[:-1])} or {ADVERSARIAL_LOSSES[-1]} (equations 1, or 2, 3 and 5)",
    "adversarial_weight": "weight of the adversarial loss, w1 of equation 6",
    "l1_weight": "weight of the L1 loss, w2 of equation 6",
    "entropy_weight": "weight of the cross entropy, which keeps marks between 0 and 1",
    "contamination_weight": "weight of the second output, which marks contamination; 0: no second output",
    "average": "how slowly the averaged weights follow the training, 0 to 1; the averaged ones are saved",
    "dropout": "share of values that the first decoding layers drop in training",
    "backgrounds": BACKGROUNDS,
    "validate_every": "validate and save a checkpoint every so many steps",
    "validation_scenes": "number of simulated micrographs to validate with",
    "calibration_scenes": "number of simulated micrographs to which the rescorer and the figure of merit are fitted",
    "rescorers": "number of small networks that judge all candidates together; 0: none",
    "judge_sets": "number of simulated data sets to which the judge of sets is fitted; 0: no judge",
    "judges": "number of small networks in the judge of sets; 0: no judge",
    "validation_pairs": "number of pairs to validate with",
    "seed": "number that random choices start from",
    "init": "name or path of a model whose generator training starts from (default: random weights)",
    "scene": "what the simulated micrographs hold",
    **PAIR_TEXTS,
}
COUNTS = ("steps", "epochs", "batch", "validate_every", "validation_scenes", "calibration_scenes", "validation_pairs")
AT_LEAST_ONE = ("width", "levels", "discriminator_width", *COUNTS)
WEIGHTS = ("adversarial_weight", "l1_weight", "entropy_weight", "contamination_weight")
NOT_NEGATIVE = (*WEIGHTS, "rescorers", "judge_sets", "judges", "seed")


def add_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and one argument for every training setting."""
    parser = subparsers.add_parser(
        "train",
        help="train a model on simulated micrographs",
        description="Train a model on simulated micrographs. "
        "The result is DIR/<preset>.safetensors and its card, DIR/<preset>.json.",
        allow_abbrev=False,
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for checkpoint, log and weights")
    parser.add_argument(
        "--preset", choices=sorted(PRESETS), default="default", help="what to train: our method or the paper's (default: default)"
    )
    parser.add_argument("--device", default="auto", help="where to compute: auto, cpu, cuda or cuda:N (default: auto)")
    parser.add_argument("--resume", action="store_true", help="go on with the training that was stopped in DIR")
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        help="processes that simulate pictures meanwhile; 0 for none; preset default only (default: 1)",
    )
    parser.add_argument(
        "--judge_for", default="", metavar="MODEL", help="train no generator, but fit a new judge of sets to that of a model"
    )
    settings = parser.add_argument_group("settings, in place of the preset's")
    for name, text in TEXTS.items():
        holders = {preset: each for preset, each in PRESETS.items() if name in _names(each)}
        if name == "scene":
            add_scene_option(settings, text)
        else:
            add_setting(settings, name, text, {preset: getattr(each, name) for preset, each in holders.items()})
    parser.set_defaults(run=run)


def run(namespace: argparse.Namespace) -> int:
    """Train, and say where the weights are."""
    settings = _settings(namespace)
    _check(settings, namespace.workers)
    checkpoint: Path = namespace.out / "checkpoint.pt"
    if checkpoint.exists() and not namespace.resume:
        raise GanpickError(f"{checkpoint}: there is a training run already; give --resume to go on with it, or another --out")

    from relion_ganpick.core.device import find_device
    from relion_ganpick.training.train import Trainer

    device = find_device(namespace.device)
    namespace.out.mkdir(parents=True, exist_ok=True)
    if namespace.judge_for:
        return _judge_only(settings, namespace, device)
    trainer = _trainer(settings, namespace, device)
    if checkpoint.exists():
        trainer.resume()
        print(f"resuming at step {trainer.step} of {settings.steps}", flush=True)
    elif namespace.resume:
        print(f"no checkpoint in {namespace.out}: starting at step 0", flush=True)
    path = trainer.run(workers=namespace.workers) if isinstance(trainer, Trainer) else trainer.run()
    print(f"weights: {path}")
    print(f"use them: ganpick pick ... --model {path}")
    return 0


def _judge_only(settings: TrainSettings | PaperSettings, namespace: argparse.Namespace, device: torch.device) -> int:
    """Fit a judge of sets to the generator of a model, and say where the weights are."""
    from relion_ganpick.model.weights import load_model, save_model
    from relion_ganpick.training.judge_sets import SETS, with_judge

    model = load_model(namespace.judge_for)
    if not isinstance(settings, TrainSettings) or model.card.network["kind"] != "unet":
        raise GanpickError(f"--judge_for {namespace.judge_for}: models of the paper's kind have no judge of sets")
    if not settings.judge_sets or not settings.judges:
        raise GanpickError("--judge_for: give --judge_sets and --judges of at least 1")
    # Described sets belong to one generator; those of another are not taken for its own.
    folder = namespace.out / f"{SETS}-{model.card.sha256[:12]}"
    path = save_model(with_judge(model, device, settings, folder, namespace.workers), namespace.out)
    print(f"weights: {path}")
    return 0


def _settings(namespace: argparse.Namespace) -> TrainSettings | PaperSettings:
    """Take the preset's settings with the changes that were given.

    Raises
    ------
    GanpickError
        If the preset has no such setting.
    """
    given, preset = vars(namespace), PRESETS[namespace.preset]
    changes = {name: given[name] for name in TEXTS if name in given}
    for name in changes:
        if name not in _names(preset):
            known = [other for other, each in PRESETS.items() if name in _names(each)]
            raise GanpickError(f"--{name} is no setting of preset {namespace.preset}, but of {', '.join(known)}: leave it out")
    if "scene" in changes:
        changes["scene"] = read_scene(changes["scene"])
    return replace(preset, **changes)


def _names(settings: TrainSettings | PaperSettings) -> set[str]:
    return {each.name for each in fields(settings)}


def _trainer(
    settings: TrainSettings | PaperSettings, namespace: argparse.Namespace, device: torch.device
) -> Trainer | PaperTrainer:
    """Set up the run; the paper's is in float32, as its layers normalise by very few values."""
    from relion_ganpick.core.device import has_bfloat16
    from relion_ganpick.training.paper_train import PaperTrainer
    from relion_ganpick.training.train import Trainer

    bfloat16 = isinstance(settings, TrainSettings) and has_bfloat16(device)
    print(f"device {device}, {'bfloat16' if bfloat16 else 'float32'}", flush=True)
    if isinstance(settings, TrainSettings):
        return Trainer(settings, namespace.out, device, bfloat16)
    areas = find_backgrounds(settings.backgrounds, settings, namespace.out / "backgrounds.png") if settings.backgrounds else []
    return PaperTrainer(settings, namespace.out, device, areas)


def _check(settings: TrainSettings | PaperSettings, workers: int) -> None:
    """Check what the settings have in common, and the size of the default preset's crops."""
    for name in AT_LEAST_ONE:
        if name in _names(settings) and getattr(settings, name) < 1:
            raise GanpickError(f"--{name} {getattr(settings, name)}: give at least 1")
    for name in NOT_NEGATIVE:
        if name in _names(settings) and not getattr(settings, name) >= 0:
            raise GanpickError(f"--{name} {getattr(settings, name):g}: give 0 or a positive number")
    for name in ("learning_rate", "discriminator_learning_rate"):
        if name in _names(settings) and not getattr(settings, name) > 0:
            raise GanpickError(f"--{name} {getattr(settings, name):g}: give a positive number")
    for name in ("beta1", "average"):
        if name in _names(settings) and not 0 <= getattr(settings, name) < 1:
            raise GanpickError(f"--{name} {getattr(settings, name):g}: give a number from 0 to less than 1")
    if settings.adversarial_loss not in ADVERSARIAL_LOSSES:
        raise GanpickError(f"--adversarial_loss {settings.adversarial_loss}: give one of {', '.join(ADVERSARIAL_LOSSES)}")
    if isinstance(settings, TrainSettings):
        # The discriminator halves three times and loses two more pixels; batch normalisation needs more than one value.
        least = max(2 * 2**settings.levels, 32)
        if settings.crop < least or settings.crop % 2**settings.levels:
            raise GanpickError(
                f"--crop {settings.crop}: give a multiple of {2**settings.levels} (2 to the power of --levels), at least {least}"
            )
    if workers < 0:
        raise GanpickError(f"--workers {workers}: give 0 or a positive number of processes")
