"""Scores of a generator on held-out synthetic scenes, and the calibration of its figure of merit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from torch import nn

from relion_ganpick.core.calibration import features, fit_context, rescored
from relion_ganpick.core.evaluate import average_precision, best_threshold, match
from relion_ganpick.core.localize import peaks
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import PARTICLE_PX, normalise
from relion_ganpick.core.settings import MIN_DISTANCE_DIAMETERS
from relion_ganpick.synthesis.pairs import random_scene
from relion_ganpick.synthesis.scene_settings import SceneSettings

VALIDATION_STREAM = 987_654_321
FEWEST = 40
SLOPE = 0.002
BETA = 0.5

Item = tuple[Picks, NDArray[np.float64], float]


@dataclass(frozen=True)
class HeldOut:
    """What was picked on held-out scenes.

    Attributes
    ----------
    items
        For each scene: picks with raw scores, (n, 2) true centres, reach in pixels.
    areas
        Of each scene in squared diameters; empty where scores are not to be corrected by what else is in the scene.
    """

    items: list[Item]
    areas: list[float]


def pick_held_out(
    generator: nn.Module, device: torch.device, seed: int, scenes: range, settings: SceneSettings | None = None
) -> HeldOut:
    """Pick held-out scenes, by their numbers, with raw scores; no training step draws from their random stream."""
    items, areas = [], []
    for index in scenes:
        scene = random_scene(np.random.default_rng((seed, VALIDATION_STREAM, index)), 256, settings)
        marked = mark(generator, normalise(scene.pixels), device)
        items.append((peaks(marked, PARTICLE_PX, MIN_DISTANCE_DIAMETERS * PARTICLE_PX), scene.centres, PARTICLE_PX / 4))
        areas.append(marked.size / PARTICLE_PX**2)
    return HeldOut(items, areas)


def mark(generator: nn.Module, picture: NDArray[np.float32], device: torch.device, what: str = "mark") -> NDArray[np.float32]:
    """Run a generator on one picture of any size, (h, w) float32 -> (h, w) float32 probability of a marker.

    ``what`` names the method that is asked, "mark" or "contamination".
    """
    stride = int(generator.stride)  # type: ignore[arg-type]
    height, width = picture.shape
    padded = np.pad(picture, ((0, -height % stride), (0, -width % stride)), "symmetric")
    with torch.inference_mode():
        batch = torch.from_numpy(padded)[None, None].to(device).contiguous(memory_format=torch.channels_last)
        return np.asarray(getattr(generator, what)(batch)[0, 0, :height, :width].cpu().numpy())


def calibrate(held_out: HeldOut) -> tuple[dict[str, list[float]], float, dict[str, float]]:
    """Make the figure of merit mean the share of picks that are right, and find the threshold.

    A pick is right when it is matched one to one within a quarter diameter. Isotonic regression of right against raw
    score, averaged in 20 bins of equal count, gives the knots of a monotone piecewise linear map. A slight slope is added
    so that picks keep their order where the regression is flat. What else is in the micrograph then corrects it, see
    `core.calibration`.

    Returns
    -------
    calibration
        Lists ``raw`` and ``score`` of equal length, and ``context`` if the areas are known.
    threshold
        The figure of merit with the best F0.5, in which precision weighs twice as much as recall: it costs little where
        there are particles, and keeps micrographs without them empty.
    figures
        Precision, recall and F1 at the threshold, and average precision.
    """
    right = [match(picks.xy, truth, reach) for picks, truth, reach in held_out.items]
    calibration = _curve(np.concatenate([picks.score for picks, _, _ in held_out.items]), np.concatenate(right))
    if held_out.areas and len(calibration["raw"]) > 2:
        scores = [np.interp(picks.score, calibration["raw"], calibration["score"]) for picks, _, _ in held_out.items]
        found = [(features(score, area), hit) for score, area, hit in zip(scores, held_out.areas, right, strict=True) if len(hit)]
        context = fit_context(np.concatenate([terms for terms, _ in found]), np.concatenate([hit for _, hit in found]))
        calibration |= {"context": context} if context else {}
    items = _rescored(held_out, calibration)
    threshold, figures = best_threshold(items, BETA)
    return (
        calibration,
        round(threshold, 4),
        {
            "f1": round(figures.f1, 4),
            "precision": round(figures.precision, 4),
            "recall": round(figures.recall, 4),
            "average_precision": round(average_precision(items), 4),
        },
    )


def reliability(held_out: HeldOut, calibration: dict[str, list[float]]) -> list[list[float]]:
    """Compare figures of merit with what came true, on scenes that the calibration was not fitted to.

    Returns
    -------
    For each of ten bins of equal width that is not empty: mean figure of merit, share of right picks, number of picks.
    """
    items = _rescored(held_out, calibration)
    score = np.concatenate([picks.score for picks, _, _ in items])
    right = np.concatenate([match(picks.xy, truth, reach) for picks, truth, reach in items])
    bins = np.minimum((score * 10).astype(int), 9)
    groups = [bins == k for k in range(10) if (bins == k).any()]
    return [[round(float(score[k].mean()), 4), round(float(right[k].mean()), 4), int(k.sum())] for k in groups]


def _rescored(held_out: HeldOut, calibration: dict[str, list[float]]) -> list[Item]:
    areas = held_out.areas or [1.0] * len(held_out.items)
    return [
        (rescored(picks, area, calibration), truth, reach)
        for (picks, truth, reach), area in zip(held_out.items, areas, strict=True)
    ]


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
