"""How right is it: one table for real and simulated micrographs, with simpler pickers beside it in the same run.

    python benchmarks/accuracy.py                              simulated molecules that no training has seen
    python benchmarks/accuracy.py --sets FOLDER                and real sets in FOLDER (see benchmarks/sets.py)
    python benchmarks/accuracy.py --sets FOLDER --log          and RELION's Laplacian-of-Gaussian picker (relion_autopick --LoG)
    python benchmarks/accuracy.py --sets FOLDER --each         and every micrograph of the real sets
    python benchmarks/accuracy.py --sets FOLDER --adapted      and the model adapted to each real set, without labels
    python benchmarks/accuracy.py --adapted_molecules 5        and the model adapted to simulated sets of five molecules
    python benchmarks/accuracy.py ... --adapted --least_gain -1    and take the adapted model even where it finds itself no better
    python benchmarks/accuracy.py --plot docs/snr.png          F1 against signal-to-noise ratio on the simulated grid

A pick is right when it is matched one to one with a reference centre within a quarter of the diameter; counts are pooled
over a set. The columns:

    picks, /mic, truth   picks at the default threshold, the same per micrograph, reference centres
    picker               ganpick is the default; "as given" is it without a choice of the working diameter; the others are the
                         floors: a difference of Gaussians, and RELION's LoG
    P, R, F1, d/2        precision, recall and F1; F1 when half a diameter is right as well
    best                 F1 at the best of 39 thresholds for that set, which nobody knows beforehand; for the difference of
                         Gaussians, whose score means nothing by itself, all columns are at this threshold
    AP                   average precision
    edge                 share of picks within half a diameter of the micrograph's edge
    dup                  share of picks that are a second one on the same particle: within half a diameter of a reference
                         centre that has been matched, within half a diameter, with another pick
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pickers import difference_of_gaussians, laplacian
from scoring import HEADER, Item, Row, away_from_edge, figures, line, spread
from sets import RealSet, real_sets
from simulated import (
    ADAPTED_CONTRAST,
    ADAPTED_SCENES,
    CONTRASTS,
    DEFOCI,
    DOSES,
    PER_KIND,
    Image,
    Point,
    grid,
    item_of,
    micrograph_of,
    micrographs_of,
    molecules,
    plot,
    rows,
    simulated_picker,
    sweep,
)

from relion_ganpick.adaptation.fine_tune import adapt
from relion_ganpick.adaptation.lessons import AdaptSettings
from relion_ganpick.adaptation.options import MOST_LEARNED_FROM
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.evaluate import best_threshold, evaluate
from relion_ganpick.core.micrograph import read_micrograph
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.working_diameter import tuned
from relion_ganpick.synthesis.molecules import KINDS

WRONG = (0.75, 0.87, 1.15, 1.33)


def main() -> None:
    """Pick, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=Path, default=os.environ.get("GANPICK_BENCHMARK"), help="folder of real sets")
    parser.add_argument("--model", default="default")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--log", action="store_true", help="run relion_autopick --LoG on the real sets")
    parser.add_argument("--each", action="store_true", help="real sets also micrograph by micrograph, and without their edges")
    parser.add_argument("--adapted", action="store_true", help="adapt the model to each real set and score it there")
    parser.add_argument(
        "--adapted_molecules",
        type=int,
        default=0,
        choices=range(len(KINDS) + 1),
        metavar="N",
        help="adapt to simulated micrographs of N held-out molecules too, each of another kind",
    )
    parser.add_argument("--seeds", type=int, default=1, help="adaptations of each set, with seeds 1, 2, ... (default: 1)")
    parser.add_argument(
        "--least_gain",
        type=float,
        default=AdaptSettings.least_gain,
        help=f"gain in agreement from which an adapted model is taken (default: {AdaptSettings.least_gain:g}, as a user's)",
    )
    parser.add_argument(
        "--wrong_diameters", action="store_true", help="real sets also with diameters that are wrong by up to a third"
    )
    parser.add_argument("--no_simulated", action="store_true", help="real sets only")
    parser.add_argument("--plot", type=Path, help="write F1 against signal-to-noise ratio as a picture")
    args = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; model {args.model}")
    print(HEADER)
    for real_set in real_sets(args.sets):
        real(real_set, args)
    picker = simulated_picker(args.model, args.device)
    for number in range(0, PER_KIND * args.adapted_molecules, PER_KIND):
        simulated_set(number, picker, args)
    if not args.no_simulated:
        points = on_grid(picker, args.plot)
        for contrast in CONTRASTS:
            show(sweep(picker, contrast))
        by_kind(points, picker.threshold)


def show(found: Sequence[Row]) -> None:
    """Print lines of the table."""
    for row in found:
        print(line(row.name, row.picker, figures(row)), flush=True)


