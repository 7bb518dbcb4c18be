"""From the micrographs of a set to what is known of it, and from there to the picks of each one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import expit

from relion_ganpick.core.localize import peaks
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.evidence.filter import mean_filter
from relion_ganpick.evidence.gather import Described, Filters, describe, describe_set
from relion_ganpick.evidence.judge import context_of, log_odds
from relion_ganpick.evidence.operating_point import counted, lowered, operating_point
from relion_ganpick.evidence.record import Evidence, histogram_of
from relion_ganpick.evidence.texture import agreement, heard, texture_of, trust_in
from relion_ganpick.evidence.view import View
from relion_ganpick.model.judge import SetJudge
from relion_ganpick.model.weights import Model

Values = NDArray[np.float64]

LEAST_MERIT = 0.01  # candidates with less are not kept
SAME = PARTICLE_PX / 4  # pixels between two candidates for one particle


def gather_evidence(
    model: Model, views: Sequence[View], names: Sequence[str], min_distance_px: float = PARTICLE_PX / 2
) -> Evidence:
    """Find out what micrographs of one particle say together.

    Parameters
    ----------
    model
        With a judge of sets.
    views
        One to some dozens of micrographs.
    names
        Their files.
    min_distance_px
        Smallest distance between two candidates, in pixels of the working scale.

    Raises
    ------
    ValueError
        If the model has no judge, or there is no micrograph.
    """
    judge = _judge_of(model)
    if not views:
        raise ValueError("there is no micrograph to look at")
    filters, described = describe_set(views, min_distance_px)
    context = context_of(judge, described)
    agreements = [agreement(view) for view in views]
    trust = trust_in(agreements)
    merits = [
        heard(_merit(model, judge, each, context, view, min_distance_px), each.spots, texture_of(view), trust, trust_in([agrees]))
        for each, view, agrees in zip(described, views, agreements, strict=True)
    ]
    point = operating_point(np.concatenate(merits), model.card.strict)
    merit = np.concatenate([lowered(each, point) for each in merits])
    halves = {PurePath(name).name: None if len(views) == 1 else k % 2 for k, name in enumerate(names)}
    return Evidence(filters, halves, context, trust, counted(point, merit), histogram_of(merit))


def judged(model: Model, view: View, name: str, evidence: Evidence, min_distance_px: float = PARTICLE_PX / 2) -> Picks:
    """Find the candidates of one micrograph and give them figures of merit, lower ones where it hardly speaks for particles.

    A micrograph that was looked at gets the filter that was learned without it, any other one the mean of both.

    Returns
    -------
    Picks in pixels of the working scale, those below 0.01 left out.
    """
    key = PurePath(name).name
    if key in evidence.halves:
        described = describe(view, evidence.filters, evidence.halves[key], min_distance_px)
    else:
        described = describe(view, _for_others(evidence.filters), 0, min_distance_px)
    merit = _merit(model, _judge_of(model), described, evidence.context, view, min_distance_px)
    merit = heard(merit, described.spots, texture_of(view), evidence.trust, trust_in([agreement(view)]))
    return Picks(described.spots.x, described.spots.y, lowered(merit, evidence.point)).above(LEAST_MERIT)


def _for_others(filters: Filters) -> Filters:
    """Make the filter for micrographs that nothing was learned from."""
    mean, density = mean_filter(filters.of_halves), float(np.mean(filters.densities))
    return Filters((mean, mean), (density, density))


def _merit(
    model: Model,
    judge: SetJudge,
    described: Described,
    context: Sequence[Sequence[float]],
    view: View,
    min_distance_px: float,
) -> Values:
    """Give candidates the better of two opinions, (n,) float64 in [0, 1]: that of the whole set, and their micrograph's alone.

    Either may miss what the other sees: the rescorer where dirt lies beside, the judge where a set is unlike all others.
    """
    curve = model.card.judge_curve
    merit = np.asarray(np.interp(expit(log_odds(judge, described, context)), curve["raw"], curve["score"]))
    if model.rescorer is None:
        return merit
    alone = model.rescored(
        peaks(view.marker, PARTICLE_PX, min_distance_px),
        view.picture,
        np.stack([view.marker, view.contamination]),
        view.area * PARTICLE_PX**2 / view.picture.size,
    )
    if not len(alone) or not len(merit):
        return merit
    away, nearest = cKDTree(alone.xy).query(np.stack([described.spots.x, described.spots.y], axis=1))
    return np.where(away < SAME, np.maximum(merit, alone.score[nearest]), merit)


def _judge_of(model: Model) -> SetJudge:
    if model.judge is None:
        raise ValueError(f"model {model.card.name} has no judge of sets")
    return model.judge
