"""Scores of a generator on held-out synthetic scenes, and the calibration of its figure of merit."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from torch import nn

from relion_ganpick.core.evaluate import average_precision, match, strictest_threshold
from relion_ganpick.core.localize import peaks
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import PARTICLE_PX, normalise
from relion_ganpick.core.settings import MIN_DISTANCE_DIAMETERS
from relion_ganpick.synthesis.pairs import random_scene

VALIDATION_STREAM = 987_654_321
FEWEST = 40
SLOPE = 0.002
SACRIFICE = 0.025

Item = tuple[Picks, NDArray[np.float64], float]


def validation_items(generator: nn.Module, device: torch.device, seed: int, n_scenes: int) -> list[Item]:
    """Pick held-out scenes with raw scores; no training step draws from their random stream."""
    items = []
    for index in range(n_scenes):
        scene = random_scene(np.random.default_rng((seed, VALIDATION_STREAM, index)), 256)
        picture = normalise(scene.pixels)
        marked = mark(generator, picture, device)
        items.append((peaks(marked, PARTICLE_PX, MIN_DISTANCE_DIAMETERS * PARTICLE_PX), scene.centres, PARTICLE_PX / 4))
    return items


def mark(generator: nn.Module, picture: NDArray[np.float32], device: torch.device) -> NDArray[np.float32]:
    """Run a generator on one picture of any size, (h, w) float32 -> (h, w) float32 probability of a marker."""
    stride = int(generator.stride)  # type: ignore[arg-type]
    height, width = picture.shape
    padded = np.pad(picture, ((0, -height % stride), (0, -width % stride)), "symmetric")
    with torch.inference_mode():
        batch = torch.from_numpy(padded)[None, None].to(device).contiguous(memory_format=torch.channels_last)
        return np.asarray(generator.mark(batch)[0, 0, :height, :width].cpu().numpy())  # type: ignore[operator]


def calibrate(items: list[Item]) -> tuple[dict[str, list[float]], float, dict[str, float]]:
    """Make the figure of merit mean the share of picks that are right, and find the best threshold.

    A pick is right when it is matched one to one within a quarter diameter. Isotonic regression of right against raw
    score, averaged in 20 bins of equal count, gives the knots of a monotone piecewise linear map. A slight slope is added
    so that picks keep their order where the regression is flat.

    Returns
    -------
    calibration
        Lists ``raw`` and ``score`` of equal length.
    threshold
        The highest calibrated figure of merit whose F1 is at most a fortieth below the best: it costs little
        where there are particles, and keeps micrographs without them empty.
    figures
        Precision, recall and F1 at the threshold, and average precision.
    """
    threshold, figures = strictest_threshold(items, SACRIFICE)
    raw = np.concatenate([picks.score for picks, _, _ in items])
    right = np.concatenate([match(picks.xy, truth, reach) for picks, truth, reach in items])
    order = np.argsort(raw, kind="stable")
    knots_raw, knots_score = [0.0], [0.0]
    if len(raw) >= FEWEST:
        fitted = isotonic_regression(right[order].astype(float)).x
        for part in np.array_split(np.arange(len(raw)), 20):
            knots_raw.append(float(raw[order][part].mean()))
            knots_score.append(float(fitted[part].mean()) * (1 - SLOPE))
    knots_raw.append(1.0)
    knots_score.append(1.0 - SLOPE if len(raw) < FEWEST else knots_score[-1])
    calibration = {
        "raw": [round(value, 5) for value in knots_raw],
        "score": [round(score + SLOPE * value, 5) for score, value in zip(knots_score, knots_raw, strict=True)],
    }
    cut = float(np.interp(threshold, calibration["raw"], calibration["score"]))
    return (
        calibration,
        round(cut, 4),
        {
            "f1": round(figures.f1, 4),
            "precision": round(figures.precision, 4),
            "recall": round(figures.recall, 4),
            "average_precision": round(average_precision(items), 4),
            "raw_threshold": round(threshold, 4),
        },
    )
