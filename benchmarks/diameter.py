"""Measure how well the particle diameter is estimated: true, estimated, error, for simulated molecules and real sets.

    python benchmarks/diameter.py --sets FOLDER

Every molecule has random streams that no training uses; its kind, diameter (100 to 400 Angstrom), pixel size (0.6 to 6 Angstrom),
contrast and density are random, and so is the contamination. FOLDER holds sets with set.json (diameter and angpix) and
Micrographs/*.mrc. Where the estimate is refused, the line says so; the last median counts a refusal as a miss.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.micrograph import Micrograph, read_micrograph
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.picking.auto_diameter import MOST_LOOKED_AT, preferred
from relion_ganpick.picking.diameter import estimate_diameter
from relion_ganpick.synthesis.molecules import KINDS, random_molecule
from relion_ganpick.synthesis.scene import SceneSettings, make_scene

HELD_OUT = 31415
DIAMETERS, PIXEL_SIZES, DIAMETERS_PX = (100.0, 400.0), (0.6, 6.0), (16.0, 130.0)
LARGEST_SIDE, FEWEST_ACROSS, MOST_ACROSS = 1600, 12.0, 30.0


@dataclass(frozen=True)
class Case:
    """Micrographs of one particle, and its diameter in Angstrom."""

    name: str
    diameter: float
    micrographs: Iterator[Micrograph]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--molecules", type=int, default=24, help="simulated molecules (default: 24)")
    parser.add_argument("--sets", type=Path, help="folder with real sets")
    parser.add_argument("--model", default="default")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    print(f"{'molecule':34s} {'true':>5s} {'found':>6s} {'error':>7s}  spread  seconds")
    report(simulated(args.molecules), args)
    if args.sets:
        report(real(args.sets), args)


def report(cases: Iterator[Case], args: argparse.Namespace) -> None:
    """Print a line for each case, and the median of the errors."""
    errors, refused = [], 0
    for case in cases:
        micrographs = list(case.micrographs) if case.name.startswith("simulated") else case.micrographs
        began = time.perf_counter()
        try:
            found = estimate_diameter(micrographs, PickSettings(diameter="auto", model=args.model), args.device)
        except GanpickError as error:
            refused += 1
            print(f"{case.name:34s} {case.diameter:5.0f}   {str(error)[:90]}", flush=True)
            continue
        errors.append(found.angstrom / case.diameter - 1)
        seconds = time.perf_counter() - began
        print(
            f"{case.name:34s} {case.diameter:5.0f} {found.angstrom:6.0f} {100 * errors[-1]:+6.1f} %  {100 * found.spread:4.1f} % "
            f"{seconds:7.1f}",
            flush=True,
        )
    if not errors:
        print(f"none estimated, {refused} refused\n")
        return
    size = np.sort(np.abs(errors))
    with_refused = np.append(size, np.full(refused, np.inf))
    print(
        f"{len(errors)} estimated, {refused} refused: median error {100 * np.median(size):.1f} % "
        f"({100 * np.median(with_refused):.1f} % with refusals as misses), largest {100 * size[-1]:.1f} %\n"
    )


def simulated(n_molecules: int) -> Iterator[Case]:
    """Simulate the micrographs of each molecule; kinds take turns."""
    for number in range(n_molecules):
        rng = np.random.default_rng((HELD_OUT, number))
        kind = list(KINDS)[number % len(KINDS)]
        diameter_px = 0.0
        while not DIAMETERS_PX[0] <= diameter_px <= DIAMETERS_PX[1]:
            diameter, pixel_size = _log_uniform(DIAMETERS, rng), _log_uniform(PIXEL_SIZES, rng)
            diameter_px = diameter / pixel_size
        contrast = _log_uniform(SceneSettings().contrast, rng)
        name = f"simulated {kind}, {pixel_size:.2f} A, {contrast:.1f} sigma"
        yield Case(name, diameter, _scenes(kind, diameter, diameter_px, contrast, rng))


def real(folder: Path) -> Iterator[Case]:
    """Find the real sets that hold particles; the diameter of a set serves nothing but the comparison."""
    for path in sorted(folder.glob("*/set.json")):
        facts = json.loads(path.read_text())
        files = sorted((path.parent / "Micrographs").glob("*.mrc"))
        chosen = [files[k] for k in preferred(len(files))[:MOST_LOOKED_AT]]
        yield Case(facts["name"], facts["diameter"], (read_micrograph(file, facts["angpix"]) for file in chosen))


def _scenes(kind: str, diameter: float, diameter_px: float, contrast: float, rng: np.random.Generator) -> Iterator[Micrograph]:
    """As many micrographs as a run looks at; the contrast is that at the working scale, where pixels are averaged."""
    molecule = random_molecule(rng, kind=kind)
    side = int(min(rng.uniform(FEWEST_ACROSS, MOST_ACROSS) * diameter_px, LARGEST_SIDE))
    for number in range(MOST_LOOKED_AT):
        here = contrast * float(np.exp(rng.normal(0, 0.15))) * PARTICLE_PX / diameter_px
        settings = replace(SceneSettings(), diameter=(diameter, diameter), contrast=(here, here), strong=0, faint=0, empty=0)
        scene = make_scene((side, side), diameter_px, rng, settings, molecule)
        yield Micrograph(scene.pixels, scene.pixel_size, f"{kind} {number}")


def _log_uniform(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]))))


if __name__ == "__main__":
    main()
