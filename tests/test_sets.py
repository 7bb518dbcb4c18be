"""Synthetic data sets: one molecule, several micrographs, with particles and without; and what is made of them for a judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from relion_ganpick.model.judge import N_SPOT_FEATURES
from relion_ganpick.model.networks import UNetGenerator
from relion_ganpick.training import sets
from relion_ganpick.training.judge_sets import synthetic_sets
from relion_ganpick.training.sets import KINDS, make_set


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "SIDES_ALONE", (100, 120))
    monkeypatch.setattr(sets, "SIDES", (90, 110))


def test_a_number_names_a_set() -> None:
    first, again, other = make_set(1, 4), make_set(1, 4), make_set(1, 5)
    assert first[0] == again[0]
    assert len(first[1]) == len(again[1])
    for a, b in zip(first[1], again[1], strict=True):
        np.testing.assert_array_equal(a.picture, b.picture)
        np.testing.assert_array_equal(a.centres, b.centres)
    assert first[1][0].picture.shape != other[1][0].picture.shape


def test_kinds_of_sets_differ_in_what_they_hold() -> None:
    found: dict[str, list[tuple[int, float]]] = {kind: [] for kind in KINDS}
    for number in range(40):
        kind, micrographs = make_set(3, number)
        assert 1 <= len(micrographs) <= 6
        for each in micrographs:
            assert each.picture.dtype == np.float32
            assert np.isfinite(each.picture).all()
            area = each.picture.size / 256
            assert len(each.centres) <= 1.5 * area
            assert (each.centres >= -8).all()
            found[kind].append((len(each.centres), len(each.centres) / area))
    assert all(found.values())
    assert not any(count for count, _ in found["empty"])
    assert np.mean([density for _, density in found["sparse"]]) < 0.15
    assert max(density for _, density in found["faint"]) > 0.3


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
