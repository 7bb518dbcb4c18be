"""``ganpick evaluate``: picks against reference coordinates."""

from __future__ import annotations

import argparse
import json
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relion_ganpick.commands.leaving_out import leaving_out
from relion_ganpick.core.errors import GanpickError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from relion_ganpick.core.evaluate import Figures
    from relion_ganpick.core.picks import Picks
    from relion_ganpick.formats.coordinates import Coordinates
    from relion_ganpick.formats.left_out import LeftOut

    Items = dict[str, tuple[Picks, NDArray[np.float64], float]]

IGNORE_DIAMETERS = 0.5

log = logging.getLogger(__name__)


def add_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its arguments."""
    parser = subparsers.add_parser(
        "evaluate",
        help="compare picks with reference coordinates",
        description="Compare picks with reference coordinates: precision, recall, F1 and average precision over all micrographs. "
        "Coordinates are read from the files of any program that `ganpick convert` knows. Picks and reference belong "
        "together if the micrograph's name is the same.",
        allow_abbrev=False,
    )
    parser.add_argument("--picks", type=Path, nargs="+", required=True, metavar="PATH", help="folder or files with picks")
    parser.add_argument("--truth", type=Path, nargs="+", required=True, metavar="PATH", help="folder or files with the reference")
    parser.add_argument("--diameter", type=float, required=True, help="longest extent of the particle in Angstrom")
    parser.add_argument("--angpix", type=float, required=True, help="Angstrom per pixel of the coordinates")
    parser.add_argument(
        "--tolerance", type=float, default=0.25, help="how far off a right pick may be, in diameters (default: 0.25)"
    )
    parser.add_argument("--threshold", type=float, help="count picks with at least this figure of merit (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to this file")
    parser.set_defaults(run=run)


def run(namespace: argparse.Namespace) -> int:
    """Evaluate, print a table, and write it if asked to."""
    for name in ("diameter", "angpix", "tolerance"):
        value = getattr(namespace, name)
        if not 0 < value < math.inf:
            raise GanpickError(f"--{name} {value:g}: give a positive number")
    with leaving_out() as left_out:
        _show(_report(_items(namespace, left_out), -math.inf if namespace.threshold is None else namespace.threshold), namespace)
    return 0


def _show(report: dict[str, Any], namespace: argparse.Namespace) -> None:
    print(f"{'micrograph':<32} {'truth':>6} {'picks':>6} {'P':>6} {'R':>6} {'F1':>6}")
    for name, row in report["micrographs"].items():
        print(f"{name:<32} {_columns(row)}")
    pooled = report["pooled"]
    print(f"{'pooled':<32} {_columns(pooled)}")
    best = report["best"]
    print(
        f"average precision {pooled['average_precision']:.3f}, "
        f"best F1 {best['f1']:.3f} (P {best['precision']:.3f}, R {best['recall']:.3f}) at threshold {best['threshold']:.3f}"
    )
    if namespace.json is not None:
        how = {name: getattr(namespace, name) for name in ("diameter", "angpix", "tolerance", "threshold")}
        namespace.json.write_text(json.dumps(how | report, indent=1) + "\n")


def _items(namespace: argparse.Namespace, left_out: LeftOut) -> Items:
    """Read picks, reference centres and reach in pixels by micrograph."""
    from relion_ganpick.core.picks import Picks
    from relion_ganpick.formats.any_coordinates import read_any
    from relion_ganpick.formats.coordinates import without_ignored

    picked = read_any(namespace.picks, left_out)
    n_lost = len(left_out.files)
    truth = read_any(namespace.truth, left_out)
    picked, truth = _comparable(picked, truth, left_out.files[:n_lost], left_out.files[n_lost:])
    left_out.check_some(truth)
    lost = [name for name in picked if name not in truth]
    if lost:
        raise GanpickError(
            f"{picked[lost[0]].source}: no reference for micrograph {lost[0]}"
            + (f" (nor for {len(lost) - 1} others)" if len(lost) > 1 else "")
            + "; add one to --truth (without rows if it holds no particle), or leave out its picks"
        )
    diameter_px = namespace.diameter / namespace.angpix
    items = {}
    for name in sorted(truth):
        picks = picked[name].picks if name in picked else Picks.none()
        picks = without_ignored(picks, truth[name].ignore, IGNORE_DIAMETERS * diameter_px)
        items[name] = (picks, truth[name].picks.xy, namespace.tolerance * diameter_px)
    return items


def _comparable(
    picked: dict[str, Coordinates], truth: dict[str, Coordinates], lost_picks: list[Path], lost_truth: list[Path]
) -> tuple[dict[str, Coordinates], dict[str, Coordinates]]:
    """Leave out micrographs whose picks or reference cannot be read: they would count as micrographs without any.

    A file that has no micrograph's name may have been about any that is missing.
    """
    from relion_ganpick.formats.names import micrograph_stem

    stems = {micrograph_stem(path) for path in lost_picks}
    unread = stems if stems <= set(truth) | set(picked) else stems | set(truth)
    gone = {name for name in truth if name not in picked and name in unread}
    gone |= {name for name in picked if name not in truth and lost_truth}
    if gone:
        log.warning(f"{len(gone)} micrograph{'' if len(gone) == 1 else 's'} not compared, as picks or reference cannot be read")
    kept = {name: each for name, each in truth.items() if name not in gone}
    return {name: each for name, each in picked.items() if name not in gone}, kept


def _report(items: Items, threshold: float) -> dict[str, Any]:
    from relion_ganpick.core.evaluate import average_precision, best_threshold, evaluate

    every = list(items.values())
    cut, best = best_threshold(every)
    return {
        "pooled": _row(evaluate(every, threshold)) | {"average_precision": average_precision(every)},
        "best": _row(best) | {"threshold": cut},
        "micrographs": {name: _row(evaluate([item], threshold)) for name, item in items.items()},
    }


def _row(figures: Figures) -> dict[str, float]:
    return {
        "hits": figures.hits,
        "picks": figures.picks,
        "truth": figures.truth,
        "precision": figures.precision,
        "recall": figures.recall,
        "f1": figures.f1,
    }


def _columns(row: dict[str, float]) -> str:
    return f"{row['truth']:>6} {row['picks']:>6} {row['precision']:>6.3f} {row['recall']:>6.3f} {row['f1']:>6.3f}"
