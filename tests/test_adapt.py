"""Adaptation of a model to one's own micrographs without labels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from relion_ganpick.cli import main
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.preprocess import PARTICLE_PX, normalise
from relion_ganpick.model.adapt import adapt, agreement
from relion_ganpick.model.lessons import AdaptSettings, lesson
from relion_ganpick.model.weights import load_model
from relion_ganpick.relion.project import ProjectSettings, write_project
from relion_ganpick.synthesis.scene import CLEAN, make_scene

CPU = torch.device("cpu")
STRAIGHT = {"raw": [0.0, 1.0], "score": [0.0, 1.0]}
SHORT = AdaptSettings(rounds=1, steps=2, batch=4, crop=96, calibration_scenes=3)
EASY = replace(CLEAN, contrast=(2.5, 2.5), area_density=(0.3, 0.3), spacing=(0.9, 1.0), molecule="globule")


class Painted(nn.Module):
    """A generator that marks what is bright in the picture: its marks are known beforehand."""

    stride = 1

    def mark(self, picture: Tensor) -> Tensor:
        return picture.clamp(0, 1)

    def contamination(self, picture: Tensor) -> Tensor:
        return (picture < 0.2).float()


def spots(*heights: float) -> np.ndarray:
    """Discs of a marker's size, side by side, (64, 40 n) float32."""
    picture = np.zeros((64, 40 * len(heights)), np.float32)
    rows, columns = np.mgrid[:64, : picture.shape[1]]
    for k, height in enumerate(heights):
        picture[np.hypot(columns - 40 * k - 20, rows - 32) <= PARTICLE_PX / 4] = height
    return picture


def pictures(n: int) -> list[np.ndarray]:
    return [normalise(make_scene((224, 240), PARTICLE_PX, np.random.default_rng(k), EASY).pixels) for k in range(n)]


def test_lesson_tells_sure_particles_from_unsure_ones_and_background() -> None:
    found, n_sure = lesson(Painted(), spots(1.0, 0.6, 0.1), AdaptSettings(), CPU, STRAIGHT)
    assert n_sure == 1
    assert found.marker[32, 20] == 1
    assert found.marker[:, 40:].max() == 0
    assert found.weight[32, 20] == 1
    assert found.weight[32, 60] == 0
    assert found.weight[32, 100] == 1
    np.testing.assert_array_equal(found.contaminated, found.picture < 0.2)


def test_a_model_that_does_not_mind_turning_agrees_with_itself() -> None:
    assert agreement(Painted(), [spots(1.0, 1.0, 0.9)], CPU, STRAIGHT, 0.5) == 1.0


def test_a_model_that_marks_a_corner_does_not() -> None:
    class Corner(Painted):
        def mark(self, picture: Tensor) -> Tensor:
            marked = torch.zeros_like(picture)
            marked[..., 8:16, 8:16] = 1
            return marked

    assert agreement(Corner(), [np.zeros((80, 80), np.float32)], CPU, STRAIGHT, 0.5) == 0.0


def test_fine_tuning_leaves_the_given_model_alone_and_repeats_for_a_seed() -> None:
    model = load_model("default")
    before = {name: value.clone() for name, value in model.generator.state_dict().items()}
    lines: list[str] = []
    results = [adapt(model, pictures(4), SHORT, CPU, lines.append) for _ in range(2)]
    for name, value in model.generator.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]
    assert "sure particles" in lines[0]
    if results[0] is not None and results[1] is not None:
        first, second = (each.generator.state_dict() for each in results if each is not None)
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert any(not torch.equal(first[name], before[name]) for name in first)
        assert results[0].card.training["adapted"]["from"] == model.card.sha256


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([np.zeros((200, 200), np.float32)], "at least two"),
        ([np.zeros((50, 200), np.float32)] * 3, "too small to adapt"),
        ([np.random.default_rng(1).normal(size=(200, 200)).astype(np.float32)] * 3, "sure particles"),
    ],
)
def test_what_cannot_teach_is_refused(given: list[np.ndarray], message: str) -> None:
    with pytest.raises(GanpickError, match=message):
        adapt(load_model("default"), given, SHORT, CPU, lambda _: None)


def test_command_writes_a_model_with_its_card_or_says_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ProjectSettings(n=4, width=560, height=520, angpix=6.0, diameter=180.0, kind="globule", clean=True)
    list(write_project(settings, tmp_path / "project"))
    monkeypatch.chdir(tmp_path / "project")
    words = ["adapt", "--in_mics", "micrographs.star", "--diameter", "180", "--out", "adapted", "--rounds", "1", "--steps", "2"]
    status = main([*words, "--device", "cpu"])
    printed = capsys.readouterr().out
    assert "agree to" in printed
    card = tmp_path / "project/adapted/default-adapted.json"
    assert card.exists() == (status == 0)
    if status == 0:
        assert json.loads(card.read_text())["training"]["adapted"]["steps"] == 2
        assert load_model(str(card.with_suffix(".safetensors"))).card.name == "default-adapted"
    else:
        assert "keep the one that you have" in printed
