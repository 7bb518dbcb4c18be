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
from scipy.special import expit, logit
from torch import nn
from torch.utils.data import Dataset
from tqdm import tqdm

from relion_ganpick.core.device import fastest_type
from relion_ganpick.core.evaluate import match
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.evidence.gather import Described, describe_set
from relion_ganpick.evidence.judge import odds_of_set
from relion_ganpick.evidence.view import View, view_of
from relion_ganpick.model.forward import mark
from relion_ganpick.model.judge import SetJudge
from relion_ganpick.model.weights import Model
from relion_ganpick.synthesis.scene_settings import SceneSettings
from relion_ganpick.training.judge_fit import AS_IF, STEPS, JudgedSet, fit_judge
from relion_ganpick.training.loading import in_order
from relion_ganpick.training.presets import TrainSettings
from relion_ganpick.training.sets import SyntheticMicrograph, SyntheticSet, make_set

Image = NDArray[np.float32]
Values = NDArray[np.float64]

SETS = "sets"  # folder of described sets inside that of the training
REACH_PX = PARTICLE_PX / 4
HELD_OUT = 5  # every fifth set teaches nothing and measures what the judge's probabilities are worth
KNOTS = 24
SLOPE = 0.002
STRICT = 0.6  # rather a particle than not, with a margin for real micrographs


class SyntheticSets(Dataset[SyntheticSet]):
    """Synthetic sets by number."""

    def __init__(self, seed: int, numbers: Sequence[int], settings: SceneSettings | None) -> None:
        self.seed, self.numbers, self.settings = seed, numbers, settings

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> SyntheticSet:
        return make_set(self.seed, self.numbers[index], self.settings)


def describe_synthetic(
    generator: nn.Module, device: torch.device, made: SyntheticSet, dtype: torch.dtype = torch.float32
) -> tuple[list[Described], JudgedSet]:
    """Mark and describe one synthetic set, and tell which candidates are right."""
    views = [_view(generator, each, made.blindness, device, dtype) for each in made.micrographs]
    _, described = describe_set(views)
    right = [
        match(np.stack([each.spots.x, each.spots.y], axis=1), source.centres, REACH_PX)
        for each, source in zip(described, made.micrographs, strict=True)
    ]
    return described, JudgedSet(
        np.concatenate([each.features for each in described]),
        np.concatenate(right),
        np.concatenate([np.full(len(each.spots), k) for k, each in enumerate(described)]),
        np.array([each.area for each in described], np.float32),
        np.array([len(each.centres) for each in made.micrographs]),
    )


def _view(
    generator: nn.Module, micrograph: SyntheticMicrograph, blindness: float, device: torch.device, dtype: torch.dtype
) -> View:
    """Mark a micrograph, with marks that are weakened by so much in log odds."""
    marked = mark(generator, micrograph.picture[None], device, dtype)[0]
    if blindness:
        marked = np.concatenate([expit(logit(np.clip(marked[:1], 1e-7, 1 - 1e-6)) - np.float32(blindness)), marked[1:]])
    return view_of(micrograph.picture, marked, micrograph.blank)


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
    for number, made in zip(missing, in_order(SyntheticSets(seed, missing, settings), workers), strict=True):
        _, judged = describe_synthetic(generator, device, made, dtype)
        _save(paths[number], judged)
    for path in paths:
        yield _load(path)


def train_judge(
    sets: Sequence[JudgedSet], seed: int, members: int, steps: int = STEPS
) -> tuple[SetJudge, dict[str, list[float]]] | None:
    """Fit a judge to four fifths of the sets; the others tell what its probabilities are worth.

    Returns
    -------
    judge
        In evaluation mode.
    curve
        Knots ``raw`` and ``score`` of the map from its probability to the figure of merit, the share of right candidates.

    None where there is nothing to tell apart.
    """
    learned = [each for k, each in enumerate(sets) if k % HELD_OUT]
    others = [each for each in sets[::HELD_OUT] if len(each.right)]
    judge = fit_judge(learned, seed, members, steps)
    if judge is None or not others:
        return None
    raw = [expit(odds_of_set(judge, each.features, each.micrograph, each.areas)) for each in others]
    curve = fit_curve(raw, [each.right for each in others])
    return judge, curve


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
    judge, curve = trained
    return replace(model, judge=judge, card=replace(model.card, judge_curve=curve, strict=STRICT))


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
