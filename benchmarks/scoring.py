"""Lines of the benchmarks' tables: figures of one picker on one set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from relion_ganpick.core.evaluate import average_precision, best_threshold, evaluate, match
from relion_ganpick.core.picks import Picks

Points = NDArray[np.float64]
Item = tuple[Picks, Points, float]

COLUMNS = dict.fromkeys(("picks", "/mic", "truth", "exp", "P", "R", "F1", "d/2", "best", "AP", "edge", "dup"), 6)
NEED_TRUTH = ("P", "R", "F1", "d/2", "best", "AP", "dup")
COUNTS = ("picks", "truth", "exp")
HEADER = f"{'set':16s} {'picker':9s} " + " ".join(f"{name:>{width}s}" for name, width in COLUMNS.items())


@dataclass(frozen=True)
class Row:
    """One picker on one set.

    Attributes
    ----------
    name, picker
        What the line is called.
    items
        For each micrograph: its picks, its (m, 2) reference centres, and a quarter diameter, all in the same pixels.
    shapes
        (h, w) of each micrograph in these pixels.
    threshold
        Smallest figure of merit that counts; None takes the best one for the set.
    chosen
        For each micrograph, the picks that the picker gives by default, where these are not just those above a threshold.
    probabilities
        Whether its figures of merit are meant as probabilities.
    """

    name: str
    picker: str
    items: Sequence[Item]
    shapes: Sequence[tuple[int, int]]
    threshold: float | None
    chosen: Sequence[Picks] | None = None
    probabilities: bool = True

    def default(self) -> list[Item]:
        """Give the picks by default, each with its reference centres and a quarter diameter."""
        if self.chosen is not None:
            return [(picks, truth, reach) for picks, (_, truth, reach) in zip(self.chosen, self.items, strict=True)]
        cut = best_threshold(self.items)[0] if self.threshold is None else self.threshold
        return [(picks.above(cut), truth, reach) for picks, truth, reach in self.items]


def near_edge(picks: Points, shape: tuple[int, int], reach: float) -> NDArray[np.bool_]:
    """Tell which picks, (n, 2), lie less than ``reach`` pixels from the outline of a micrograph of (h, w) pixels."""
    x, y = picks[:, 0] + 0.5, picks[:, 1] + 0.5
    return np.asarray(np.minimum.reduce([x, y, shape[1] - x, shape[0] - y]) < reach, dtype=bool)


def duplicates(picks: Points, truth: Points, reach: float) -> NDArray[np.bool_]:
    """Tell which picks are a second pick on a particle that has one already.

    As many picks as possible are matched one to one within ``reach``; one that is left over though a reference centre is
    within reach of it is a duplicate, since that centre has been taken by another pick.

    Parameters
    ----------
    picks, truth
        (n, 2) and (m, 2) float64, (x, y) in the unit of ``reach``.

    Returns
    -------
    (n,) bool.
    """
    if not len(picks) or not len(truth):
        return np.zeros(len(picks), bool)
    return np.asarray(~match(picks, truth, reach) & (cKDTree(truth).query(picks)[0] <= reach), dtype=bool)


def figures(row: Row) -> dict[str, float]:
    """Compute the columns of one line; see the text of accuracy.py."""
    default = row.default()
    quarter = evaluate(default, -np.inf)
    kept = [(picks.xy, truth, reach, shape) for (picks, truth, reach), shape in zip(default, row.shapes, strict=True)]
    near = sum(int(near_edge(xy, shape, 2 * reach).sum()) for xy, _, reach, shape in kept)
    double = sum(int(duplicates(xy, truth, 2 * reach).sum()) for xy, truth, reach, _ in kept)
    return {
        "picks": quarter.picks,
        "/mic": quarter.picks / max(len(row.items), 1),
        "truth": quarter.truth,
        "exp": sum(float(picks.score.sum()) for picks, _, _ in default) if row.probabilities else np.nan,
        "P": quarter.precision,
        "R": quarter.recall,
        "F1": quarter.f1,
        "d/2": evaluate([(picks, truth, 2 * reach) for picks, truth, reach in default], -np.inf).f1,
        "best": max(best_threshold(row.items)[1].f1, quarter.f1),
        "AP": average_precision(row.items),
        "edge": near / max(quarter.picks, 1),
        "dup": double / max(quarter.picks, 1),
    }


def away_from_edge(row: Row) -> tuple[float, float, float]:
    """Compute precision, recall and F1 of what lies at least half a diameter from the edge; partners may lie nearer to it."""
    right, found = [], []
    for (picks, truth, reach), shape in zip(row.default(), row.shapes, strict=True):
        xy = picks.xy
        right.append(match(xy, truth, reach)[~near_edge(xy, shape, 2 * reach)])
        found.append(match(truth, xy, reach)[~near_edge(truth, shape, 2 * reach)])
    precision, recall = (float(hit.mean()) if len(hit) else 0.0 for hit in (np.concatenate(right), np.concatenate(found)))
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-12)


def line(name: str, picker: str, values: dict[str, float]) -> str:
    """Format a line; what needs reference centres is left out where there are none."""
    return f"{name:16s} {picker:9s} " + " ".join(f"{_cell(column, values):>{width}s}" for column, width in COLUMNS.items())


def spread(rows: Sequence[dict[str, float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Take mean and standard deviation of every column over several runs on one set (0 for one run); truth is the same in all."""
    columns = {name: [row[name] for row in rows] for name in COLUMNS}
    means = {name: mean(values) for name, values in columns.items()}
    deviations = {name: stdev(values) if len(values) > 1 else 0.0 for name, values in columns.items()}
    return means, deviations | {"truth": means["truth"]}


def _cell(column: str, values: dict[str, float]) -> str:
    if (column in NEED_TRUTH and not values["truth"]) or np.isnan(values[column]):
        return "-"
    if column in COUNTS:
        return f"{values[column]:.0f}"
    return f"{values[column]:.1f}" if column == "/mic" else f"{values[column]:.3f}"