def real(real_set: RealSet, args: argparse.Namespace) -> None:
    """Score the pickers on one real set."""
    given = Picker(PickSettings(diameter=real_set.diameter, model=args.model), args.device)
    picker = real_set.tuned(given)
    row = scored(real_set, "ganpick", picker)
    show([row, scored(real_set, "as given", given)])
    if args.each:
        each(real_set, row, picker.threshold)
    floor = [
        real_set.item(path.stem, difference_of_gaussians(given.prepare(read_micrograph(path, real_set.pixel_size))))
        for path in real_set.paths
    ]
    show([_row(real_set, "DoG", floor, None)])
    if args.log:
        show([_row(real_set, "LoG", [real_set.item(*found) for found in laplacian(real_set)], 0.0)])
    for factor in WRONG if args.wrong_diameters else ():
        wrong = Picker(PickSettings(diameter=factor * real_set.diameter), args.device, picker.model)
        show([scored(real_set, f"d x {factor:g}", real_set.tuned(wrong)), scored(real_set, "as given", wrong)])
    if args.adapted:
        pictures = real_set.pictures(picker, MOST_LEARNED_FROM)
        adapted(pictures, lambda used: scored(real_set, "adapted", used), picker, args)


def simulated_set(number: int, picker: Picker, args: argparse.Namespace) -> None:
    """Score the model on simulated micrographs of one molecule, before and after it was adapted to them."""
    scenes = micrographs_of(number, ADAPTED_CONTRAST, ADAPTED_SCENES)
    micrographs = [micrograph_of(scene) for scene in scenes]

    def found(name: str, used: Picker) -> Row:
        items = [item_of(used, scene) for scene in scenes]
        return Row(f"{molecules()[number][0]} {number}", name, items, [scene.pixels.shape for scene in scenes], used.threshold)

    chosen = tuned(picker, micrographs)
    show([found("ganpick", chosen), found("as given", picker)])
    adapted([chosen.prepare(each).picture for each in micrographs], lambda used: found("adapted", used), chosen, args)


def each(real_set: RealSet, row: Row, threshold: float) -> None:
    """Print a line for each micrograph, and what is right away from their edges."""
    for path, item, shape in zip(real_set.paths, row.items, row.shapes, strict=True):
        print(line(path.stem[-16:], "ganpick", figures(Row(path.stem, "ganpick", [item], [shape], threshold))), flush=True)
    if any(len(truth) for _, truth, _ in row.items):
        values = away_from_edge(row, threshold)
        print(
            f"{row.name:16s} half a diameter from the edges: P {values[0]:.3f} R {values[1]:.3f} F1 {values[2]:.3f}", flush=True
        )


def scored(real_set: RealSet, name: str, picker: Picker) -> Row:
    """Pick a real set with a network."""
    return _row(real_set, name, [real_set.item(*found) for found in real_set.picked(picker)], picker.threshold)


def adapted(pictures: Sequence[Image], found: Callable[[Picker], Row], picker: Picker, args: argparse.Namespace) -> None:
    """Adapt the model to a set's own micrographs, which needs no labels, and score what comes out, for each seed.

    Where adaptation finds its result no better by its own measure, or cannot begin, a user keeps the model as it was; so the
    line then is that model's.
    """
    lines = []
    for seed in range(1, args.seeds + 1):
        began = time.monotonic()
        try:
            settings = replace(AdaptSettings(), seed=seed, least_gain=args.least_gain)
            model = adapt(picker.model, pictures, settings, picker.device, lambda _: None)
            note = ", kept as it was: no better by its own measure"
            if model:
                note = ", agreement {agreement_before:.4f} before, {agreement:.4f} after".format(**model.card.metrics)
        except GanpickError as error:
            model, note = None, f", kept as it was: {str(error).split(':')[0]}"
        seconds = time.monotonic() - began
        row = found(Picker(replace(picker.settings, threshold=None), args.device, model) if model else picker)
        values = figures(row)
        lines.append(values)
        print(line(row.name, "adapted", values) + f"  seed {seed}, {seconds:.0f} s{note}", flush=True)
    if len(lines) > 1:
        for name, values in zip(("mean", "sd"), spread(lines), strict=True):
            print(line(row.name, f"ad. {name}", values), flush=True)


def on_grid(picker: Picker, picture: Path | None) -> list[Point]:
    """Score the pickers over defocus and dose, and draw it."""
    points = grid(picker)
    for defocus in DEFOCI:
        for dose in DOSES:
            here = [point for point in points if (point.defocus, point.dose) == (defocus, dose)]
            name = f"{defocus:g}um {dose:g}e/A2"
            show(rows(name, picker, [point.found for point in here]))
    if picture:
        plot(points, picker.threshold, best_threshold([point.found.floor for point in points])[0], picture)
    return points


def by_kind(points: Sequence[Point], threshold: float) -> None:
    """Print the grid's figures for each kind of molecule."""
    cut, _ = best_threshold([point.found.floor for point in points])
    print("\nmolecules, whole grid      P      R     F1    DoG  median SNR")
    for kind in dict.fromkeys(point.kind for point in points):
        here = [point for point in points if point.kind == kind]
        ours = evaluate([point.found.ganpick for point in here], threshold)
        floor = evaluate([point.found.floor for point in here], cut)
        ratio = sorted(point.snr for point in here)[len(here) // 2]
        print(f"{kind:22s} {ours.precision:6.3f} {ours.recall:6.3f} {ours.f1:6.3f} {floor.f1:6.3f}  {ratio:10.2f}", flush=True)


def _row(real_set: RealSet, name: str, items: Sequence[Item], threshold: float | None) -> Row:
    return Row(real_set.name, name, items, [real_set.shape] * len(items), threshold)


if __name__ == "__main__":
    main()
