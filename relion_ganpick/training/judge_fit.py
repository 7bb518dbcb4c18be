"""Train a judge of sets on described candidates of synthetic sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from relion_ganpick.model.judge import Batch, Member, SetJudge

Features = NDArray[np.float32]

STEPS, BATCH = 2000, 20
LEARNING_RATE, WEIGHT_DECAY = 3e-3, 1e-2
JITTER = 0.05
UNHEARD = 0.4  # largest share of micrographs that a set is judged without
FOREIGN = 0.25  # share of sets that get empty micrographs of another one
AS_IF = 20  # a set's loss counts in units of its particles, as picks and misses do in F, as if there were so many more
MOST_JUDGED = 4000  # candidates that are judged in one step; all of them count in the summaries


@dataclass(frozen=True)
class JudgedSet:
    """The candidates of one set.

    Attributes
    ----------
    features
        (n, features) float32.
    right
        (n,) bool, which of them are particles.
    micrograph
        (n,) int, the micrograph that each is in, from 0.
    areas
        (m,) float32, areas of the micrographs in squared diameters.
    true
        (m,) int, particles in each.
    """

    features: Features
    right: NDArray[np.bool_]
    micrograph: NDArray[np.intp]
    areas: NDArray[np.float32]
    true: NDArray[np.intp]


def fit_judge(sets: Sequence[JudgedSet], seed: int, members: int, steps: int = STEPS) -> SetJudge | None:
    """Train a judge by cross entropy, that of each set in units of the number of its particles.

    In each step some micrographs of a set are left out of its summary and judged all the same, as the later ones of a job are;
    and some sets get empty micrographs of others.

    Parameters
    ----------
    sets
        Synthetic ones.
    seed
        Names the random streams.
    members
        Number of judges.
    steps
        Updates of each on 20 sets.

    Returns
    -------
    The judge in evaluation mode; None where there is nothing to tell apart.
    """
    sets = [each for each in sets if len(each.right)]
    if not any(each.right.any() for each in sets) or all(each.right.all() for each in sets):
        return None
    everything = np.concatenate([each.features for each in sets])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        judge = SetJudge(members)
        judge.mean.copy_(torch.from_numpy(everything.mean(axis=0)))
        judge.scale.copy_(torch.from_numpy(np.maximum(everything.std(axis=0), 1e-3)))
        x = [judge.standardised(torch.from_numpy(each.features)) for each in sets]
        for number, member in enumerate(judge.members):
            assert isinstance(member, Member)
            _fit(member, sets, x, np.random.default_rng((seed, number)), steps)
    return judge.eval().requires_grad_(False)


def _fit(member: Member, sets: Sequence[JudgedSet], x: list[Tensor], rng: np.random.Generator, steps: int) -> None:
    optimiser = torch.optim.AdamW(member.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, max(steps, 2), pct_start=0.1)
    empties = [k for k, each in enumerate(sets) if not each.right.any()]
    for _ in range(steps):
        batch, right, weight = draw(sets, x, empties, rng)
        few = torch.from_numpy(rng.permutation(len(right))[:MOST_JUDGED])
        summary = member.summarise(batch)
        odds = member(batch, summary, member.context(batch, summary, BATCH), few)
        each = F.binary_cross_entropy_with_logits(odds, right[few], reduction="none")
        loss = (each * weight[few]).sum() * (len(right) / len(few))
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(member.parameters(), 1.0)
        optimiser.step()
        schedule.step()


def draw(
    sets: Sequence[JudgedSet], x: list[Tensor], empties: Sequence[int], rng: np.random.Generator
) -> tuple[Batch, Tensor, Tensor]:
    """Draw a batch of sets: candidates, (n,) whether they are right, and (n,) their weights."""
    parts: dict[str, list[Tensor]] = {name: [] for name in ("x", "micrograph", "area", "of_set", "heard", "right", "weight")}
    n_micrographs = 0
    for number, k in enumerate(rng.integers(0, len(sets), BATCH)):
        members = [(int(k), _subset(len(sets[k].areas), rng))]
        if empties and rng.random() < FOREIGN:
            other = int(rng.choice(empties))
            members.append((other, _subset(len(sets[other].areas), rng)[:2]))
        n_set, rows = 0, 0
        for source, chosen in members:
            each = sets[source]
            place = np.full(len(each.areas), -1)
            place[chosen] = np.arange(len(chosen)) + n_micrographs + n_set
            keep = place[each.micrograph] >= 0
            n_set += len(chosen)
            rows += int(keep.sum())
            parts["x"].append(x[source][torch.from_numpy(keep)])
            parts["micrograph"].append(torch.from_numpy(place[each.micrograph][keep]))
            parts["right"].append(torch.from_numpy(each.right[keep].astype(np.float32)))
            parts["area"].append(torch.from_numpy(each.areas[chosen].astype(np.float32)))
        n_right = float(sum(each.sum() for each in parts["right"][-len(members) :]))
        parts["weight"].append(torch.full((rows,), 1 / (n_right + AS_IF) / BATCH))
        parts["of_set"].append(torch.full((n_set,), number))
        parts["heard"].append(torch.from_numpy(_heard(n_set, rng)))
        n_micrographs += n_set
    full = {name: torch.cat(values) for name, values in parts.items()}
    noisy = full["x"] + JITTER * torch.from_numpy(rng.standard_normal(full["x"].shape, dtype=np.float32))
    return Batch(noisy, full["micrograph"], full["area"], full["of_set"], full["heard"]), full["right"], full["weight"]


def _subset(n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Choose some of n micrographs, at least one, all of them as often as not."""
    n_kept = n if rng.random() < 0.5 else int(rng.integers(1, n + 1))
    return np.sort(rng.permutation(n)[:n_kept])


def _heard(n: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Choose which of n micrographs count in the summary of their set, at least one of them."""
    heard = rng.random(n) >= UNHEARD * rng.random()
    heard[int(rng.integers(n))] = True
    return heard.astype(np.float32)
