"""The paper's own experiments: Table 2's rows for its losses, and the pictures of Figures 5 and 6.

    benchmarks/paper.py SETS --out runs/paper --epochs 60 --width 16
    benchmarks/paper.py SETS --out runs/paper --rows mean_squared own_backgrounds
    benchmarks/paper.py SETS --out runs/paper --width 64 --device cuda      (the paper's size, as written)

SETS is a folder with RELION projects that hold micrographs.star, Micrographs/, truth/*.csv and set.json with diameter and
pixel size. For each row and seed a network is trained in OUT/<row>-<seed> on the same pairs and for the same steps; what is
there already is resumed, so that the table can be gathered in several sittings. The row own_backgrounds is mean_squared with
areas without particles of the set's own micrographs, found without labels, in place of pure noise. A pick is right within a
quarter diameter, matched one to one; counts are pooled over the micrographs, at the threshold of the card, where Algorithm 3
alone decides.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import cv2
import matplotlib.pyplot as plt
import numpy as np
import torch

from relion_ganpick.commands.pair_options import find_backgrounds
from relion_ganpick.core.device import find_device
from relion_ganpick.core.evaluate import Figures, evaluate
from relion_ganpick.core.localize import binarise, erode
from relion_ganpick.core.micrograph import Micrograph, read_micrograph
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.formats.coordinates import read_coordinates, without_ignored
from relion_ganpick.picking.picker import Picker
from relion_ganpick.report.overlays import write_overlay
from relion_ganpick.training.paper_train import PaperTrainer
from relion_ganpick.training.presets import PRESETS, PaperSettings

OWN = "own_backgrounds"
NAMES = {
    "cross_entropy": "GAN + cross entropy loss",
    "mean_squared": "GAN + mean squared loss",
    "none": "L1 alone",
    OWN: "mean squared, own areas",
}
TABLE_2 = {"cross_entropy": (0.73, 0.60, 0.66), "mean_squared": (0.81, 0.63, 0.71)}
COLUMNS = ("precision", "recall", "f1")


def main() -> None:
    """Train, measure, draw, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, metavar="SETS", help="folder of the sets")
    parser.add_argument("--set", default="bgal", help="which of them (default: bgal)")
    parser.add_argument("--out", type=Path, required=True, help="folder for runs, pictures and table")
    parser.add_argument("--epochs", type=int, help="epochs of 100 pairs (default: the preset's 200)")
    parser.add_argument("--width", type=int, default=16, help="channels of the first layer of both networks (default: 16)")
    parser.add_argument("--learning_rate", type=float, help="Adam's (default: the preset's 2e-4)")
    parser.add_argument("--average", type=float, help="decay of the averaged weights; 0: none (default: the preset's 0.998)")
    parser.add_argument("--pairs", type=int, help="training pairs (default: the preset's 100)")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (default: 3)")
    parser.add_argument("--rows", nargs="+", choices=NAMES, default=list(NAMES), metavar="ROW", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--j", type=int, default=2, help="threads")
    args = parser.parse_args()
    torch.set_num_threads(args.j)
    rows: dict[str, list[Figures]] = {}
    for row in args.rows:
        for seed in range(1, args.seeds + 1):
            weights = trained(settings_of(args, row, seed), args.out / f"{row}-{seed}", args.device)
            figures = evaluate(list(picked(args.sets / args.set, weights, args.device)))
            rows.setdefault(row, []).append(figures)
            print(f"{row} seed {seed}: P {figures.precision:.3f} R {figures.recall:.3f} F1 {figures.f1:.3f}", flush=True)
    folder = args.sets / args.set
    first = sorted((folder / "Micrographs").glob("*.mrc"))[0]
    draw(folder, first, args.out / f"{args.rows[0]}-1" / "paper.safetensors", args)
    report(rows, args)


def settings_of(args: argparse.Namespace, row: str, seed: int) -> PaperSettings:
    """Make the settings of one run; only the loss or the backgrounds, and the seed differ."""
    preset = PRESETS["paper"]
    assert isinstance(preset, PaperSettings)
    names = ("epochs", "pairs", "learning_rate", "average")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    own: dict[str, Any] = (
        {"backgrounds": str(args.sets / args.set / "micrographs.star")} if row == OWN else {"adversarial_loss": row}
    )
    return replace(preset, width=args.width, discriminator_width=args.width, seed=seed, **own, **given)


def trained(settings: PaperSettings, folder: Path, device: str) -> Path:
    """Train in a folder, or go on there; returns the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    areas = find_backgrounds(settings.backgrounds, settings, folder / "backgrounds.png") if settings.backgrounds else []
    run = PaperTrainer(settings, folder, find_device(device), areas)
    if (folder / "checkpoint.pt").exists():
        run.resume()
    return run.run()


def picked(folder: Path, weights: Path, device: str) -> Iterator[tuple[Picks, Any, float]]:
    """Pick a set's micrographs; yields picks without those in ignored places, reference centres, and the reach in pixels."""
    info = json.loads((folder / "set.json").read_text())
    picker = Picker(PickSettings(diameter=info["diameter"], model=str(weights)), device)
    diameter_px = info["diameter"] / info["angpix"]
    truth = read_coordinates([folder / "truth"])
    for path in sorted((folder / "Micrographs").glob("*.mrc")):
        reference = truth[path.stem]
        picks = without_ignored(picker.pick(read_micrograph(path, info["angpix"])), reference.ignore, diameter_px / 2)
        yield picks, reference.picks.xy, diameter_px / 4


def draw(folder: Path, path: Path, weights: Path, args: argparse.Namespace) -> None:
    """Draw Figures 5 and 6 for one micrograph."""
    info = json.loads((folder / "set.json").read_text())
    picker = Picker(PickSettings(diameter=info["diameter"], model=str(weights)), args.device)
    micrograph: Micrograph = read_micrograph(path, info["angpix"])
    prepared = picker.prepare(micrograph)
    outputs = picker.mark(prepared.picture)
    marked = outputs[0]
    output = np.clip(prepared.picture - marked, 0, 1)
    figure, axes = plt.subplots(1, 2, figsize=(9, 3))
    for axis, picture, title in zip(axes, (prepared.picture, output), ("(a) input", "(b) output"), strict=True):
        axis.hist(np.rint(255 * picture).ravel(), bins=np.arange(257) - 0.5)
        axis.set(title=title, xlabel="pixel value", ylabel="number of pixels")
    figure.tight_layout()
    figure.savefig(args.out / "figure5.png")
    plt.close(figure)
    binary = binarise(marked, picker.settings.region_threshold)
    stages = [np.rint(255 * each).astype(np.uint8) for each in (prepared.picture, output, np.clip(marked, 0, 1))]
    stages += [binary, erode(binary, picker.settings.erosion)]
    cv2.imwrite(str(args.out / "figure6.png"), np.hstack([np.pad(stage, 4, constant_values=255) for stage in stages]))
    picks = picker.locate(prepared, outputs)
    write_overlay(micrograph.pixels, picks, info["diameter"] / info["angpix"], args.out / "figure6_picks.png")
    print(
        f"figures 5 and 6: {args.out}/figure5.png, figure6.png (input, output, input - output, binary, eroded), figure6_picks.png"
    )


def report(rows: dict[str, list[Figures]], args: argparse.Namespace) -> None:
    """Print the table beside the paper's, and write it as JSON."""
    print(f"\n{args.set}, width {args.width}, {args.epochs or 200} epochs, {args.seeds} seeds, mean +- standard deviation")
    print(f"{'':26} {'precision':>15} {'recall':>15} {'F1':>15}   paper: P, R, F1")
    table: dict[str, dict[str, list[float]]] = {}
    for row, figures in rows.items():
        table[row] = {column: [getattr(each, column) for each in figures] for column in COLUMNS}
        cells = " ".join(f"{_with_spread(values):>15}" for values in table[row].values())
        paper = TABLE_2.get(row)
        print(f"{NAMES[row]:26} {cells}   " + (", ".join(f"{value:.2f}" for value in paper) if paper else "-"))
    (args.out / "table.json").write_text(
        json.dumps({"arguments": vars(args) | {"sets": None, "out": None}, "table": table}, indent=1)
    )


def _with_spread(values: list[float]) -> str:
    return f"{mean(values):.3f} +- {stdev(values):.3f}" if len(values) > 1 else f"{mean(values):.3f}"


if __name__ == "__main__":
    main()
