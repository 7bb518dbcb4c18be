"""Where the picker goes wrong: failures counted by cause, on simulated scenes with one difficulty at a time and on real sets.

    python benchmarks/failures.py                                                   simulated scenes only
    python benchmarks/failures.py --sets FOLDER --picture docs/failures.png         and real sets; examples from simulations

On simulated scenes everything is known. Each row has one difficulty; "clean" has none: the same held-out molecules, random
contrast of 0.7 to 3 sigma, no touching particles. On real sets only distances and reference centres tell, and the reference is
a person's. `failure_causes.py` defines the causes.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from failure_causes import FALSE, MISSED, Field, Tally, depths, why_false, why_missed
from numpy.typing import NDArray
from sets import RealSet, real_sets
from simulated import HELD_OUT, UNCROWDED, molecules, simulated_picker, with_signal

from relion_ganpick.core.evaluate import Figures
from relion_ganpick.core.micrograph import Micrograph
from relion_ganpick.core.preprocess import PARTICLE_PX, normalise
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.picking.picker import Picker
from relion_ganpick.synthesis.scene import SceneSettings, make_scene

SIDE = 384
BASE = replace(UNCROWDED, contrast=(0.7, 3.0), phase_plate=0.05)
KINDS_OF_DIRT = ("ice", "gold", "carbon", "ridges", "debris", "fragments", "heaps", "mottle")


def _always(kind: str) -> SceneSettings:
    changes: dict[str, Any] = {"clean": 0.0, kind: 1.0}
    return replace(BASE, **changes)


DIFFICULTIES: dict[str, SceneSettings] = {
    "clean": BASE,
    "weak": replace(BASE, contrast=(0.4, 0.7)),
    "crowded": replace(BASE, area_density=(0.5, 0.75), spacing=(0.6, 0.8)),
    **{kind: _always(kind) for kind in KINDS_OF_DIRT},
    "denoised": replace(BASE, denoised=1.0, eight_bit=1.0),
    "empty": replace(BASE, empty=1.0),
    "empty, ice": replace(BASE, empty=1.0, clean=0.0, ice=1.0),
    "empty, carbon": replace(BASE, empty=1.0, clean=0.0, carbon=1.0),
    "empty, mottle": replace(BASE, empty=1.0, clean=0.0, mottle=1.0),
}
CROP_DIAMETERS = 2.5
AROUND = (0.5, 0.9)
SHOWN = (
    ("clean", "weak"),
    ("clean", "off centre"),
    ("clean", "edge"),
    ("crowded", "neighbour"),
    ("crowded", "off centre"),
    ("ice", "dirt"),
    ("ridges", "dirt"),
    ("carbon", "dirt"),
    ("carbon", "other"),
    ("heaps", "dirt"),
    ("fragments", "other"),
    ("mottle", "other"),
)


@dataclass(frozen=True)
class Example:
    """A failure to be shown: its scene as the network sees it, and where."""

    picture: NDArray[np.float32]
    seen: Field
    place: NDArray[np.float64]
    missed: bool


def main() -> None:
    """Count, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=Path, default=os.environ.get("GANPICK_BENCHMARK"), help="folder of real sets")
    parser.add_argument("--model", default="default")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=2, help="scenes of each of 18 molecules in every row (default: 2)")
    parser.add_argument("--picture", type=Path, help="write examples, from simulated scenes, as a picture")
    args = parser.parse_args()
    print(f"{'':16s} {'':>27s} | missed, % of particles".ljust(47 + 11 * len(MISSED)) + "| false, % of picks")
    columns = [" ".join(f"{name:>10s}" for name in part) for part in (MISSED, FALSE)]
    print(f"{'':16s} {'/mic':>6s} {'P':>6s} {'R':>6s} {'F1':>6s} | {columns[0]} | {columns[1]}")
    picker = simulated_picker(args.model, args.device)
    examples: dict[tuple[str, str], Example] = {}
    for name, settings in DIFFICULTIES.items():
        tally = Tally()
        for picture, seen in scenes(picker, settings, args.rounds):
            tally.add(seen)
            collect(name, picture, seen, examples)
        show(name, tally, True)
    for each in real_sets(args.sets):
        tally = Tally()
        for seen in real_fields(each, each.tuned(Picker(PickSettings(diameter=each.diameter, model=args.model), args.device))):
            tally.add(seen)
        show(each.name, tally, False)
    if args.picture:
        draw(examples, args.picture)


