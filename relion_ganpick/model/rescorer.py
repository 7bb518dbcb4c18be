"""The rescorer: a small network that judges every candidate pick beside all others in the same micrograph.

A marker's height alone does not tell a faint particle among hundreds from a speck of ice in an empty hole. The particles of a
micrograph are alike, though, and contamination comes in all sizes. So what the candidates look like together decides how
much one of them is worth. A Deep Set (Zaheer et al. 2017) is the kind of network for that: it has no order and takes any number.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from relion_ganpick.core.calibration import SPARSE
from relion_ganpick.model.surroundings import N_FEATURES

Features = NDArray[np.float32]

# Set by hand when the rescorer was made; only whether there is one was measured (docs/accuracy.md, ablation).
HIDDEN, CODE = 32, 24
STEPS, BATCH = 1500, 32
LEARNING_RATE, WEIGHT_DECAY = 3e-3, 1e-3
MOST_HIDDEN = 0.3  # share of the candidates left out of a step: the same look at another density
JITTER = 0.05  # standard deviations of noise on the features, against learning scenes by heart
FURTHEST = 3.0  # standard deviations: what lies outside training misled it in version 0.3 (docs/notebook.md)


class Judge(nn.Module):
    """From the features of all candidates in a micrograph to the log odds that each is a particle.

    Every candidate gets a code and a weight; the weighted mean and standard deviation of the codes, and the sum of the weights
    per area, describe the micrograph, of whatever size it is. A candidate is judged by its features, by how far its code is
    from the mean, and by that description.

    Parameters
    ----------
    hidden, code
        Width of the hidden layers and length of a code.
    """

    def __init__(self, hidden: int, code: int) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(N_FEATURES, hidden), nn.ReLU(), nn.Linear(hidden, code))
        self.weigh = nn.Linear(N_FEATURES, 1)
        sizes = [N_FEATURES + 3 * code + 1, hidden, hidden]
        layers = [layer for a, b in itertools.pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
        self.judge = nn.Sequential(*layers, nn.Linear(hidden, 1))

    def forward(self, x: Tensor, present: Tensor, area: Tensor) -> Tensor:
        """Judge standardised features, (b, n, features), (b, n) and (b,) -> (b, n) log odds."""
        code = self.encode(x)
        weight = torch.sigmoid(self.weigh(x)) * present[..., None]
        total = weight.sum(1, keepdim=True)
        mean = (weight * code).sum(1, keepdim=True) / (total + 0.5)
        variance = (weight * (code - mean) ** 2).sum(1, keepdim=True) / (total + 0.5)
        density = torch.log(total / area[:, None, None] + SPARSE)
        whole = torch.cat([mean, variance.clamp(min=1e-8).sqrt(), density], dim=2).expand(-1, x.shape[1], -1)
        odds: Tensor = self.judge(torch.cat([x, (code - mean).abs(), whole], dim=2))
        return odds[..., 0]


class Rescorer(nn.Module):
    """Several judges of the same candidates, trained from different seeds; their log odds are averaged.

    Parameters
    ----------
    members
        Number of judges.
    hidden, code
        Their size.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, members: int, hidden: int = HIDDEN, code: int = CODE) -> None:
        super().__init__()
        self.size = {"members": members, "hidden": hidden, "code": code}
        self.register_buffer("mean", torch.zeros(N_FEATURES))
        self.register_buffer("scale", torch.ones(N_FEATURES))
        self.members = nn.ModuleList(Judge(hidden, code) for _ in range(members))

    def forward(self, features: Tensor, present: Tensor, area: Tensor) -> Tensor:
        """Judge micrographs at once.

        Parameters
        ----------
        features
            (b, n, features).
        present
            (b, n) of 0 and 1 for candidates that are there.
        area
            (b,) of the micrographs in squared diameters.

        Returns
        -------
        (b, n) log odds.
        """
        x = _standardised(features, self.mean, self.scale)
        return torch.stack([member(x, present, area) for member in self.members]).mean(0)

    def score(self, features: Features, area: float) -> NDArray[np.float64]:
        """Judge a micrograph's candidates, (n, features) float32, and its area in squared diameters -> (n,) float64 in [0, 1]."""
        with torch.inference_mode():
            odds = self(
                torch.from_numpy(features)[None], torch.ones(1, len(features)), torch.tensor([area], dtype=torch.float32)
            )[0]
        return np.asarray(torch.sigmoid(odds.double()).numpy())


@dataclass(frozen=True)
class Judged:
    """The candidates of one micrograph.

    Attributes
    ----------
    features
        (n, features) float32.
    right
        (n,) bool, which of them are particles.
    area
        Of the micrograph in squared diameters.
    """

    features: Features
    right: NDArray[np.bool_]
    area: float


def fit_rescorer(micrographs: Sequence[Judged], seed: int, members: int, steps: int = STEPS) -> Rescorer | None:
    """Train a rescorer by cross entropy; a random part of the candidates is hidden at each step, so that it learns every density.

    Parameters
    ----------
    micrographs
        Held-out synthetic ones.
    seed
        Names the random streams.
    members
        Number of judges.
    steps
        Updates of each on 32 micrographs.

    Returns
    -------
    The rescorer in evaluation mode, or None where there is nothing to tell apart: all candidates are right, or none is.
    """
    micrographs = [each for each in micrographs if len(each.right)]
    right = np.concatenate([each.right for each in micrographs]) if micrographs else np.empty(0, bool)
    if not len(right) or right.all() or not right.any():
        return None
    features, answer, present, area = _stacked(micrographs)
    everything = features[present > 0]
    mean, scale = everything.mean(0), everything.std(0, unbiased=False).clamp(min=1e-3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        rescorer = Rescorer(members)
        rescorer.mean.copy_(mean)
        rescorer.scale.copy_(scale)
        for member in rescorer.members:
            assert isinstance(member, Judge)
            _fit(member, _standardised(features, mean, scale), answer, present, area, steps)
    return rescorer.eval().requires_grad_(False)


def _standardised(features: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Bring features to mean 0 and deviation 1; what is further out than training goes counts as its end."""
    return ((features - mean) / scale).clamp(-FURTHEST, FURTHEST)


def _fit(member: Judge, features: Tensor, answer: Tensor, present: Tensor, area: Tensor, steps: int) -> None:
    """Train one judge on standardised features."""
    optimiser = torch.optim.AdamW(member.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    for _ in range(steps):
        chosen = torch.randint(len(features), (BATCH,))
        longest = int(present[chosen].sum(1).max())
        x, wanted, there = (each[chosen, :longest] for each in (features, answer, present))
        there = there * (torch.rand_like(there) > MOST_HIDDEN * torch.rand(BATCH, 1))
        odds = member(x + JITTER * torch.randn_like(x), there, area[chosen])
        loss = (F.binary_cross_entropy_with_logits(odds, wanted, reduction="none") * there).sum() / there.sum().clamp(min=1)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()


def _stacked(micrographs: Sequence[Judged]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Put micrographs of different numbers of candidates into one tensor each: features, whether right, whether there, area."""
    longest = max(len(each.right) for each in micrographs)
    features = torch.zeros(len(micrographs), longest, N_FEATURES)
    answer, present = torch.zeros(2, len(micrographs), longest)
    for k, each in enumerate(micrographs):
        n = len(each.right)
        features[k, :n] = torch.from_numpy(each.features)
        answer[k, :n] = torch.from_numpy(each.right.astype(np.float32))
        present[k, :n] = 1
    return features, answer, present, torch.tensor([each.area for each in micrographs], dtype=torch.float32)
