"""How right is it: one table for all real sets, beside other programs in the same run, and tables of simulated micrographs.

    python benchmarks/accuracy.py                              simulated molecules that no training has seen; drawn particles
    python benchmarks/accuracy.py --sets FOLDER                and every real set in FOLDER (see benchmarks/sets.py), with Topaz
                                                               and RELION's LoG beside it, and in one job with negatives
    python benchmarks/accuracy.py --sets FOLDER --no_simulated --only bgal apof --json accuracy.json
    python benchmarks/accuracy.py --sets FOLDER --each         and every micrograph of the real sets
    python benchmarks/accuracy.py --sets FOLDER --wrong_diameters    and diameters that are wrong by up to a third
    python benchmarks/accuracy.py --sets FOLDER --adapted      and the model adapted to each real set, without labels
    python benchmarks/accuracy.py --adapted_molecules 5        and the model adapted to simulated sets of five molecules
    python benchmarks/accuracy.py ... --adapted --least_gain -1    and take the adapted model even where it finds itself no better
    python benchmarks/accuracy.py --plot docs/snr.png          F1 against signal-to-noise ratio on the simulated grid

A pick is right when it is matched one to one with a reference centre within a quarter of the diameter; counts are pooled
over a set. What other programs found is kept in a folder (--kept) by the content of the files. The columns:

    picks, /mic, truth   picks by default, the same per micrograph, reference centres
    picker               on real sets, ganpick is our External job as it comes, Topaz its general model at the scale that it
                         advises, LoG RELION's as its window calls it; on simulated ones ganpick is called from Python; DoG is a
                         difference of Gaussians, the floor; "as given" is ganpick without a choice of the working diameter
    exp                  sum of the figures of merit of these picks: so many right ones the picker expects
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
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import adapted
import drawn
from every_set import OURS, Entry, Pickers, Shown, alone, floor, mixed, resampled, shown, table
from measure import machine
from programs import Kept, topaz_executable
from scoring import HEADER, Row, away_from_edge, figures, line
from sets import RealSet, real_sets
from simulated import CONTRASTS, DEFOCI, DOSES, PER_KIND, Point, grid, plot, rows, simulated_picker, sweep

from relion_ganpick.adaptation.lessons import AdaptSettings
from relion_ganpick.core.evaluate import best_threshold, evaluate
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.picking.picker import Picker
from relion_ganpick.synthesis.molecules import KINDS

WRONG = (0.75, 0.87, 1.15, 1.33)
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "relion-ganpick" / "other-programs"


def main() -> None:
    """Pick, score, print."""
    args = arguments()
    print(f"{machine()}; model {args.model}")
    pickers = Pickers(
        Kept(args.kept),
        None if args.alone else topaz_executable(args.topaz),
        not args.alone and shutil.which("relion_autopick") is not None,
        ["--model", args.model, "--device", args.device],
        args.j,
    )
    found: dict[str, Any] = {"machine": machine(), "model": args.model}
    sets = real_sets(args.sets)
    entries = every_set([each for each in sets if not args.only or each.name in args.only], sets, pickers, args)
    if entries:
        print(
            f"\nF1 by default (at the best threshold); picks on each micrograph where there are no particles\n\n{table(entries)}"
        )
        found["sets"] = [asdict(entry) for entry in entries]
    if not args.no_drawn:
        on_drawn = drawn.at_contrasts(pickers.ours)
        print(f"\ndrawn particles, F1 by default (at the best threshold)\n\n{drawn.table(on_drawn)}")
        found["drawn"] = [asdict(each) for each in on_drawn]
    picker = simulated_picker(args.model, args.device)
    if args.adapted_molecules or not args.no_simulated:
        print(f"\n{HEADER}")
    for number in range(0, PER_KIND * args.adapted_molecules, PER_KIND):
        adapted.simulated_set(number, picker, args)
    if not args.no_simulated:
        found["simulated"] = simulated(picker, args.plot)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=Path, default=os.environ.get("GANPICK_BENCHMARK"), help="folder of real sets")
    parser.add_argument("--only", nargs="+", metavar="SET", help="only these real sets")
    parser.add_argument("--model", default="default")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--j", type=int, default=2, help="threads (default: 2)")
    parser.add_argument("--alone", action="store_true", help="without Topaz and RELION's LoG")
    parser.add_argument("--topaz", type=Path, help="Topaz's executable (default: that of `make topaz`)")
    parser.add_argument("--kept", type=Path, default=CACHE, help=f"folder for what other programs found (default: {CACHE})")
    parser.add_argument("--no_mixed", action="store_true", help="without the mixed jobs")
    parser.add_argument("--mixed_others", action="store_true", help="mixed jobs with Topaz and RELION's LoG too, which is slow")
    parser.add_argument("--no_drawn", action="store_true", help="without drawn particles")
    parser.add_argument("--no_simulated", action="store_true", help="without simulated molecules")
    parser.add_argument("--each", action="store_true", help="real sets also micrograph by micrograph, and without their edges")
    parser.add_argument("--wrong_diameters", action="store_true", help="real sets also with diameters wrong by up to a third")
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
    parser.add_argument("--plot", type=Path, help="write F1 against signal-to-noise ratio as a picture")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    return parser.parse_args()


def every_set(chosen: Sequence[RealSet], sets: Sequence[RealSet], pickers: Pickers, args: argparse.Namespace) -> list[Entry]:
    """Score the pickers on the real sets, alone and mixed with all micrographs that hold nothing."""
    if chosen:
        print(HEADER)
    empty = [real for real in sets if not any(len(each.picks) for each in real.truth.values())]
    entries = []
    for real in chosen:
        entry = Entry(real.name, len(real.paths))
        for name, find in pickers.all.items():
            entry.figures[name] = show(alone(real, name, find), args.each and name == OURS)
        if real not in empty:
            entry.figures["DoG"] = show(floor(real))
            if not args.no_mixed:
                with tempfile.TemporaryDirectory() as folder:
                    negatives = resampled(empty, real.pixel_size, Path(folder))
                    ways = pickers.all if args.mixed_others else {OURS: pickers.ours}
                    entry.mixed = {name: mixed(real, negatives, name, find) for name, find in ways.items()}
        more(real, pickers, args)
        entries.append(entry)
    return entries


def more(real: RealSet, pickers: Pickers, args: argparse.Namespace) -> None:
    """Score what else was asked for on a real set."""

    def told(given: Shown, fixed: bool) -> Any:
        options = ["--working_diameter", f"{given.diameter:g}"] if fixed else []
        return lambda _: pickers.ours(given, options)

    for factor in (1.0, *WRONG) if args.wrong_diameters else ():
        given = replace(shown(real), diameter=factor * real.diameter)
        if factor != 1:
            show(alone(real, f"d x {factor:g}", told(given, fixed=False)))
        show(alone(real, "as given", told(given, fixed=True)))
    if args.adapted:
        picker = real.tuned(Picker(PickSettings(diameter=real.diameter, model=args.model), args.device))
        adapted.real_set(real, picker, args)


def show(row: Row, each: bool = False) -> dict[str, float]:
    """Print a line of the table, and one for each micrograph if asked; returns the figures."""
    values = figures(row)
    print(line(row.name, row.picker, values), flush=True)
    if each:
        assert row.chosen is not None
        for number, (item, shape, picks) in enumerate(zip(row.items, row.shapes, row.chosen, strict=True), 1):
            one = replace(row, name=f"{row.name} {number}", items=[item], shapes=[shape], chosen=[picks])
            print(line(one.name, one.picker, figures(one)), flush=True)
        if values["truth"]:
            inner = away_from_edge(row)
            print(
                f"{row.name:16s} half a diameter from the edges: P {inner[0]:.3f} R {inner[1]:.3f} F1 {inner[2]:.3f}", flush=True
            )
    return values


def simulated(picker: Picker, picture: Path | None) -> list[dict[str, Any]]:
    """Score the pickers over defocus and dose, over contrast, and by kind of molecule."""
    points = grid(picker)
    shown_rows = []
    for defocus in DEFOCI:
        for dose in DOSES:
            here = [point for point in points if (point.defocus, point.dose) == (defocus, dose)]
            shown_rows += rows(f"{defocus:g}um {dose:g}e/A2", picker, [point.found for point in here])
    found = [{"set": row.name, "picker": row.picker, **show(row)} for row in shown_rows]
    if picture:
        plot(points, picker.threshold, best_threshold([point.found.floor for point in points])[0], picture)
    for contrast in CONTRASTS:
        found += [{"set": row.name, "picker": row.picker, **show(row)} for row in sweep(picker, contrast)]
    by_kind(points, picker.threshold)
    return found


def by_kind(points: Sequence[Point], threshold: float) -> None:
    """Print the grid's figures for each kind of molecule."""
    cut, _ = best_threshold([point.found.floor for point in points])
    print("\nmolecules, whole grid      P      R     F1    DoG  median SNR")
    for kind in dict.fromkeys(point.kind for point in points):
        here = [point for point in points if point.kind == kind]
        ours = evaluate([point.found.ganpick for point in here], threshold)
        low = evaluate([point.found.floor for point in here], cut)
        ratio = sorted(point.snr for point in here)[len(here) // 2]
        print(f"{kind:22s} {ours.precision:6.3f} {ours.recall:6.3f} {ours.f1:6.3f} {low.f1:6.3f}  {ratio:10.2f}", flush=True)


if __name__ == "__main__":
    main()
