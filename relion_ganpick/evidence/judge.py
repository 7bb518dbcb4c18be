"""Judge candidates: the set once, from some of its micrographs, then each micrograph with what came out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relion_ganpick.evidence.gather import Described
from relion_ganpick.model.judge import Batch, SetJudge

Values = NDArray[np.float64]

DOUBT = 0.5  # standard deviations between the members that are taken off


def context_of(judge: SetJudge, described: Sequence[Described]) -> list[list[float]]:
    """Sum up a set.

    Parameters
    ----------
    judge
        The network.
    described
        The candidates of the micrographs that are looked at.

    Returns
    -------
    For each member, what it keeps in mind of the set.
    """
    batch = _batch(judge, described)
    with torch.inference_mode():
        return [member.context(batch, member.summarise(batch), 1)[0].tolist() for member in judge.members]  # type: ignore[operator]


def log_odds(judge: SetJudge, described: Described, context: Sequence[Sequence[float]]) -> Values:
    """Judge the candidates of one micrograph.

    Returns
    -------
    (n,) float64, the log odds that each is a particle: the mean of the members', less their doubt.
    """
    if not len(described.spots):
        return np.empty(0)
    batch = _batch(judge, [described])
    with torch.inference_mode():
        odds = [
            member(batch, member.summarise(batch), torch.tensor([known], dtype=torch.float32))  # type: ignore[operator]
            for member, known in zip(judge.members, context, strict=True)
        ]
    return _agreed(odds)


def odds_of_set(
    judge: SetJudge, features: NDArray[np.float32], micrograph: NDArray[np.intp], areas: NDArray[np.float32]
) -> Values:
    """Judge all candidates of a set that is summed up from all its micrographs, as `log_odds` does.

    Parameters
    ----------
    judge
        The network.
    features
        (n, features) float32.
    micrograph
        (n,) int, number of each candidate's micrograph.
    areas
        (m,) float32, areas of the micrographs in squared diameters.
    """
    batch = _batch_of(judge, features, micrograph, areas)
    odds = []
    with torch.inference_mode():
        for member in judge.members:
            summary = member.summarise(batch)  # type: ignore[operator]
            odds.append(member(batch, summary, member.context(batch, summary, 1)))  # type: ignore[operator]
    return _agreed(odds)


def _agreed(odds: Sequence[Tensor]) -> Values:
    """Average the members' log odds, (n,) each, and take off their doubt."""
    stack = torch.stack(list(odds)).double().numpy()
    return np.asarray(stack.mean(axis=0) - DOUBT * stack.std(axis=0))


def _batch(judge: SetJudge, described: Sequence[Described]) -> Batch:
    counts = [len(each.spots) for each in described]
    features = np.concatenate([each.features for each in described])
    areas = np.array([each.area for each in described], np.float32)
    return _batch_of(judge, features, np.repeat(np.arange(len(described)), counts), areas)


def _batch_of(judge: SetJudge, features: NDArray[np.float32], micrograph: NDArray[np.intp], areas: NDArray[np.float32]) -> Batch:
    return Batch(
        judge.standardised(torch.from_numpy(features)),
        torch.from_numpy(micrograph.astype(np.int64)),
        torch.from_numpy(areas),
        torch.zeros(len(areas), dtype=torch.int64),
        torch.ones(len(areas)),
    )
