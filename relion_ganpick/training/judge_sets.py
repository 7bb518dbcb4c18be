"""From a generator to its judge of sets: described synthetic sets, the fit, and what its figures of merit are worth."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.special import expit
from torch import nn
from torch.utils.data import Dataset
from tqdm import tqdm

from relion_ganpick.core.device import fastest_type
from relion_ganpick.core.evaluate import match
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.evidence.gather import Described, describe_set
from relion_ganpick.evidence.judge import odds_of_set
from relion_ganpick.evidence.operating_point import BETA, operating_point
from relion_ganpick.evidence.view import view_of
from relion_ganpick.model.forward import mark
from relion_ganpick.model.judge import SetJudge
from relion_ganpick.model.weights import Model
from relion_ganpick.synthesis.scene_settings import SceneSettings
from relion_ganpick.training.judge_fit import AS_IF, STEPS, JudgedSet, fit_judge
from relion_ganpick.training.loading import in_order
from relion_ganpick.training.presets import TrainSettings
from relion_ganpick.training.sets import SyntheticMicrograph, make_set

Values = NDArray[np.float64]

SETS = "sets"  # folder of described sets inside that of the training
REACH_PX = PARTICLE_PX / 4
HELD_OUT = 5  # every fifth set teaches nothing and measures what the judge's probabilities are worth
KNOTS = 24
SLOPE = 0.002
STRICT = tuple(round(0.05 * k, 2) for k in range(6, 17))
MOST_ON_EMPTY = 5.0


class SyntheticSets(Dataset[tuple[str, list[SyntheticMicrograph]]]):
    """Synthetic sets by number."""

    def __init__(self, seed: int, numbers: Sequence[int], settings: SceneSettings | None) -> None:
        self.seed, self.numbers, self.settings = seed, numbers, settings

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> tuple[str, list[SyntheticMicrograph]]:
        return make_set(self.seed, self.numbers[index], self.settings)


def describe_synthetic(
    generator: nn.Module, device: torch.device, micrographs: Sequence[SyntheticMicrograph], dtype: torch.dtype = torch.float32
) -> tuple[list[Described], JudgedSet]:
    """Mark and describe one synthetic set, and tell which candidates are right."""
    views = [view_of(each.picture, mark(generator, each.picture[None], device, dtype)[0], each.blank) for each in micrographs]
    _, described = describe_set(views)
    right = [
        match(np.stack([each.spots.x, each.spots.y], axis=1), source.centres, REACH_PX)
        for each, source in zip(described, micrographs, strict=True)
    ]
    return described, JudgedSet(
        np.concatenate([each.features for each in described]),
        np.concatenate(right),
        np.concatenate([np.full(len(each.spots), k) for k, each in enumerate(described)]),
        np.array([each.area for each in described], np.float32),
        np.array([len(each.centres) for each in micrographs]),
    )


def synthetic_sets(
    generator: nn.Module,
    device: torch.device,
    seed: int,
    n_sets: int,
    folder: Path,
    settings: SceneSettings | None = None,
    workers: int = 0,
) -> Iterator[JudgedSet]:
    """Make and describe synthetic sets; each is kept in a folder, so that a run that goes on does not make it again."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:05d}.npz" for number in range(n_sets)]
    dtype = next(generator.parameters()).dtype
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    for number, (_, micrographs) in zip(missing, in_order(SyntheticSets(seed, missing, settings), workers), strict=True):
        _, judged = describe_synthetic(generator, device, micrographs, dtype)
        _save(paths[number], judged)
    for path in paths:
        yield _load(path)


def train_judge(
    sets: Sequence[JudgedSet], seed: int, members: int, steps: int = STEPS
) -> tuple[SetJudge, dict[str, list[float]], float] | None:
    """Fit a judge to four fifths of the sets; the others tell what its probabilities are worth and where the strict cut lies.

    Returns
    -------
    judge
        In evaluation mode.
    curve
        Knots ``raw`` and ``score`` of the map from its probability to the figure of merit, the share of right candidates.
    strict
        The strict cut, see `strict_cut`.

    None where there is nothing to tell apart.
    """
    learned = [each for k, each in enumerate(sets) if k % HELD_OUT]
    others = [each for each in sets[::HELD_OUT] if len(each.right)]
    judge = fit_judge(learned, seed, members, steps)
    if judge is None or not others:
        return None
    raw = [expit(odds_of_set(judge, each.features, each.micrograph, each.areas)) for each in others]
    curve = fit_curve(raw, [each.right for each in others])
    merit = [np.interp(each, curve["raw"], curve["score"]) for each in raw]
    return judge, curve, strict_cut(merit, others)


