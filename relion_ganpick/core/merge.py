"""Join picks of one micrograph that several programs or runs have made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from relion_ganpick.core.picks import Picks


@dataclass(frozen=True)
class Merged:
    """Picks with where each of them comes from.

    Attributes
    ----------
    picks
        At the mean place of their members; the figure of merit is that of the first source that has the pick.
    merit
        (n, k) float64, figure of merit in each of the k sources; not a number where a source has no such pick.
    """

    picks: Picks
    merit: NDArray[np.float64]

    @property
    def count(self) -> NDArray[np.int64]:
        """(n,) int64, in how many sources each pick is."""
        return np.asarray(np.isfinite(self.merit).sum(axis=1), np.int64)


def merge(sources: Sequence[Picks], distance_px: float, at_least: int = 1) -> Merged:
    """Join picks.

    One source after the other is matched with what is there: of all pairs not further apart than ``distance_px`` the nearest are
    taken first, each pick once. Two picks of one source are never joined: it says that they are two particles.

    Parameters
    ----------
    sources
        Picks of one micrograph by each program or run.
    distance_px
        How far apart two picks of one particle may be, in pixels.
    at_least
        Keep a pick that at least so many sources have.
    """
    members = np.empty((0, len(sources)), np.int64)  # which pick of each source, or -1
    for number, picks in enumerate(sources):
        places = _places(sources, members)
        mine = np.full(len(members), -1, np.int64)
        for place, pick in _nearest_first(places, picks.xy, distance_px):
            mine[place] = pick
        if len(members):
            members[:, number] = mine
        alone = np.setdiff1d(np.arange(len(picks)), mine)
        new = np.full((len(alone), len(sources)), -1, np.int64)
        new[:, number] = alone
        members = np.concatenate([members, new])
    members = members[(members >= 0).sum(axis=1) >= at_least]
    merit = np.full(members.shape, np.nan)
    for number, picks in enumerate(sources):
        there = members[:, number] >= 0
        merit[there, number] = picks.score[members[there, number]]
    first = np.isfinite(merit).argmax(axis=1)
    places = _places(sources, members)
    return Merged(Picks(places[:, 0], places[:, 1], merit[np.arange(len(merit)), first]), merit)


def _places(sources: Sequence[Picks], members: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean place of each row's members, (n, 2) float64."""
    total, count = np.zeros((len(members), 2)), np.zeros((len(members), 1))
    for number, picks in enumerate(sources):
        there = members[:, number] >= 0
        total[there] += picks.xy[members[there, number]]
        count[there] += 1
    return np.asarray(total / np.maximum(count, 1))


def _nearest_first(places: NDArray[np.float64], points: NDArray[np.float64], distance: float) -> list[tuple[int, int]]:
    """Pair places with points, one to one, the nearest pairs first."""
    if not len(places) or not len(points):
        return []
    pairs = cKDTree(places).sparse_distance_matrix(cKDTree(points), distance, output_type="ndarray")
    free_places, free_points = np.ones(len(places), bool), np.ones(len(points), bool)
    taken = []
    for k in np.lexsort((pairs["j"], pairs["i"], pairs["v"])):
        place, point = int(pairs["i"][k]), int(pairs["j"][k])
        if free_places[place] and free_points[point]:
            free_places[place] = free_points[point] = False
            taken.append((place, point))
    return taken
