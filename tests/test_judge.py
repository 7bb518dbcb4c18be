"""The judge of sets: its network, its training, and what it is worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from relion_ganpick.evidence.judge import odds_of_set
from relion_ganpick.model.judge import N_SPOT_FEATURES, Batch, Member, SetJudge
from relion_ganpick.training.judge_fit import JudgedSet, fit_judge
from relion_ganpick.training.judge_sets import fit_curve, train_judge


@pytest.fixture
def judge() -> SetJudge:
    torch.manual_seed(1)
    return SetJudge(2).eval().requires_grad_(False)


def some(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, N_SPOT_FEATURES)).astype(np.float32)


def one_set(judge: SetJudge, features: np.ndarray, micrograph: np.ndarray, heard: list[float]) -> Batch:
    n = len(heard)
    return Batch(
        judge.standardised(torch.from_numpy(features)),
        torch.from_numpy(micrograph.astype(np.int64)),
        torch.full((n,), 50.0),
        torch.zeros(n, dtype=torch.int64),
        torch.tensor(heard),
    )


def context_of(member: Member, batch: Batch, n_sets: int) -> torch.Tensor:
    return member.context(batch, member.summarise(batch), n_sets)


def look_alike(number: int, full: bool) -> JudgedSet:
    """Three micrographs: in a full set the candidates look alike in all of them, in an empty one each looks its own way."""
    rng = np.random.default_rng(number)
    n = 3 * 12
    look = rng.normal(0, 1, (1 if full else n, N_SPOT_FEATURES)) + rng.normal(0, 0.1, (n, N_SPOT_FEATURES))
    areas = np.full(3, 100.0, np.float32)
    true = np.full(3, 12 if full else 0)
    return JudgedSet(look.astype(np.float32), np.full(n, full), np.repeat(np.arange(3), 12), areas, true)


def test_order_of_candidates_and_of_micrographs_does_not_matter(judge: SetJudge) -> None:
    features, micrograph, areas = some(40), np.repeat([0, 1], 20), np.array([50.0, 80.0], np.float32)
    there = odds_of_set(judge, features, micrograph, areas)
    order = np.random.default_rng(1).permutation(40)
    back = odds_of_set(judge, features[order], 1 - micrograph[order], areas[::-1].copy())
    np.testing.assert_allclose(back, there[order], atol=1e-5)


def test_other_micrographs_count_and_unheard_ones_do_not(judge: SetJudge) -> None:
    features, micrograph = some(40), np.repeat([0, 1], 20)
    member = judge.members[0]
    assert isinstance(member, Member)
    both = context_of(member, one_set(judge, features, micrograph, [1.0, 1.0]), 1)
    first = context_of(member, one_set(judge, features, micrograph, [1.0, 0.0]), 1)
    alone = context_of(member, one_set(judge, features[:20], micrograph[:20], [1.0]), 1)
    torch.testing.assert_close(first, alone)
    assert (both - first).abs().max() > 1e-3


def test_sets_in_one_batch_do_not_mix(judge: SetJudge) -> None:
    member = judge.members[0]
    assert isinstance(member, Member)
    features, micrograph = some(40), np.repeat([0, 1], 20)
    together = replace(one_set(judge, features, micrograph, [1.0, 1.0]), of_set=torch.tensor([0, 1]))
    alone = one_set(judge, features[20:], micrograph[20:] - 1, [1.0])
    odds = member(together, member.summarise(together), context_of(member, together, 2))
    torch.testing.assert_close(odds[20:], member(alone, member.summarise(alone), context_of(member, alone, 1)))
    few = torch.tensor([3, 30])
    torch.testing.assert_close(member(together, member.summarise(together), context_of(member, together, 2), few), odds[few])


def test_doubt_between_members_lowers_the_odds(judge: SetJudge) -> None:
    features, micrograph, areas = some(20), np.zeros(20, int), np.array([50.0], np.float32)
    each = []
    for member in judge.members:
        alone = SetJudge(1)
        alone.members[0] = member
        each.append(odds_of_set(alone.eval(), features, micrograph, areas))
    np.testing.assert_allclose(
        odds_of_set(judge, features, micrograph, areas), np.mean(each, 0) - 0.5 * np.std(each, 0), atol=1e-5
    )


def test_it_learns_that_particles_look_alike_and_says_so_of_sets_it_has_not_seen() -> None:
    sets = [look_alike(k, k % 2 == 0) for k in range(50)]
    trained = train_judge(sets, 1, 1, 200)
    assert trained is not None
    judge, curve = trained
    assert np.all(np.diff(curve["score"]) >= 0)
    for number in range(100, 106):
        unseen = look_alike(number, number % 2 == 0)
        odds = odds_of_set(judge, unseen.features, unseen.micrograph, unseen.areas)
        assert (np.median(odds) > 0) == (number % 2 == 0)


def test_training_follows_its_seed() -> None:
    sets = [look_alike(k, k % 2 == 0) for k in range(8)]
    first, same, other = (fit_judge(sets, seed, 1, 5) for seed in (1, 1, 2))
    assert first is not None
    assert same is not None
    assert other is not None
    for a, b in zip(first.state_dict().values(), same.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)
    assert any((a != b).any() for a, b in zip(first.state_dict().values(), other.state_dict().values(), strict=True))


def test_without_anything_to_tell_apart_there_is_no_judge() -> None:
    assert fit_judge([look_alike(1, False), look_alike(3, False)], 1, 1, 5) is None
    assert train_judge([look_alike(0, True)], 1, 1) is None


def test_the_curve_makes_probabilities_come_true() -> None:
    rng = np.random.default_rng(0)
    raw = [rng.uniform(0, 1, 4000) for _ in range(3)]
    right = [rng.uniform(0, 1, 4000) < each**2 for each in raw]
    curve = fit_curve(raw, right)
    np.testing.assert_allclose(np.interp([0.3, 0.6, 0.9], curve["raw"], curve["score"]), [0.09, 0.36, 0.81], atol=0.06)
    assert np.all(np.diff(curve["raw"]) >= 0)
