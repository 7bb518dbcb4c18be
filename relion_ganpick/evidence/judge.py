"""Judge candidates: the set once, from some of its micrographs, then each micrograph with what came out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

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
        return [member.context(batch, 1)[0].tolist() for member in judge.members]  # type: ignore[operator]


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
        odds = np.stack(
            [
                member(batch, torch.tensor([known], dtype=torch.float32)).double().numpy()
                for member, known in zip(judge.members, context, strict=True)
            ]
        )
    return np.asarray(odds.mean(axis=0) - DOUBT * odds.std(axis=0))


def _batch(judge: SetJudge, described: Sequence[Described]) -> Batch:
    counts = [len(each.spots) for each in described]
    features = np.concatenate([each.features for each in described])
    return Batch(
        judge.standardised(torch.from_numpy(features)),
        torch.repeat_interleave(torch.arange(len(described)), torch.tensor(counts)),
        torch.tensor([each.area for each in described], dtype=torch.float32),
        torch.zeros(len(described), dtype=torch.int64),
        torch.ones(len(described)),
    )
