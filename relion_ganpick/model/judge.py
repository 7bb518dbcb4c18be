"""The judge of sets: a small network that judges every candidate beside all others of its micrograph, and of the whole set.

A micrograph alone cannot tell faint particles from what looks like them. All micrographs of a set can, as their particles are
alike. The network is a Deep Set (Zaheer et al. 2017) in two storeys: candidates are pooled to a summary of their micrograph,
and micrographs to a summary of the set. How much a micrograph counts in that is learned, so that ice in a few of them does not
speak against particles in the others.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from relion_ganpick.core.calibration import SPARSE

Features = NDArray[np.float32]

N_SPOT_FEATURES = 24
HIDDEN, CODE, OF_SET = 48, 16, 16
FURTHEST = 3.0  # standard deviations


@dataclass(frozen=True)
class Batch:
    """Candidates of several sets, one after the other.

    Attributes
    ----------
    x
        (n, features) float32, standardised.
    micrograph
        (n,) int64, number of each candidate's micrograph.
    area
        (m,) float32, areas of the micrographs in squared diameters.
    of_set
        (m,) int64, number of each micrograph's set.
    heard
        (m,) float32, 1 for micrographs that count when the set is summed up, 0 for others.
    """

    x: Tensor
    micrograph: Tensor
    area: Tensor
    of_set: Tensor
    heard: Tensor


@dataclass(frozen=True)
class Summary:
    """What a member makes of candidates, and of their micrographs.

    Attributes
    ----------
    code, weight
        (n, code) and (n, 1) float32, of the candidates.
    mean, whole
        (m, code) and (m, 2 code + 1) float32, of the micrographs.
    """

    code: Tensor
    weight: Tensor
    mean: Tensor
    whole: Tensor


class Member(nn.Module):
    """One judge.

    Parameters
    ----------
    hidden, code, of_set
        Width of the hidden layers, length of a candidate's code, and of what micrographs say about their set.
    """

    def __init__(self, hidden: int, code: int, of_set: int) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(N_SPOT_FEATURES, hidden), nn.ReLU(), nn.Linear(hidden, code))
        self.weigh = nn.Linear(N_SPOT_FEATURES, 1)
        summary = 2 * code + 1
        self.speak = nn.Sequential(nn.Linear(summary, hidden), nn.ReLU(), nn.Linear(hidden, of_set + 1))
        self.context_size = code + of_set + 3
        sizes = [N_SPOT_FEATURES + 2 * code + summary + self.context_size, hidden, hidden]
        layers = [layer for a, b in itertools.pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
        self.decide = nn.Sequential(*layers, nn.Linear(hidden, 1))

    def summarise(self, batch: Batch) -> Summary:
        """Sum up the micrographs of a batch."""
        code = self.encode(batch.x)
        weight = torch.sigmoid(self.weigh(batch.x))
        total = _sum(weight, batch.micrograph, len(batch.area))
        mean = _sum(weight * code, batch.micrograph, len(batch.area)) / (total + 0.5)
        spread = _sum(weight * (code - mean[batch.micrograph]) ** 2, batch.micrograph, len(batch.area)) / (total + 0.5)
        density = torch.log(total / batch.area[:, None] + SPARSE)
        return Summary(code, weight, mean, torch.cat([mean, spread.clamp(min=1e-8).sqrt(), density], dim=1))

    def context(self, batch: Batch, summary: Summary, n_sets: int) -> Tensor:
        """Sum up sets, (sets, context_size): what the micrographs that are heard say, each as loud as it has something to say."""
        spoken = self.speak(summary.whole)
        voice = torch.sigmoid(spoken[:, -1:]) * batch.heard[:, None]
        area = batch.area[:, None]
        loud = _sum(voice * area, batch.of_set, n_sets)
        opinion = _sum(voice * area * spoken[:, :-1], batch.of_set, n_sets) / (loud + 1e-3)
        counted = voice[batch.micrograph] * summary.weight
        whose = batch.of_set[batch.micrograph]
        total = _sum(counted, whose, n_sets)
        mean = _sum(counted * summary.code, whose, n_sets) / (total + 0.5)
        heard = _sum(batch.heard[:, None] * area, batch.of_set, n_sets)
        amounts = [torch.log(total / (loud + 1e-3) + SPARSE), torch.log(loud / 1000 + 0.05), loud / (heard + 1e-3)]
        return torch.cat([mean, opinion, *amounts], dim=1)

    def forward(self, batch: Batch, summary: Summary, context: Tensor, only: Tensor | None = None) -> Tensor:
        """Judge candidates with the contexts of their sets, (sets, context_size) -> (n,) log odds, or those of a few (k,)."""
        x, micrograph, code = batch.x, batch.micrograph, summary.code
        if only is not None:
            x, micrograph, code = x[only], micrograph[only], code[only]
        of_set = context[batch.of_set]
        apart = (code - summary.mean[micrograph]).abs()
        from_set = (code - of_set[micrograph][:, : code.shape[1]]).abs()
        whole = torch.cat([summary.whole, of_set], dim=1)[micrograph]
        odds: Tensor = self.decide(torch.cat([x, apart, from_set, whole], dim=1))
        return odds[:, 0]


class SetJudge(nn.Module):
    """Several judges of the same candidates, trained from different seeds.

    Parameters
    ----------
    members
        Number of judges.
    hidden, code, of_set
        Their size.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, members: int, hidden: int = HIDDEN, code: int = CODE, of_set: int = OF_SET) -> None:
        super().__init__()
        self.size = {"members": members, "hidden": hidden, "code": code, "of_set": of_set}
        self.register_buffer("mean", torch.zeros(N_SPOT_FEATURES))
        self.register_buffer("scale", torch.ones(N_SPOT_FEATURES))
        self.members = nn.ModuleList(Member(hidden, code, of_set) for _ in range(members))

    def standardised(self, features: Tensor) -> Tensor:
        """Bring features to mean 0 and deviation 1; what is further out than training goes counts as its end."""
        return ((features - self.mean) / self.scale).clamp(-FURTHEST, FURTHEST)


def _sum(values: Tensor, group: Tensor, n_groups: int) -> Tensor:
    """Add up rows by group, (n, k) and (n,) -> (groups, k)."""
    return torch.zeros(n_groups, values.shape[1], dtype=values.dtype).index_add_(0, group, values)
