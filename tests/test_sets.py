"""Synthetic data sets: one molecule, several micrographs, with particles and without; and what is made of them for a judge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from relion_ganpick.model.judge import N_SPOT_FEATURES
from relion_ganpick.model.networks import UNetGenerator
from relion_ganpick.synthesis.scene import Scene, make_scene
from relion_ganpick.synthesis.scene_settings import SceneSettings
from relion_ganpick.training import sets
from relion_ganpick.training.judge_sets import describe_synthetic, synthetic_sets
from relion_ganpick.training.sets import IN_PART, KINDS, make_set


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "SIDES_ALONE", (100, 120))
    monkeypatch.setattr(sets, "SIDES", (90, 110))


def test_a_number_names_a_set() -> None:
    first, again, other = make_set(1, 4), make_set(1, 4), make_set(1, 5)
    assert (first.kind, first.blindness) == (again.kind, again.blindness)
    for a, b in zip(first.micrographs, again.micrographs, strict=True):
        np.testing.assert_array_equal(a.picture, b.picture)
        np.testing.assert_array_equal(a.centres, b.centres)
    assert first.micrographs[0].picture.shape != other.micrographs[0].picture.shape


def test_kinds_of_sets_differ_in_what_they_hold() -> None:
    found: dict[str, list[tuple[int, float]]] = {kind: [] for kind in KINDS}
    blind = []
    for number in range(40):
        made = make_set(3, number)
        assert 1 <= len(made.micrographs) <= 10
        blind.append(made.blindness > 0)
        for each in made.micrographs:
            assert each.picture.dtype == np.float32
            assert np.isfinite(each.picture).all()
            area = each.picture.size / 256
            assert len(each.centres) <= 1.5 * area
            assert (each.centres >= -8).all()
            found[made.kind].append((len(each.centres), len(each.centres) / area))
    assert all(found.values())
    assert 0.1 < np.mean(blind) < 0.6
    assert not any(count for count, _ in found["empty"])
    assert np.mean([density for _, density in found["sparse"]]) < 0.15
    assert max(density for _, density in found["faint"]) > 0.3


def test_dirt_does_not_tell_whether_there_are_particles(monkeypatch: pytest.MonkeyPatch) -> None:
    dirty: dict[bool, list[int]] = {True: [], False: []}

    def note(_sides: object, _diameter: object, _grid: object, settings: SceneSettings, *_: object) -> Scene:
        occurring.append(sum(getattr(settings, name) > 0 for name in IN_PART if name not in ("fragments", "heaps")))
        return blank

    blank = make_scene((64, 64), 16.0, np.random.default_rng(0))
    monkeypatch.setattr(sets, "_scene", note)
    for number in range(400):
        occurring: list[int] = []
        made = make_set(7, number)
        dirty[made.kind == "empty"].append(occurring[0])
    assert abs(np.mean(dirty[True]) - np.mean(dirty[False])) < 0.5
    assert np.mean(dirty[True]) > 1


def test_a_blind_generator_marks_less_and_sees_the_same_contamination() -> None:
    torch.manual_seed(0)
    generator = UNetGenerator(4, 2, 2).eval().requires_grad_(False)
    made = make_set(1, 4)
    seeing, _ = describe_synthetic(generator, torch.device("cpu"), replace(made, blindness=0.0))
    blind, _ = describe_synthetic(generator, torch.device("cpu"), replace(made, blindness=4.0))
    assert np.mean(blind[0].spots.mark) < np.mean(seeing[0].spots.mark) - 2
    assert blind[0].features[0, 15] == seeing[0].features[0, 15]


def test_described_sets_are_kept_and_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    generator = UNetGenerator(4, 2, 2).eval().requires_grad_(False)
    first = list(synthetic_sets(generator, torch.device("cpu"), 1, 3, tmp_path))
    assert len(list(tmp_path.glob("*.npz"))) == 3
    for each in first:
        assert each.features.shape == (len(each.right), N_SPOT_FEATURES)
        assert len(each.micrograph) == len(each.right)
        assert each.micrograph.max() < len(each.areas) == len(each.true)

    def refuse(*_: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr("relion_ganpick.training.judge_sets.make_set", refuse)
    again = list(synthetic_sets(generator, torch.device("cpu"), 1, 3, tmp_path))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.features, b.features)
        np.testing.assert_array_equal(a.right, b.right)
