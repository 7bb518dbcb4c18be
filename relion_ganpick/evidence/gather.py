"""Look at the micrographs of a set: learn its filter, find candidates, describe them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.evidence.candidates import Spots, find_spots
from relion_ganpick.evidence.features import describe_spots
from relion_ganpick.evidence.filter import Lesson, SetFilter, answer, halves, learn, lesson_of
from relion_ganpick.evidence.view import View

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Described:
    """The candidates of one micrograph.

    Attributes
    ----------
    spots
        Where they are.
    features
        (n, 24) float32, `features.describe_spots`.
    area
        Of the micrograph in squared diameters.
    """

    spots: Spots
    features: NDArray[np.float32]
    area: float


@dataclass(frozen=True)
class Filters:
    """The two filters of a set, each learned on one half of it, and the seeds per squared diameter that they rest on."""

    of_halves: tuple[SetFilter, SetFilter]
    densities: tuple[float, float]


def learn_filters(lessons: Sequence[Lesson], areas: Sequence[float]) -> Filters:
    """Learn one filter from every other micrograph, and one from the rest; both halves must hold at least one."""
    parts = (slice(0, None, 2), slice(1, None, 2))
    filters = tuple(learn(lessons[part]) for part in parts)
    densities = tuple(sum(len(each.seeds) for each in lessons[part]) / sum(areas[part]) for part in parts)
    return Filters((filters[0], filters[1]), (densities[0], densities[1]))


def lessons_of(views: Sequence[View]) -> tuple[list[Lesson], list[float]]:
    """Collect what micrographs teach; a single one gives two lessons, of its halves.

    Returns
    -------
    The lessons, and the areas that they come from in squared diameters.
    """
    if len(views) == 1:
        return [lesson_of(views[0], part) for part in _halves_of(views[0])], [views[0].area / 2] * 2
    return [lesson_of(view) for view in views], [view.area for view in views]


def describe(view: View, filters: Filters, half: int | None, min_distance_px: float = PARTICLE_PX / 2) -> Described:
    """Find and describe the candidates of one micrograph.

    Parameters
    ----------
    view
        The micrograph.
    filters
        Those of its set.
    half
        Which half of the set the micrograph belongs to, 0 or 1: the filter of the other one is applied. None for a single
        micrograph, each half of which gets the filter of the other.
    min_distance_px
        Smallest distance between two candidates.
    """
    first, second = filters.of_halves
    if half is None:
        part, _ = _halves_of(view)
        answers = np.where(part, answer(view, second), answer(view, first)).astype(np.float32)
        used, density = (first if first.seeds >= second.seeds else second), float(np.mean(filters.densities))
    else:
        used, density = filters.of_halves[1 - half], filters.densities[1 - half]
        answers = answer(view, used)
    spots = find_spots(view, answers, min_distance_px)
    return Described(spots, describe_spots(view, spots, used, density), view.area)


def describe_set(views: Sequence[View], min_distance_px: float = PARTICLE_PX / 2) -> tuple[Filters, list[Described]]:
    """Learn the filters of a set and describe the candidates of all its micrographs."""
    filters = learn_filters(*lessons_of(views))
    alone = len(views) == 1
    return filters, [describe(view, filters, None if alone else k % 2, min_distance_px) for k, view in enumerate(views)]


def _halves_of(view: View) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    return halves((view.picture.shape[0], view.picture.shape[1]), view.closed)
