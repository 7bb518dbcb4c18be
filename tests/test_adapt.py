"""Adaptation of a model to one's own micrographs without labels."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from relion_ganpick.adaptation import choice
from relion_ganpick.adaptation import fine_tune as adapt_module
from relion_ganpick.adaptation.averages import HALF
from relion_ganpick.adaptation.choice import settings_of
from relion_ganpick.adaptation.fine_tune import adapt, agreement
from relion_ganpick.adaptation.lessons import AdaptSettings, Lesson, lesson, lesson_batch
from relion_ganpick.cli import main
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.lines import listening
from relion_ganpick.core.preprocess import PARTICLE_PX, normalise
from relion_ganpick.model.card import Card
from relion_ganpick.model.weights import Model, load_model
from relion_ganpick.relion.project import ProjectSettings, write_project
from relion_ganpick.synthesis.scene import CLEAN, make_scene
from relion_ganpick.training.validate import calibrate_heights, pick_held_out

CPU = torch.device("cpu")
STRAIGHT: dict[str, list[float]] = {"raw": [0.0, 1.0], "score": [0.0, 1.0]}
SHORT = AdaptSettings(rounds=1, steps=2, batch=4, crop=96, calibration_scenes=3)
EASY = replace(CLEAN, contrast=(2.5, 2.5), area_density=(0.3, 0.3), spacing=(0.9, 1.0), molecule="globule")


class Painted(nn.Module):
    """A generator that marks what is bright in the picture as particles and what is dark as contamination."""

    stride = 1

    def mark(self, picture: Tensor) -> Tensor:
        return torch.cat([picture.clamp(0, 1), (picture < 0.2).float()], dim=1)


def model_of(generator: nn.Module) -> Model:
    """A model whose figure of merit is the height of a mark."""
    return Model(generator, Card("painted", "default", {"kind": "unet"}, {}, "", 0, {}, 0.5, STRAIGHT))


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
    found = lesson(model_of(Painted()), spots(1.0, 0.6, 0.1), AdaptSettings(), CPU)
    np.testing.assert_allclose(found.centres, [[20, 32]], atol=0.1)
    assert found.marker[32, 20] == 1
    assert found.marker[:, 40:].max() == 0
    assert found.weight[32, 20] == 1
    assert found.weight[32, 60] == 0
    assert found.weight[32, 100] == 1
    np.testing.assert_array_equal(found.contaminated, found.picture < 0.2)


def test_lessons_get_average_particles_where_nothing_is_known_against_them() -> None:
    picture = np.zeros((96, 96), np.float32)
    forbidden = np.zeros_like(picture)
    forbidden[:48] = 1
    shape = np.zeros((1, 2 * HALF + 1, 2 * HALF + 1), np.float32)
    shape[:, HALF - 5 : HALF + 6, HALF - 5 : HALF + 6] = -1
    settings = AdaptSettings(batch=4, crop=96, synthetic_share=0.0, pasted=4, contrast=(2.0, 2.0), spacing=(1.0, 1.1))
    for contaminated, weight in ((forbidden, np.ones_like(picture)), (np.zeros_like(picture), 1 - forbidden)):
        taken = Lesson(picture, np.array([[40.0, 70.0]]), np.zeros_like(picture), weight, contaminated)
        pictures, targets, weights = (np.asarray(each) for each in lesson_batch([taken], shape, settings, 3))
        assert 0 < targets[:, 0].sum() < 4 * 4 * np.pi * (PARTICLE_PX / 4 + 1) ** 2
        assert targets[:, 0][(targets[:, 1] > 0) | (weights[:, 0] < 1)].max() == 0
        np.testing.assert_allclose(pictures[:, 0][targets[:, 0] == 1], -2, atol=1e-5)
    assert not picture.any()


def test_lessons_without_average_particles_are_the_micrograph() -> None:
    picture = np.random.default_rng(1).normal(size=(96, 96)).astype(np.float32)
    settings = AdaptSettings(batch=2, crop=96, synthetic_share=0.0)
    zero = np.zeros_like(picture)
    given = Lesson(picture, np.empty((0, 2)), zero, np.ones_like(picture), zero)
    pictures, targets, _ = lesson_batch([given], np.zeros((0, 2 * HALF + 1, 2 * HALF + 1), np.float32), settings, 1)
    for found in pictures[:, 0].numpy():
        turned = [np.rot90(each, k) for k in range(4) for each in (picture, picture[:, ::-1])]
        assert any(np.array_equal(found, each) for each in turned)
    assert not targets.any()


def test_a_model_that_does_not_mind_turning_agrees_with_itself() -> None:
    assert agreement(model_of(Painted()), [spots(1.0, 1.0, 0.9)], CPU) == 1.0


def test_a_model_that_marks_a_corner_does_not() -> None:
    class Corner(Painted):
        def mark(self, picture: Tensor) -> Tensor:
            marked = torch.zeros_like(picture)
            marked[..., 8:16, 8:16] = 1
            return marked

    assert agreement(model_of(Corner()), [np.zeros((80, 80), np.float32)], CPU) == 0.0


def test_fine_tuning_leaves_the_given_model_alone_and_repeats_for_a_seed() -> None:
    model = load_model("default")
    before = {name: value.clone() for name, value in model.generator.state_dict().items()}
    lines: list[str] = []
    settings = replace(SHORT, least_gain=-1.0)  # so short a lesson makes nothing better
    with listening(lines.append, lines.append):
        results = [adapt(model, pictures(4), settings, CPU) for _ in range(2)]
    for name, value in model.generator.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]
    assert "sure particles" in lines[0]
    assert results[0] is not None
    assert results[1] is not None
    first, second = (each.generator.state_dict() for each in results if each is not None)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], before[name]) for name in first)
    assert results[0].card.training["adapted"]["from"] == model.card.sha256
    own = calibrate_heights(pick_held_out(results[0].generator, CPU, SHORT.seed, range(SHORT.calibration_scenes)))
    assert results[0].card.heights == own != model.card.heights


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([np.zeros((200, 200), np.float32)], "at least two"),
        (
            [np.zeros((50, 200), np.float32)] * 3 + [np.zeros((200, 200), np.float32)],
            r"3 of 4 micrographs are less than \d+ diameters across, too small to learn from: give at least two larger",
        ),
        ([np.random.default_rng(1).normal(size=(200, 200)).astype(np.float32)] * 3, "too few particles to learn from: 0 sure"),
    ],
)
def test_what_cannot_teach_is_refused(given: list[np.ndarray], message: str) -> None:
    with pytest.raises(GanpickError, match=message):
        adapt(load_model("default"), given, SHORT, CPU)


@pytest.mark.parametrize("better", [True, False])
def test_command_writes_a_better_model_with_its_card_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], better: bool
) -> None:
    settings = ProjectSettings(n=4, width=560, height=520, angpix=6.0, diameter=180.0, kind="globule", clean=True)
    list(write_project(settings, tmp_path / "project"))
    monkeypatch.chdir(tmp_path / "project")
    answers = iter((0.2, 0.9) if better else (0.9, 0.2))
    monkeypatch.setattr(adapt_module, "agreement", lambda *_: next(answers))
    monkeypatch.setattr(choice, "settings_of", lambda **given: replace(settings_of(**given), calibration_scenes=3))
    words = ["adapt", "--in_mics", "micrographs.star", "--diameter", "180", "--out", "adapted", "--rounds", "1", "--steps", "2"]
    assert main([*words, "--device", "cpu"]) == (0 if better else 1)
    printed = capsys.readouterr().out
    card = tmp_path / "project/adapted/default-adapted.json"
    assert card.exists() == better
    if not better:
        assert printed.splitlines()[-1].endswith("keep the one that you have")
        return
    assert json.loads(card.read_text())["training"]["adapted"]["steps"] == 2
    advice = re.fullmatch(r"use it: --model (\S+) --diameter 180 --working_diameter ([\d.]+)", printed.splitlines()[-1])
    assert advice is not None
    assert load_model(advice[1]).card.name == "default-adapted"
    assert f"working diameter {advice[2]} A" in printed


def test_command_has_no_option_that_would_change_nothing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["adapt", "--in_mics", "micrographs.star", "--diameter", "180", "--out", "adapted", "--threshold", "0.5"])
