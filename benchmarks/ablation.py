"""What every part of the recipe is worth: the default preset trained without it, several seeds each.

    python benchmarks/ablation.py --out runs/ablation --steps 1500 --seeds 3 --sets FOLDER
    python benchmarks/ablation.py --out runs/ablation --steps 1500 --seeds 3 --variants full no_adversarial
    python benchmarks/ablation.py --list

Each run is in OUT/<variant>-<seed>. What is there is resumed, or only measured again where the weights are new, so that
the table can be gathered in several sittings. All variants are measured on one and the same stream of held-out scenes with
everything in them, whatever the variant was trained on: "scenes" is F1 at the best of 39 thresholds, AP average precision,
"AP raw" the same of the markers' heights, as if there were no rescorer. On
real sets F1 is at the variant's own default threshold, which its own scenes have calibrated; "/mic" is picks per micrograph
on sets without particles.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from sets import RealSet, real_sets

from relion_ganpick.core.device import find_device, has_bfloat16
from relion_ganpick.core.evaluate import average_precision, best_threshold, evaluate
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.model.weights import load_model
from relion_ganpick.picking.picker import Picker
from relion_ganpick.training.presets import PRESETS, TrainSettings
from relion_ganpick.training.train import Trainer
from relion_ganpick.training.validate import pick_held_out

FIXED_SEED = 0  # of the scenes that judge; trainings have seeds from 1


def default() -> TrainSettings:
    """Give the preset that everything is compared with."""
    preset = PRESETS["default"]
    assert isinstance(preset, TrainSettings)
    return preset


def scene(full: TrainSettings, **changes: Any) -> TrainSettings:
    """Change what the synthetic micrographs hold."""
    return replace(full, scene=replace(full.scene, **changes))


VARIANTS: dict[str, Callable[[TrainSettings], TrainSettings]] = {
    "full": lambda full: full,
    "no_adversarial": lambda full: replace(full, adversarial_loss="none"),
    "gan_cross_entropy": lambda full: replace(full, adversarial_loss="cross_entropy"),
    "gan_and_l1_alone": lambda full: replace(full, entropy_weight=0.0, contamination_weight=0.0),
    "no_second_output": lambda full: replace(full, contamination_weight=0.0),
    "no_contamination": lambda full: scene(full, clean=1.0),
    "no_crowding": lambda full: scene(full, area_density=(0.03, 0.3), spacing=(1.0, 1.15)),
    "no_denoising": lambda full: scene(full, denoised=0.0, eight_bit=0.0),
    "no_empty_scenes": lambda full: scene(full, empty=0.0),
    "no_phase_plate": lambda full: scene(full, phase_plate=0.0),
    "globules_alone": lambda full: scene(full, molecule="globule"),
}


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for the runs and table.json")
    parser.add_argument("--sets", type=Path, default=os.environ.get("GANPICK_BENCHMARK"), help="folder of real sets")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--steps", type=int, default=1500, help="updates of every run (default: 1500)")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (default: 3)")
    parser.add_argument("--batch", type=int, default=default().batch, help="pairs per update (default: the preset's)")
    parser.add_argument("--crop", type=int, default=default().crop, help="side of their pictures (default: the preset's)")
    parser.add_argument("--calibration", type=int, default=400, help="scenes that calibrate each run (default: 400)")
    parser.add_argument(
        "--rescorers", type=int, default=default().rescorers, help="members of the rescorer (default: the preset's)"
    )
    parser.add_argument("--j", type=int, default=2, help="threads (default: 2)")
    parser.add_argument("--scenes", type=int, default=192, help="held-out scenes that judge (default: 192)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=1, help="processes that make pictures (default: 1)")
    parser.add_argument("--list", action="store_true", help="name the variants, and stop")
    args = parser.parse_args()
    if args.list:
        print("\n".join(VARIANTS))
        return
    if args.out is None:
        parser.error("give --out")
    torch.set_num_threads(args.j)
    sets = real_sets(args.sets)
    table: dict[str, list[dict[str, float]]] = {}
    size = {"batch": args.batch, "crop": args.crop, "calibration_scenes": args.calibration, "rescorers": args.rescorers}
    for seed in range(1, args.seeds + 1):
        for name in args.variants:
            settings = settings_of(name, args.steps, seed, **size)
            weights = trained(settings, args.out / f"{name}-{seed}", args)
            row = measured(weights, sets, args.scenes, args.device)
            table.setdefault(name, []).append(row)
            print(f"{name} seed {seed}: " + ", ".join(f"{column} {value:.3f}" for column, value in row.items()), flush=True)
    report(table, args)


def settings_of(variant: str, steps: int, seed: int, **size: Any) -> TrainSettings:
    """Make the settings of one run."""
    return VARIANTS[variant](replace(default(), steps=steps, seed=seed, **size))


def trained(settings: TrainSettings, folder: Path, args: argparse.Namespace) -> Path:
    """Train in a folder, go on there, or find it done; returns the weights."""
    weights = folder / f"{settings.preset}.safetensors"
    if weights.exists() and load_model(str(weights)).card.training == json.loads(json.dumps(asdict(settings))):
        return weights
    folder.mkdir(parents=True, exist_ok=True)
    device = find_device(args.device)
    run = Trainer(settings, folder, device, has_bfloat16(device))
    if (folder / "checkpoint.pt").exists():
        run.resume()
    return run.run(workers=args.workers)


def measured(weights: Path, sets: list[RealSet], n_scenes: int, device: str) -> dict[str, float]:
    """Measure a run; what has been measured of these weights is read from figures.json beside them."""
    model = load_model(str(weights))
    key = [model.card.sha256, n_scenes, [each.name for each in sets]]
    known = weights.with_name("figures.json")
    if known.exists() and (saved := json.loads(known.read_text()))["of"] == key:
        return dict(saved["figures"])
    where = find_device(device)
    held_out = pick_held_out(model.generator.to(where), where, FIXED_SEED, range(n_scenes), default().scene)
    items = held_out.rescored(model.rescorer)
    figures = {"scenes": best_threshold(items)[1].f1, "AP": average_precision(items), "AP raw": average_precision(held_out.items)}
    for each in sets:
        picker = Picker(PickSettings(diameter=each.diameter), device, model)
        found = evaluate([each.item(*picks) for picks in each.picked(picker)], picker.threshold)
        figures |= {each.name: found.f1} if found.truth else {f"{each.name} /mic": found.picks / len(each.paths)}
    known.write_text(json.dumps({"of": key, "figures": figures}, indent=1))
    return figures


def report(table: dict[str, list[dict[str, float]]], args: argparse.Namespace) -> None:
    """Print mean and standard deviation of every variant, and write all figures as JSON."""
    columns = list(next(iter(table.values()))[0])
    print(f"\n{args.steps} steps of {args.batch} pairs of {args.crop} pixels, {args.seeds} seeds, mean +- standard deviation")
    print(f"{'':18s} " + " ".join(f"{column:>16s}" for column in columns))
    for name, found in table.items():
        print(f"{name:18s} " + " ".join(f"{with_spread([row[column] for row in found]):>16s}" for column in columns))
    (args.out / "table.json").write_text(json.dumps({"steps": args.steps, "table": table}, indent=1))


def with_spread(values: list[float]) -> str:
    """Write mean and standard deviation, or a single value."""
    return f"{mean(values):.3f} +- {stdev(values):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


if __name__ == "__main__":
    main()