def scenes(picker: Picker, settings: SceneSettings, rounds: int) -> Iterator[tuple[NDArray[np.float32], Field]]:
    """Pick scenes of the held-out molecules; yields what the network saw and the outcome."""
    for number, (_, molecule) in enumerate(molecules()):
        for turn in range(rounds):
            seed = (HELD_OUT, 5, number, turn)
            contrast = float(np.exp(np.random.default_rng((*seed, 0)).uniform(*np.log(settings.contrast))))
            fixed = replace(settings, contrast=(contrast, contrast))
            # What is denoised or of eight bits is not linear in the contrast: its signal is that of its untreated twin.
            scene, signal = with_signal((SIDE, SIDE), seed, replace(fixed, denoised=0.0, eight_bit=0.0), molecule)
            if settings.denoised or settings.eight_bit:
                scene = make_scene((SIDE, SIDE), PARTICLE_PX, np.random.default_rng(seed), fixed, molecule)
            prepared = picker.prepare(Micrograph(scene.pixels, scene.pixel_size, "simulated"))
            picks = picker.locate(prepared, picker.mark(prepared.picture)).above(picker.threshold)
            depth, around = depths(scene, signal), depths(scene, signal, AROUND) / contrast
            yield (
                normalise(scene.pixels),
                Field(picks.xy, scene.centres, PARTICLE_PX, (SIDE, SIDE), scene.contaminated, depth, around),
            )


def real_fields(real_set: RealSet, picker: Picker) -> Iterator[Field]:
    """Pick a real set at the default threshold."""
    for stem, found in real_set.picked(picker):
        picks, truth, reach = real_set.item(stem, found.above(picker.threshold))
        yield Field(picks.xy, truth, 4 * reach, real_set.shape)


def show(name: str, tally: Tally, simulated: bool) -> None:
    """Print a row; causes that cannot be told on real sets are left out."""
    hits = tally.truth - sum(tally.missed.values())
    figures = Figures(hits, tally.picks, tally.truth)
    values = [f"{value:6.3f}" if tally.truth else f"{'-':>6s}" for value in (figures.precision, figures.recall, figures.f1)]
    cells = []
    for counts, names, total in ((tally.missed, MISSED, tally.truth), (tally.false, FALSE, tally.picks)):
        known = [simulated or cause not in ("dirt", "drowned", "weak") for cause in names]
        shares = [
            f"{100 * counts[cause] / total:10.1f}" if total and told else f"{'-':>10s}"
            for cause, told in zip(names, known, strict=True)
        ]
        cells.append(" ".join(shares))
    print(f"{name:16s} {tally.picks / max(tally.micrographs, 1):6.1f} {' '.join(values)} | {cells[0]} | {cells[1]}", flush=True)


def collect(name: str, picture: NDArray[np.float32], seen: Field, examples: dict[tuple[str, str], Example]) -> None:
    """Keep the first example of every cause that is to be shown and lies well inside its scene (but for the edge)."""
    for missed, points, causes in ((True, seen.truth, why_missed(seen)), (False, seen.picks, why_false(seen))):
        for place, cause in zip(points, causes, strict=True):
            key = (name, cause)
            inside = cause == "edge" or bool((np.abs(place - SIDE / 2) < SIDE / 2 - CROP_DIAMETERS * PARTICLE_PX).all())
            # What is dirty or unexplained is more telling where something was picked that is not a particle.
            wanted = missed if cause in ("weak", "edge", "neighbour", "off centre") else not missed
            if key in SHOWN and key not in examples and inside and wanted:
                examples[key] = Example(picture, seen, place, missed)


def draw(examples: dict[tuple[str, str], Example], path: Path) -> None:
    """Draw five diameters around every example: right picks green, wrong ones red, missed particles yellow."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import Circle

    figure, axes = plt.subplots(3, 4, figsize=(8.4, 7), layout="constrained")
    for axis in axes.ravel():
        axis.axis("off")
    # zip stops at the last example: what was not found leaves its room at the end, not a hole between others.
    for axis, key in zip(axes.ravel(), [key for key in SHOWN if key in examples], strict=False):
        axis.set_title(f"{key[0]}: {key[1]}", fontsize=9)
        example = examples[key]
        soft = cv2.GaussianBlur(example.picture, (0, 0), 0.7)
        axis.imshow(soft, cmap="gray", vmin=-3.5, vmax=2.5, interpolation="bilinear")
        lost, wrong = why_missed(example.seen), why_false(example.seen)
        circles = [(place, "gold") for place, cause in zip(example.seen.truth, lost, strict=True) if cause]
        circles += [(place, "red" if cause else "lime") for place, cause in zip(example.seen.picks, wrong, strict=True)]
        for place, colour in circles:
            axis.add_patch(Circle((place[0], place[1]), PARTICLE_PX / 2, fill=False, color=colour, lw=1.2))
        reach = CROP_DIAMETERS * PARTICLE_PX
        x, y = np.clip(example.place, reach, SIDE - reach)
        axis.set(xlim=(x - reach, x + reach), ylim=(y + reach, y - reach))
    figure.savefig(path, dpi=80)
    plt.close(figure)


if __name__ == "__main__":
    main()
