"""The commands ``ganpick train`` and ``ganpick models``."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import partial
from pathlib import Path

import pytest
import torch

from relion_ganpick.cli import main
from relion_ganpick.commands import train
from relion_ganpick.commands.scene_option import read_scene
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.model import rescorer, weights
from relion_ganpick.model.card import Card
from relion_ganpick.model.networks import UNetGenerator
from relion_ganpick.model.weights import Model, load_model, save_model
from relion_ganpick.synthesis.scene import SceneSettings
from relion_ganpick.training import judge_sets, validate
from relion_ganpick.training.presets import PaperSettings, TrainSettings
from relion_ganpick.training.validate import figures_of, pick_held_out

TINY = ["--width", "4", "--levels", "2", "--discriminator_width", "4", "--steps", "2", "--batch", "2", "--crop", "32"]
TINY += ["--validate_every", "1", "--validation_scenes", "1", "--calibration_scenes", "1", "--workers", "0", "--device", "cpu"]
WITHOUT_JUDGES = ["--rescorers", "0", "--judge_sets", "0"]


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with one small model, called tiny."""
    torch.manual_seed(1)
    calibration = {"raw": [0.0, 1.0], "score": [0.0, 1.0]}
    network = {"kind": "unet", "width": 4, "levels": 2}
    figures = {"f1": 0.625, "average_precision": 0.5}
    card = Card("tiny", "default", network, {}, "none", 7, figures, 0.25, calibration)
    save_model(Model(UNetGenerator(4, 2), card), tmp_path)
    monkeypatch.setattr(weights, "SHIPPED", tmp_path)
    return tmp_path


def test_train_writes_a_model_that_picks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(validate, "fit_rescorer", partial(rescorer.fit_rescorer, steps=3))
    monkeypatch.setattr(judge_sets, "train_judge", partial(judge_sets.train_judge, steps=3))
    judges = ["--rescorers", "1", "--judge_sets", "2", "--judges", "1"]
    assert main(["train", "--out", str(tmp_path), "--seed", "3", *TINY, *judges]) == 0
    assert len(list((tmp_path / judge_sets.SETS).iterdir())) == 2
    path = tmp_path / "default.safetensors"
    assert f"use them: ganpick pick ... --model {path}" in capsys.readouterr().out
    card = json.loads(path.with_suffix(".json").read_text())
    assert (card["steps"], card["training"]["seed"], card["network"]["width"]) == (2, 3, 4)
    assert {"raw", "score"} <= card["heights"].keys()
    size = ["--n", "1", "--width", "300", "--height", "200", "--angpix", "6"]
    assert main(["simulate", "--out", str(tmp_path / "s"), *size]) == 0
    micrograph = str(tmp_path / "s/Micrographs/mic001.mrc")
    words = ["pick", micrograph, "--diameter", "180", "--out", str(tmp_path / "p"), "--device", "cpu"]
    assert main([*words, "--model", str(path)]) == 0
    assert (tmp_path / "p/mic001_autopick.star").is_file()


def test_train_goes_on_only_when_told_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--out", str(tmp_path), *TINY, *WITHOUT_JUDGES]
    assert main(words) == 0
    assert main(words) == 1
    assert "give --resume to go on with it, or another --out" in capsys.readouterr().err
    assert main([*words, "--resume"]) == 0
    assert "resuming at step 2 of 2" in capsys.readouterr().out
    assert main([*words, "--resume", "--seed", "9"]) == 1
    assert "seed: 1 -> 9" in capsys.readouterr().err


def test_resume_without_a_checkpoint_starts_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--out", str(tmp_path), *TINY, *WITHOUT_JUDGES, "--resume"]) == 0
    assert "starting at step 0" in capsys.readouterr().out
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("steps", "0", "--steps 0: give at least 1"),
        ("crop", "50", "--crop 50: give a multiple of 16"),
        ("crop", "16", "--crop 16: give a multiple of 16 (2 to the power of --levels), at least 32"),
        ("average", "1", "--average 1: give a number from 0 to less than 1"),
        ("learning_rate", "0", "--learning_rate 0: give a positive number"),
        ("l1_weight", "-1", "--l1_weight -1: give 0 or a positive number"),
        ("workers", "-1", "--workers -1: give 0"),
        ("device", "cuda:77", "--device cuda:77: PyTorch sees"),
    ],
)
def test_train_refuses_senseless_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, message: str
) -> None:
    assert main(["train", "--out", str(tmp_path / "x"), f"--{option}", value]) == (4 if option == "device" else 1)
    assert capsys.readouterr().err.startswith(f"ganpick: {message}")
    assert not (tmp_path / "x").exists()


def test_every_training_setting_is_an_option() -> None:
    settings = {each.name for preset in (TrainSettings, PaperSettings) for each in fields(preset)}
    assert {"preset", *train.TEXTS} == settings


def test_scene_option_changes_what_is_named_and_nothing_else() -> None:
    assert read_scene(["ice=0", "contrast=0.7,2"]) == SceneSettings(ice=0, contrast=(0.7, 2.0))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("snow=1", "'snow' is not known; the names are strong, faint, empty, clean, phase_plate"),
        ("ice=2", "ice as a share from 0 to 1"),
        ("ice=", "ice as a share"),
        ("contrast=1", "two positive numbers, the lower first"),
        ("contrast=3,2", "two positive numbers, the lower first"),
    ],
)
def test_scene_option_refuses_what_it_cannot_do(word: str, message: str) -> None:
    with pytest.raises(GanpickError, match=message):
        read_scene([word])


def test_models_are_listed_with_their_figures(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["name", "preset", "parameters", "steps", "threshold", "F1", "AP", "MB"]
    assert row.split()[:2] + row.split()[3:7] == ["tiny", "default", "7", "0.250", "0.625", "0.500"]
    assert int(row.split()[2]) == sum(weight.numel() for weight in UNetGenerator(4, 2).parameters())


def test_models_verify_finds_a_changed_file(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "verify"]) == 0
    assert capsys.readouterr().out.startswith("tiny: ok, sha256 ")
    path = shipped / "tiny.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert main(["models", "verify"]) == 1
    answer = capsys.readouterr()
    assert answer.out == "tiny: FAILED\n"
    assert str(path) in answer.err


def test_models_verify_takes_paths(shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "verify", str(shipped / "tiny.safetensors"), str(tmp_path / "none.safetensors")]) == 1
    assert [line.partition(": ")[2][:2] for line in capsys.readouterr().out.splitlines()] == ["ok", "ok", "FA"]


def test_models_show_prints_the_card_and_the_networks_figures(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "tiny"]) == 0
    path, _, card = capsys.readouterr().out.partition("\n")
    assert path == str(shipped / "tiny.safetensors")
    content, end = json.JSONDecoder().raw_decode(card)
    assert content["steps"] == 7
    n_parameters = sum(weight.numel() for weight in UNetGenerator(4, 2).parameters())
    assert card[end:].strip().startswith(f"generator: {n_parameters} parameters, ")


def test_shipped_models_are_whole() -> None:
    assert main(["models", "verify"]) == 0


def test_the_default_models_card_has_the_figures_of_its_validation_scenes() -> None:
    model = load_model("default")
    settings = model.card.training
    scenes = range(settings["validation_scenes"])
    held_out = pick_held_out(model.generator, torch.device("cpu"), settings["seed"], scenes)
    items = held_out.rescored(model.rescorer, model.card.calibration)
    assert figures_of(items, model.card.threshold) == pytest.approx(model.card.metrics, abs=0.01)
