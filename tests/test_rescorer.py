"""The rescorer: its network, its training, its place in a model, and the features that it sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from candidates import empty_and_full
from scipy.special import logit

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.model.card import Card
from relion_ganpick.model.describe import describe_networks
from relion_ganpick.model.networks import UNetGenerator
from relion_ganpick.model.rescorer import Judged, Rescorer, fit_rescorer
from relion_ganpick.model.surroundings import N_FEATURES, RINGS, features_of
from relion_ganpick.model.weights import Model, load_model, save_model

STRAIGHT: dict[str, list[float]] = {"raw": [0.0, 1.0], "score": [0.0, 1.0]}
CARD = Card("m", "default", {"kind": "unet", "width": 4, "levels": 2, "outputs": 2}, {}, "", 0, {}, 0.5, STRAIGHT)


@pytest.fixture
def rescorer() -> Rescorer:
    torch.manual_seed(1)
    return Rescorer(2).eval().requires_grad_(False)


def candidates(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, N_FEATURES)).astype(np.float32)


def test_order_does_not_matter(rescorer: Rescorer) -> None:
    features = candidates(30)
    order = np.random.default_rng(1).permutation(30)
    np.testing.assert_allclose(rescorer.score(features[order], 50.0), rescorer.score(features, 50.0)[order], atol=1e-6)


def test_candidates_that_are_not_there_do_not_count(rescorer: Rescorer) -> None:
    features = torch.from_numpy(candidates(30)[None])
    present = torch.ones(1, 30)
    present[:, 20:] = 0
    area = torch.tensor([50.0])
    torch.testing.assert_close(rescorer(features, present, area)[:, :20], rescorer(features[:, :20], torch.ones(1, 20), area))


def test_others_in_the_micrograph_do(rescorer: Rescorer) -> None:
    features = candidates(30)
    assert abs(rescorer.score(features, 50.0)[:5] - rescorer.score(features[:5], 50.0)).max() > 1e-3


def test_a_micrograph_four_times_as_large_with_four_times_as_many_is_judged_alike(rescorer: Rescorer) -> None:
    features = candidates(200)
    np.testing.assert_allclose(
        rescorer.score(np.tile(features, (4, 1)), 4000.0)[:200], rescorer.score(features, 1000.0), atol=2e-3
    )
    assert abs(rescorer.score(features, 4000.0) - rescorer.score(features, 1000.0)).max() > 1e-3


def test_what_is_further_out_than_training_goes_counts_as_its_end(rescorer: Rescorer) -> None:
    features = candidates(30)
    far, further = features.copy(), features.copy()
    far[0, 3], further[0, 3] = 3.0, 300.0
    np.testing.assert_array_equal(rescorer.score(far, 50.0), rescorer.score(further, 50.0))


def test_log_odds_of_the_members_are_averaged(rescorer: Rescorer) -> None:
    features = candidates(10)
    parts = []
    for member in rescorer.members:
        single = Rescorer(1).eval()
        single.members[0].load_state_dict(member.state_dict())
        parts.append(logit(single.score(features, 50.0)))
    np.testing.assert_allclose(logit(rescorer.score(features, 50.0)), np.mean(parts, axis=0), atol=1e-5)


def test_no_candidates_have_no_scores(rescorer: Rescorer) -> None:
    assert rescorer.score(candidates(0), 50.0).shape == (0,)


def test_it_learns_that_particles_look_alike() -> None:
    fitted = fit_rescorer(empty_and_full(100, 1).judged(), seed=1, members=1, steps=300)
    assert fitted is not None
    others = empty_and_full(40, 2).judged()
    right = np.concatenate([each.right for each in others])
    score = np.concatenate([fitted.score(each.features, each.area) for each in others])
    assert score[right].mean() > 0.9
    assert score[~right].mean() < 0.1


def test_training_repeats_for_a_seed_and_leaves_other_random_numbers_alone() -> None:
    examples = empty_and_full(10, 1).judged()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (fit_rescorer(examples, seed, members=2, steps=3) for seed in (1, 1, 2))
    torch.testing.assert_close(torch.rand(3), expected)
    assert first is not None
    assert again is not None
    assert other is not None
    features = candidates(9)
    np.testing.assert_array_equal(first.score(features, 50.0), again.score(features, 50.0))
    assert abs(first.score(features, 50.0) - other.score(features, 50.0)).max() > 1e-3


@pytest.mark.parametrize("right", [True, False])
def test_where_all_are_alike_there_is_nothing_to_learn(right: bool) -> None:
    assert fit_rescorer([Judged(candidates(5), np.full(5, right), 50.0)], seed=1, members=1) is None
    assert fit_rescorer([], seed=1, members=1) is None


def test_a_model_keeps_its_rescorer_on_disk(tmp_path: Path, rescorer: Rescorer) -> None:
    model = Model(UNetGenerator(4, 2, 2).eval(), CARD, rescorer)
    loaded = load_model(str(save_model(model, tmp_path)))
    assert loaded.card.rescorer == {"members": 2, "hidden": 32, "code": 24}
    assert loaded.rescorer is not None
    np.testing.assert_array_equal(loaded.rescorer.score(candidates(9), 50.0), rescorer.score(candidates(9), 50.0))
    assert describe_networks(loaded.card)[-1].startswith("rescorer: ")
    assert load_model(str(save_model(Model(model.generator, CARD), tmp_path))).rescorer is None


def test_a_rescorer_that_the_card_does_not_know_is_refused(tmp_path: Path, rescorer: Rescorer) -> None:
    path = save_model(Model(UNetGenerator(4, 2, 2).eval(), CARD, rescorer), tmp_path)
    card = path.with_suffix(".json")
    card.write_text(card.read_text().replace('"members": 2', '"members": 1'))
    with pytest.raises(GanpickError, match="do not fit their card"):
        load_model(str(path))


def test_merits_come_from_the_rescorer_and_then_the_curve(rescorer: Rescorer) -> None:
    rng = np.random.default_rng(3)
    picture, marked = rng.normal(size=(80, 90)).astype(np.float32), rng.random((2, 80, 90)).astype(np.float32)
    picks = Picks(np.array([10.0, 50.0]), np.array([20.0, 60.0]), np.array([0.3, 0.9]))
    half: dict[str, list[float]] = {"raw": [0.0, 1.0], "score": [0.0, 0.5]}
    model = Model(UNetGenerator(4, 2, 2), replace(CARD, calibration=half), rescorer)
    found = model.rescored(picks, picture, marked)
    np.testing.assert_array_equal(found.xy, picks.xy)
    np.testing.assert_allclose(found.score, rescorer.score(features_of(picks, picture, marked), picture.size / 256) / 2)
    np.testing.assert_allclose(replace(model, rescorer=None).rescored(picks, picture, marked).score, [0.15, 0.45])


def test_by_heights_the_rescorer_does_not_count_and_the_density_does(rescorer: Rescorer) -> None:
    picture, marked = np.zeros((64, 64), np.float32), np.zeros((2, 64, 64), np.float32)
    picks = Picks(np.array([10.0]), np.array([20.0]), np.array([0.6]))
    heights = {"raw": [0.0, 1.0], "score": [0.0, 1.0], "context": [0.0, 1.0, 1.0]}
    model = Model(UNetGenerator(4, 2, 2), replace(CARD, heights=heights), rescorer)
    odds = 0.6 / 0.4 * (0.6 / 16 + 0.002)  # 16 squared diameters
    np.testing.assert_allclose(model.by_heights().rescored(picks, picture, marked).score, [odds / (1 + odds)])
    assert replace(model, card=CARD).by_heights().rescorer is rescorer


def test_features_are_what_they_say() -> None:
    rows, columns = np.mgrid[:120, :150]
    away = np.hypot(rows - 60, columns - 70) / PARTICLE_PX
    picture = np.where(away < RINGS[2], 2.0, np.where(away < RINGS[5], -1.0, 0.0)).astype(np.float32)
    marker, dirt = np.where(away < 0.25, 1.0, 0.0).astype(np.float32), np.full(picture.shape, 0.04, np.float32)
    picks = Picks(np.array([70.0, 20.0]), np.array([60.0, 100.0]), np.array([0.8, 0.5]))
    at, elsewhere = features_of(picks, picture, np.stack([marker, dirt])).astype(float)
    assert at[0] == pytest.approx(np.log(4))
    assert elsewhere[0] == 0
    np.testing.assert_allclose(at[1 : len(RINGS)], [2.0] * 2 + [-1.0] * 3 + [0.0] * (len(RINGS) - 6), atol=1e-5)
    np.testing.assert_allclose(elsewhere[1 : len(RINGS)], 0)
    assert at[-3] == pytest.approx(np.log(1 + marker.sum()))
    assert elsewhere[-3] == 0
    np.testing.assert_allclose(at[-2:], 0.2, rtol=1e-5)


def test_features_do_not_mind_turning() -> None:
    rng = np.random.default_rng(4)
    picture, marked = rng.normal(size=(90, 90)).astype(np.float32), rng.random((2, 90, 90)).astype(np.float32)
    picks = Picks(np.array([10.0, 88.0]), np.array([44.0, 3.0]), np.array([0.5, 0.5]))
    turned = Picks(picks.y, 89 - picks.x, picks.score)
    features = features_of(picks, picture, marked)
    again = features_of(turned, np.rot90(picture).copy(), np.rot90(marked, axes=(1, 2)).copy())
    np.testing.assert_allclose(again, features, atol=1e-5)


def test_without_a_second_output_there_is_no_contamination() -> None:
    picture = np.zeros((60, 60), np.float32)
    picks = Picks(np.array([30.0]), np.array([30.0]), np.array([0.5]))
    one = features_of(picks, picture, np.ones((1, 60, 60), np.float32))
    two = features_of(picks, picture, np.stack([np.ones((60, 60), np.float32), np.zeros((60, 60), np.float32)]))
    np.testing.assert_array_equal(one, two)
