"""How right is it: one table for real and simulated micrographs, with simpler pickers beside it in the same run.

    python benchmarks/accuracy.py                            simulated molecules that no training has seen
    python benchmarks/accuracy.py --sets FOLDER              and real sets, FOLDER/<set>/{set.json, micrographs.star, truth/*.csv}
    python benchmarks/accuracy.py --sets FOLDER --log        and RELION's Laplacian-of-Gaussian picker (relion_autopick --LoG)
    python benchmarks/accuracy.py --plot docs/contrast.png   F1 against contrast on the simulated sets

A pick is right when it is matched one to one with a reference centre within a quarter of the diameter (half of it under d/2);
counts are pooled over a set. "best" is the F1 at the best of 39 thresholds for that set, which nobody knows beforehand; for the
difference of Gaussians, whose score means nothing by itself, it is the only one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.engine import Task, stream
from relion_ganpick.core.evaluate import average_precision, best_threshold, evaluate
from relion_ganpick.core.localize import peaks
from relion_ganpick.core.micrograph import Micrograph, read_micrograph
from relion_ganpick.core.picker import Picker, Prepared
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.core.reference import read_coordinates, without_ignored
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.synthesis.molecules import random_molecule
from relion_ganpick.synthesis.scene import SceneSettings, make_scene

Items = list[tuple[Picks, NDArray[np.float64], float]]

HELD_OUT = 77_000
N_MOLECULES = 10
CONTRASTS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
SIMULATED_DIAMETER = 180.0


@dataclass(frozen=True)
class Row:
    """One picker on one set."""

    name: str
    picker: str
    items: Items
    threshold: float | None


def main() -> None:
    """Pick, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=Path, default=os.environ.get("GANPICK_BENCHMARK"), help="folder of real sets")
    parser.add_argument("--model", default="default")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--log", action="store_true", help="run relion_autopick --LoG on the real sets")
    parser.add_argument("--plot", type=Path, help="write F1 against contrast as a picture")
    args = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; model {args.model}")
    print("set            picker      picks  truth      P     R    F1    d/2   best     AP")
    if args.sets:
        for root in sorted(path.parent for path in Path(args.sets).glob("*/set.json")):
            for row in real(root, args):
                show(row)
    curve = {}
    for contrast in CONTRASTS:
        rows = simulated(contrast, args)
        for row in rows:
            show(row)
        curve[contrast] = [evaluate(rows[0].items, rows[0].threshold or 0).f1, best_threshold(rows[1].items)[1].f1]
    if args.plot:
        plot(curve, args.plot)


def show(row: Row) -> None:
    """Print a line of the table."""
    cut, best = best_threshold(row.items)
    figures = evaluate(row.items, cut if row.threshold is None else row.threshold)
    half = evaluate(
        [(picks, truth, 2 * reach) for picks, truth, reach in row.items], cut if row.threshold is None else row.threshold
    )
    print(
        f"{row.name:14s} {row.picker:10s} {figures.picks:6d} {figures.truth:6d}  {figures.precision:.3f} {figures.recall:.3f} "
        f"{figures.f1:.3f}  {half.f1:.3f}  {best.f1:.3f}  {average_precision(row.items):.3f}",
        flush=True,
    )


def real(root: Path, args: argparse.Namespace) -> Iterator[Row]:
    """Score the pickers on one real set."""
    facts = json.loads((root / "set.json").read_text())
    truth = read_coordinates([root / "truth"])
    diameter_px = facts["diameter"] / facts["angpix"]
    picker = Picker(PickSettings(diameter=facts["diameter"], model=args.model), args.device)
    paths = sorted((root / "Micrographs").glob("*.mrc"))

    def item(stem: str, picks: Picks) -> tuple[Picks, NDArray[np.float64], float]:
        return without_ignored(picks, truth[stem].ignore, diameter_px / 2), truth[stem].picks.xy, diameter_px / 4

    ours = []
    for result in stream([Task(path.stem, path, facts["angpix"]) for path in paths], picker, os.cpu_count() or 1):
        assert result.picks is not None, result.error
        ours.append(item(result.task.name, result.picks))
    yield Row(root.name, "ganpick", ours, picker.threshold)
    prepared = ((path.stem, picker.prepare(read_micrograph(path, facts["angpix"]))) for path in paths)
    yield Row(root.name, "DoG", [item(stem, difference_of_gaussians(picker, each)) for stem, each in prepared], None)
    if args.log:
        yield Row(root.name, "LoG", [item(stem, picks) for stem, picks in laplacian(root, facts)], 0.0)


def simulated(contrast: float, args: argparse.Namespace) -> list[Row]:
    """Score the pickers on molecules whose random streams no training uses, at one contrast (sigma at the working scale)."""
    settings = replace(
        SceneSettings(), diameter=(SIMULATED_DIAMETER, SIMULATED_DIAMETER), contrast=(contrast, contrast), empty=0.0
    )
    picker = Picker(PickSettings(diameter=SIMULATED_DIAMETER, model=args.model, edge_margin=0.0), args.device)
    ours: Items = []
    floor: Items = []
    for number in range(N_MOLECULES):
        rng = np.random.default_rng((HELD_OUT, number))
        scene = make_scene((640, 640), PARTICLE_PX, rng, settings, random_molecule(rng))
        prepared = picker.prepare(Micrograph(scene.pixels, scene.pixel_size, "simulated"))
        ours.append((picker.locate(prepared, picker.mark(prepared.picture)), scene.centres, PARTICLE_PX / 4))
        floor.append((difference_of_gaussians(picker, prepared), scene.centres, PARTICLE_PX / 4))
    name = f"simulated {contrast:g}"
    return [Row(name, "ganpick", ours, picker.threshold), Row(name, "DoG", floor, None)]


def difference_of_gaussians(picker: Picker, prepared: Prepared) -> Picks:
    """Find dark blobs of the particle's size: the floor that any picker must beat."""
    narrow, wide = (cv2.GaussianBlur(-prepared.picture, (0, 0), share * PARTICLE_PX) for share in (0.22, 0.35))
    response = narrow - wide
    response = np.clip(response / max(float(np.percentile(response, 99.9)), 1e-6), 0, 1).astype(np.float32)
    found = prepared.scale.to_file(peaks(response, PARTICLE_PX, 0.6 * PARTICLE_PX, 0.02))
    return Picks(found.x + prepared.area.left, found.y + prepared.area.top, found.score)


def laplacian(root: Path, facts: dict[str, float]) -> Iterator[tuple[str, Picks]]:
    """Run RELION's own picker with the diameter plus and minus 15 per cent."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["relion_autopick", "--i", "micrographs.star", "--odir", f"{folder}/", "--pickname", "log", "--LoG"]
        command += ["--LoG_diam_min", f"{0.85 * facts['diameter']}", "--LoG_diam_max", f"{1.15 * facts['diameter']}"]
        subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for stem, found in read_coordinates(sorted(Path(folder).rglob("*_log.star"))).items():
            yield stem.removesuffix("_log"), found.picks


def plot(curve: dict[float, list[float]], path: Path) -> None:
    """Draw F1 against contrast."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 3.5), layout="constrained")
    for k, (name, style) in enumerate((("ganpick, default threshold", "o-"), ("difference of Gaussians, best threshold", "s--"))):
        axes.plot(list(curve), [values[k] for values in curve.values()], style, label=name)
    axes.set(
        xlabel="contrast of the particles (sigma of the noise, 16 pixels per diameter)",
        ylabel="F1 at d/4",
        xscale="log",
        ylim=(0, 1),
    )
    axes.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
