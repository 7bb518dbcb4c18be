"""Precision, recall, F1 and average precision of picks against reference centres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import cKDTree

from relion_ganpick.core.picks import Picks

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """Counts pooled over micrographs, and what follows from them (equations 7 to 9 of Kong et al., F1 with its 2)."""

    hits: int
    picks: int
    truth: int

    @property
    def precision(self) -> float:
        """Share of picks that are right; 0 without picks."""
        return self.hits / self.picks if self.picks else 0.0

    @property
    def recall(self) -> float:
        """Share of particles that were found; 0 without particles."""
        return self.hits / self.truth if self.truth else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 2 P R / (P + R)."""
        return self.f_beta(1.0)

    def f_beta(self, beta: float) -> float:
        """Weighted harmonic mean (1 + beta^2) P R / (beta^2 P + R) of van Rijsbergen: recall weighs beta times as much."""
        total = beta**2 * self.precision + self.recall
        return (1 + beta**2) * self.precision * self.recall / total if total else 0.0


def match(picks: Points, truth: Points, reach: float) -> NDArray[np.bool_]:
    """Match picks to reference centres one to one, as many as possible, within ``reach``.

    Parameters
    ----------
    picks, truth
        (n, 2) and (m, 2) float64, (x, y) in the same unit as ``reach``.

    Returns
    -------
    (n,) bool, True for matched picks.
    """
    hit = np.zeros(len(picks), bool)
    if not len(picks) or not len(truth):
        return hit
    pairs = cKDTree(picks).sparse_distance_matrix(cKDTree(truth), reach, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs)), (pairs["i"], pairs["j"])), shape=(len(picks), len(truth))).tocsr()
    hit[maximum_bipartite_matching(graph, perm_type="column") >= 0] = True
    return hit


def evaluate(items: Sequence[tuple[Picks, Points, float]], threshold: float = 0.0) -> Figures:
    """Pool the counts of several micrographs.

    Parameters
    ----------
    items
        For each micrograph: its picks, its (m, 2) reference centres, and the reach in the same pixels.
    threshold
        Smallest figure of merit that counts.
    """
    hits = picked = true = 0
    for picks, truth, reach in items:
        kept = picks.above(threshold)
        hits += int(match(kept.xy, truth, reach).sum())
        picked += len(kept)
        true += len(truth)
    return Figures(hits, picked, true)


def best_threshold(items: Sequence[tuple[Picks, Points, float]], beta: float = 1.0) -> tuple[float, Figures]:
    """Find the threshold with the highest pooled F-beta (F1 by default) among 39 quantiles of the scores."""
    scores = np.concatenate([picks.score for picks, _, _ in items]) if items else np.empty(0)
    if not len(scores):
        return 1.0, evaluate(items)
    cuts = np.unique(np.quantile(scores, np.linspace(0, 0.95, 39)))
    figures = [evaluate(items, float(cut)) for cut in cuts]
    best = int(np.argmax([figure.f_beta(beta) for figure in figures]))
    return float(cuts[best]), figures[best]


def average_precision(items: Sequence[tuple[Picks, Points, float]]) -> float:
    """Area under the pooled precision-recall curve, every score a threshold; picks are matched once, best first."""
    scores, hits, true = [], [], 0
    for picks, truth, reach in items:
        ordered = picks.sorted()
        scores.append(ordered.score)
        hits.append(_greedy(ordered.xy, truth, reach))
        true += len(truth)
    if not true or not scores:
        return 0.0
    order = np.argsort(-np.concatenate(scores), kind="stable")
    hit = np.concatenate(hits)[order].astype(float)
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    return float((precision * hit).sum() / true)


def _greedy(picks: Points, truth: Points, reach: float) -> NDArray[np.bool_]:
    """Give each pick in turn the nearest reference centre that is still free, (n,) bool."""
    hit = np.zeros(len(picks), bool)
    if not len(picks) or not len(truth):
        return hit
    free = np.ones(len(truth), bool)
    for index, near_by in enumerate(cKDTree(truth).query_ball_point(picks, reach)):
        open_ones = [k for k in near_by if free[k]]
        if open_ones:
            nearest = min(open_ones, key=lambda k: float(np.hypot(*(truth[k] - picks[index]))))
            free[nearest], hit[index] = False, True
    return hit
