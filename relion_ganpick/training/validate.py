"""Scores of a generator on held-out synthetic scenes, and the calibration of its figure of merit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from torch import nn
from torch.utils.data import Dataset

from relion_ganpick.core.calibration import calibrated, context_terms, fit_context
from relion_ganpick.core.evaluate import average_precision, best_threshold, evaluate, match
from relion_ganpick.core.localize import peaks
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.core.settings import MIN_DISTANCE_DIAMETERS
from relion_ganpick.model.forward import mark
from relion_ganpick.model.rescorer import Features, Judged, Rescorer, fit_rescorer
from relion_ganpick.model.surroundings import features_of
from relion_ganpick.synthesis.pairs import prepared, random_scene
from relion_ganpick.synthesis.scene_settings import SceneSettings
from relion_ganpick.training.loading import in_order

VALIDATION_STREAM = 987_654_321
FEWEST = 40
SLOPE = 0.002
PARTS = 5
BETA = 0.75

Item = tuple[Picks, NDArray[np.float64], float]


@dataclass(frozen=True)
class HeldOut:
    """What was picked on held-out scenes.

    Attributes
    ----------
    items
        For each scene: picks with raw scores, (n, 2) true centres, reach in pixels.
    features
        For each scene (n, features) float32 of its picks (`model.surroundings`); empty where no rescorer will see them.
    areas
        Of each scene in squared diameters.
    """

    items: list[Item]
    features: list[Features]
    areas: list[float]

    def judged(self) -> list[Judged]:
        """Make the examples of a rescorer: a pick is right when it is matched one to one."""
        return [
            Judged(features, match(picks.xy, truth, reach), area)
            for (picks, truth, reach), features, area in zip(self.items, self.features, self.areas, strict=True)
        ]

    def rescored(self, rescorer: Rescorer | None, calibration: Mapping[str, Sequence[float]] | None = None) -> list[Item]:
        """Give all picks the scores of a rescorer, where there is one, and then those of a curve, where there is one."""
        items = self.items
        if rescorer is not None:
            items = [
                (Picks(picks.x, picks.y, rescorer.score(features, area)), truth, reach)
                for (picks, truth, reach), features, area in zip(items, self.features, self.areas, strict=True)
            ]
        if calibration is not None:
            items = [
                (Picks(picks.x, picks.y, calibrated(picks.score, calibration, area)), truth, reach)
                for (picks, truth, reach), area in zip(items, self.areas, strict=True)
            ]
        return items


class HeldOutScenes(Dataset[tuple[NDArray[np.float32], NDArray[np.float64]]]):
    """Prepared pictures and true centres of held-out scenes, by number; no training step draws from their random stream."""

    def __init__(self, seed: int, numbers: range, settings: SceneSettings | None) -> None:
        self.seed, self.numbers, self.settings = seed, numbers, settings

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        rng = np.random.default_rng((self.seed, VALIDATION_STREAM, self.numbers[index]))
        scene = random_scene(rng, 256, self.settings)
        return prepared(scene), scene.centres


def pick_held_out(
    generator: nn.Module,
    device: torch.device,
    seed: int,
    scenes: range,
    settings: SceneSettings | None = None,
    workers: int = 0,
) -> HeldOut:
    """Pick held-out scenes with raw scores; other processes make them, if there are to be any, and change nothing else."""
    items, features, areas = [], [], []
    for picture, centres in in_order(HeldOutScenes(seed, scenes, settings), workers):
        marked = mark(generator, picture[None], device)[0]
        picks = peaks(marked[0], PARTICLE_PX, MIN_DISTANCE_DIAMETERS * PARTICLE_PX)
        items.append((picks, centres, PARTICLE_PX / 4))
        features.append(features_of(picks, picture, marked))
        areas.append(picture.size / PARTICLE_PX**2)
    return HeldOut(items, features, areas)


def calibrate(held_out: HeldOut, rescorer: Rescorer | None = None) -> tuple[dict[str, list[float]], float]:
    """Make the figure of merit mean the share of picks that are right, and find the threshold.

    A pick is right when it is matched one to one within a quarter diameter. Isotonic regression of right against the
    score, averaged in 20 bins of equal count, gives the knots of a monotone piecewise linear map. A slight slope is added
    so that picks keep their order where the regression is flat.

    Parameters
    ----------
    held_out
        Scenes that neither the generator nor the rescorer has learned from.
    rescorer
        What gives the scores; None takes the raw ones.

    Returns
    -------
    calibration
        Lists ``raw`` and ``score`` of equal length.
    threshold
        The figure of merit with the best F0.75, in which precision weighs a third more than recall: it costs little where
        there are particles, and keeps micrographs without them empty.
    """
    items = held_out.rescored(rescorer)
    right = np.concatenate([match(picks.xy, truth, reach) for picks, truth, reach in items])
    calibration = _curve(np.concatenate([picks.score for picks, _, _ in items]), right)
    threshold, _ = best_threshold(held_out.rescored(rescorer, calibration), BETA)
    return calibration, round(threshold, 4)


def calibrate_heights(held_out: HeldOut) -> dict[str, list[float]]:
    """Make figures of merit of markers' heights alone, and of what else is in the micrograph (`core.calibration`).

    Returns
    -------
    Lists ``raw`` and ``score`` of equal length, and ``context`` where it is worth something.
    """
    right = [match(picks.xy, truth, reach) for picks, truth, reach in held_out.items]
    curve = _curve(np.concatenate([picks.score for picks, _, _ in held_out.items]), np.concatenate(right))
    merits = [picks.score for picks, _, _ in held_out.rescored(None, curve)]
    terms = [context_terms(merit, area) for merit, area in zip(merits, held_out.areas, strict=True)]
    context = fit_context(np.concatenate(terms), np.concatenate(right))
    return curve | ({"context": context} if context else {})


def with_rescorer(held_out: HeldOut, seed: int, members: int) -> tuple[Rescorer | None, dict[str, list[float]], float]:
    """Fit a rescorer to all scenes, then curve and threshold to scores of rescorers that did not learn from the scene.

    For these the scenes are dealt into five parts, and each is scored by a rescorer fitted to the other four. A curve from
    a fifth of the scenes alone would depend on which: the share of right picks differs more between scenes than within.

    Returns
    -------
    The rescorer, None without members or where there is nothing to learn, and what `calibrate` returns.
    """
    judged = held_out.judged()
    rescorer = fit_rescorer(judged, seed, members) if members else None
    if rescorer is None:
        return None, *calibrate(held_out)
    items = list(held_out.items)
    for part in range(PARTS):
        others = [each for k, each in enumerate(judged) if k % PARTS != part]
        scored = held_out.rescored(fit_rescorer(others, seed, members))
        items[part::PARTS] = scored[part::PARTS]
    return rescorer, *calibrate(replace(held_out, items=items))


def figures_of(items: Sequence[Item], threshold: float) -> dict[str, float]:
    """Tell precision, recall and F1 at a threshold, and average precision, for a card."""
    figures = evaluate(items, threshold)
    return {
        "f1": round(figures.f1, 4),
        "precision": round(figures.precision, 4),
        "recall": round(figures.recall, 4),
        "average_precision": round(average_precision(items), 4),
    }


def reliability(items: Sequence[Item]) -> list[list[float]]:
    """Compare figures of merit with what came true, on scenes that the calibration was not fitted to.

    Returns
    -------
    For each of ten bins of equal width that is not empty: mean figure of merit, share of right picks, number of picks.
    """
    score = np.concatenate([picks.score for picks, _, _ in items])
    right = np.concatenate([match(picks.xy, truth, reach) for picks, truth, reach in items])
    bins = np.minimum((score * 10).astype(int), 9)
    groups = [bins == k for k in range(10) if (bins == k).any()]
    return [[round(float(score[k].mean()), 4), round(float(right[k].mean()), 4), int(k.sum())] for k in groups]


def _curve(raw: NDArray[np.float64], right: NDArray[np.bool_]) -> dict[str, list[float]]:
    """Fit the knots of the map from raw to calibrated scores; a straight line where there are too few picks."""
    order = np.argsort(raw, kind="stable")
    knots_raw, knots_score = [0.0], [0.0]
    if len(raw) >= FEWEST:
        fitted = isotonic_regression(right[order].astype(float)).x
        for part in np.array_split(np.arange(len(raw)), 20):
            knots_raw.append(float(raw[order][part].mean()))
            knots_score.append(float(fitted[part].mean()) * (1 - SLOPE))
    knots_raw.append(1.0)
    knots_score.append(1.0 - SLOPE if len(raw) < FEWEST else knots_score[-1])
    return {
        "raw": [round(value, 5) for value in knots_raw],
        "score": [round(score + SLOPE * value, 5) for score, value in zip(knots_score, knots_raw, strict=True)],
    }