def with_judge(model: Model, device: torch.device, settings: TrainSettings, folder: Path, workers: int = 0) -> Model:
    """Fit a judge of sets to a model's generator.

    Parameters
    ----------
    model
        Its generator, rescorer and card stay as they are, but for what the card says about the judge.
    device
        Where the generator runs.
    settings
        Number of sets and of members, seed, and what scenes hold.
    folder
        Where described sets are kept, so that a run that goes on does not make them again; it must belong to this generator.
    workers
        Processes that make pictures.

    Returns
    -------
    The model with its judge; without one where there was nothing to learn from.
    """
    # In the precision that a picker computes in.
    generator = copy.deepcopy(model.generator).to(device, fastest_type(device)).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    made = synthetic_sets(generator, device, settings.seed, settings.judge_sets, folder, settings.scene, workers)
    bar = tqdm(made, "synthetic sets", settings.judge_sets, mininterval=10)
    trained = train_judge(list(bar), settings.seed, settings.judges)
    if trained is None:
        return replace(model, judge=None)
    judge, curve, strict = trained
    return replace(model, judge=judge, card=replace(model.card, judge_curve=curve, strict=strict))


def fit_curve(raw: Sequence[Values], right: Sequence[NDArray[np.bool_]]) -> dict[str, list[float]]:
    """Fit a monotone curve from probabilities to shares of right candidates, where sets count as in training.

    A slight slope keeps the order of candidates where the curve is flat.

    Parameters
    ----------
    raw, right
        For each set (n,) float64 and (n,) bool.
    """
    together, answer = np.concatenate(raw), np.concatenate(right).astype(float)
    weight = np.concatenate([np.full(len(each), 1 / (each.sum() + AS_IF)) for each in right])
    order = np.argsort(together, kind="stable")
    fitted = isotonic_regression(answer[order], weights=weight[order]).x
    # Few candidates are particles: knots of equal count would all lie at the lower end.
    places = np.unique(np.searchsorted(together[order], np.linspace(0, 1, KNOTS)))
    parts = [part for part in np.split(np.arange(len(order)), places[places > 0]) if len(part)]
    knots = [0.0, *(float(together[order][part].mean()) for part in parts), 1.0]
    score = [0.0, *(float(fitted[part].mean()) for part in parts)]
    score.append(score[-1])
    return {
        "raw": [round(each, 5) for each in knots],
        "score": [round((1 - SLOPE) * value + SLOPE * each, 5) for value, each in zip(score, knots, strict=True)],
    }


def strict_cut(merit: Sequence[Values], sets: Sequence[JudgedSet]) -> float:
    """Find the strict cut that is best for all sets, each with the cut that follows from it (`evidence.operating_point`).

    A set with particles is worth its F0.75. An empty one is worth 1 without picks and 0 with five or more on each micrograph.
    """
    best = [float(np.mean([_worth(*each, cut) for each in zip(merit, sets, strict=True)])) for cut in STRICT]
    return float(STRICT[int(np.argmax(best))])


def _worth(merit: Values, judged: JudgedSet, strict: float) -> float:
    above = merit >= operating_point(merit, strict).cut
    n_picks, n_true = int(above.sum()), int(judged.true.sum())
    if not n_true:
        return 1 - min(n_picks / len(judged.areas) / MOST_ON_EMPTY, 1.0)
    return float((1 + BETA**2) * judged.right[above].sum() / (n_picks + BETA**2 * n_true))


def _save(path: Path, judged: JudgedSet) -> None:
    partial = path.with_suffix(".part.npz")
    np.savez_compressed(
        partial,
        features=judged.features.astype(np.float16),
        right=judged.right,
        micrograph=judged.micrograph.astype(np.uint8),
        areas=judged.areas,
        true=judged.true,
    )
    os.replace(partial, path)


def _load(path: Path) -> JudgedSet:
    with np.load(path, allow_pickle=False) as held:
        return JudgedSet(
            held["features"].astype(np.float32), held["right"], held["micrograph"].astype(np.intp), held["areas"], held["true"]
        )
