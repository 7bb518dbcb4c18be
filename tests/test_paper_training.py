"""Training as in the paper: exact resume, the three adversarial losses, the weights that come out, and picking with them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from relion_ganpick import Picker, PickSettings
from relion_ganpick.cli import main
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.model.weights import load_model
from relion_ganpick.synthesis.paper import make_pair
from relion_ganpick.training.checkpoint import TrainingRun
from relion_ganpick.training.paper_train import PaperTrainer
from relion_ganpick.training.presets import PRESETS, PaperSettings, TrainSettings
from relion_ganpick.training.train import Trainer

CPU = torch.device("cpu")
TINY = PaperSettings(
    width=2,
    levels=5,
    discriminator_width=2,
    epochs=3,
    pairs=3,
    size=32,
    shape_diameter=(5, 8),
    shape_number=(3, 9),
    walk_length=(5, 30),
    marker_size=7,
    validate_every=4,
    validation_pairs=2,
)
DEFAULT = TrainSettings(
    width=2,
    levels=2,
    discriminator_width=2,
    steps=6,
    batch=2,
    crop=32,
    validate_every=6,
    validation_scenes=1,
    calibration_scenes=1,
    rescorers=0,
    judge_sets=0,
    learning_rate=0.01,
)
WORDS = ["--width", "2", "--levels", "5", "--discriminator_width", "2", "--epochs", "2", "--pairs", "2", "--size", "32"]
WORDS += ["--shape_diameter", "5", "8", "--shape_number", "3", "9", "--validate_every", "2", "--validation_pairs", "1"]
WORDS += ["--device", "cpu"]


def start(settings: PaperSettings | TrainSettings, folder: Path) -> PaperTrainer | Trainer:
    folder.mkdir(exist_ok=True)
    return PaperTrainer(settings, folder, CPU) if isinstance(settings, PaperSettings) else Trainer(settings, folder, CPU, False)


def go_to(run: PaperTrainer | Trainer, step: int) -> None:
    """Update, without what else a run does, up to a step."""
    if isinstance(run, PaperTrainer):
        pairs = [make_pair(run.settings, k) for k in range(run.settings.pairs)]
        while run.step < step:
            run.update(*run.batch(pairs))
    elif run.step < step:
        for picture, marker in run._pairs(0):
            run.update(picture, marker)
            if run.step == step:
                return


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_averaged_weights_of_the_paper_preset_are_saved_and_zero_saves_the_last_ones(tmp_path: Path, average: float) -> None:
    run = PaperTrainer(replace(TINY, average=average), tmp_path, CPU)
    go_to(run, 6)
    saved = load_model(str(run.finish())).generator.state_dict()
    last, mean = run.generator.state_dict(), run.average.state_dict()
    assert all(torch.allclose(saved[name], mean[name], rtol=1e-3, atol=1e-6) for name in saved)  # saved in 16 bits
    assert all(torch.equal(mean[name], last[name]) for name in saved) == (average == 0)


def state(run: TrainingRun) -> dict[str, torch.Tensor]:
    """All numbers of a run, those of the optimisers too, by name."""
    found = {}
    for part in run.parts:
        each = getattr(run, part).state_dict()
        if isinstance(getattr(run, part), nn.Module):
            found |= {f"{part}.{name}": value for name, value in each.items()}
        else:
            found |= {f"{part}.{k}.{name}": value for k, values in each["state"].items() for name, value in values.items()}
    return found


@pytest.mark.parametrize(
    "settings", [TINY, replace(TINY, adversarial_loss="cross_entropy"), DEFAULT], ids=["paper", "entropy", "default"]
)
def test_interrupted_and_resumed_run_ends_with_the_same_weights(tmp_path: Path, settings: PaperSettings | TrainSettings) -> None:
    whole = start(settings, tmp_path / "whole")
    go_to(whole, settings.steps)
    at = int(np.random.default_rng().integers(1, settings.steps))
    first = start(settings, tmp_path / "broken")
    go_to(first, at)
    first.checkpoint()
    go_to(first, at + 1)  # what came after the checkpoint is lost
    second = start(settings, tmp_path / "broken")
    second.resume()
    assert second.step == at
    go_to(second, settings.steps)
    expected, found = state(whole), state(second)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), f"{name} differs after an interruption at step {at}"


def test_run_that_ended_goes_on_with_more_epochs_but_not_with_other_settings(tmp_path: Path) -> None:
    short = start(replace(TINY, epochs=1), tmp_path)
    short.run(progress=False)
    longer = start(replace(TINY, epochs=2), tmp_path)
    longer.resume()
    assert longer.step == 3
    longer.run(progress=False)
    whole = start(replace(TINY, epochs=2), tmp_path / "whole")
    go_to(whole, 6)
    assert all(torch.equal(value, state(longer)[name]) for name, value in state(whole).items())
    with pytest.raises(GanpickError, match=r"fade: \[0.15, 0.35\] -> \[0.2, 0.4\]"):
        start(replace(TINY, fade=(0.2, 0.4)), tmp_path).resume()


def test_checkpoint_of_an_earlier_version_had_the_new_settings_at_their_defaults(tmp_path: Path) -> None:
    run = start(DEFAULT, tmp_path)
    go_to(run, 1)
    run.checkpoint()
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    settings = json.loads(saved["settings"])
    del settings["adversarial_loss"]
    torch.save(saved | {"settings": json.dumps(settings)}, tmp_path / "checkpoint.pt")
    start(DEFAULT, tmp_path).resume()
    with pytest.raises(GanpickError, match="adversarial_loss: mean_squared -> none"):
        start(replace(DEFAULT, adversarial_loss="none"), tmp_path).resume()


@pytest.mark.parametrize("settings", [TINY, DEFAULT], ids=["paper", "default"])
def test_each_adversarial_loss_teaches_something_else(tmp_path: Path, settings: PaperSettings | TrainSettings) -> None:
    ends = {}
    for loss in ("cross_entropy", "mean_squared", "none"):
        run = start(replace(settings, adversarial_loss=loss, adversarial_weight=1.0), tmp_path)
        before = [weight.clone() for weight in run.discriminator.parameters()]
        go_to(run, 3)
        still = all(torch.equal(a, b) for a, b in zip(before, run.discriminator.parameters(), strict=True))
        assert still == (loss == "none")
        ends[loss] = torch.cat([weight.flatten() for weight in run.generator.parameters()])
    assert not torch.equal(ends["cross_entropy"], ends["mean_squared"])
    assert not torch.equal(ends["mean_squared"], ends["none"])


def test_one_step_is_equations_5_and_6(tmp_path: Path) -> None:
    """A step worked out anew: discriminator by equation 5, then generator by equation 6, each by Adam."""
    settings = replace(TINY, dropout=0.0)
    run, other = start(settings, tmp_path), start(settings, tmp_path)
    picture, truth = run.batch([make_pair(settings, k) for k in range(3)])
    values = run.update(picture, truth)
    generator, discriminator = other.generator.train(), other.discriminator.train()
    output = generator(picture)
    loss = ((discriminator(picture, truth) - 1) ** 2).mean() + (discriminator(picture, output.detach()) ** 2).mean()
    torch.autograd.backward(loss)
    torch.optim.Adam(discriminator.parameters(), 2e-4, (0.5, 0.999)).step()
    on_real, on_fake = discriminator(picture, truth).detach(), discriminator(picture, output)
    objective = ((on_real - on_fake) ** 2).mean() + 100 * (truth - output).abs().mean()
    generator.zero_grad()
    torch.autograd.backward(objective)
    torch.optim.Adam(generator.parameters(), 2e-4, (0.5, 0.999)).step()
    for ours, theirs in ((run.generator, generator), (run.discriminator, discriminator)):
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert values["discriminator"] == pytest.approx(loss.item(), rel=1e-4)
    assert values["adversarial"] + 100 * values["l1"] == pytest.approx(objective.item(), rel=1e-4)


def test_every_pair_is_shown_once_an_epoch_in_changing_order(tmp_path: Path) -> None:
    run = start(replace(TINY, pairs=7, batch=2, epochs=2), tmp_path)
    pairs = [make_pair(run.settings, k) for k in range(7)]
    first = {pair.picture.tobytes(): k for k, pair in enumerate(pairs)}
    orders = []
    for step in range(run.settings.steps):
        run.step = step
        picture, truth = run.batch(pairs)
        assert picture.shape == truth.shape == (1 if step % 4 == 3 else 2, 1, 32, 32)
        orders += [first[np.rint(255 * each[0].numpy()).astype(np.uint8).tobytes()] for each in picture]
    assert sorted(orders[:7]) == sorted(orders[7:]) == list(range(7))
    assert orders[:7] != orders[7:]


def test_training_learns_to_mark(tmp_path: Path) -> None:
    settings = replace(TINY, width=8, levels=4, size=64, epochs=70, learning_rate=0.003, fade=(0.25, 0.3), dropout=0.0)
    settings = replace(settings, shape_diameter=(10, 10), shape_number=(12, 14), walk_length=(300, 400), marker_size=9)
    run = start(replace(settings, noise_spread=(15.0, 15.0)), tmp_path)
    pairs = run.held_out = [make_pair(run.settings, k) for k in range(3)]
    before = run.validate()["f1"]
    while run.step < 210:
        run.update(*run.batch(pairs))
    assert before < 0.2
    assert run.validate()["f1"] > 0.6


def test_train_command_writes_a_model_that_picks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["train", "--preset", "paper", "--out", str(out), *WORDS]) == 0
    assert "device cpu, float32" in capsys.readouterr().out
    card = json.loads((out / "paper.json").read_text())
    assert (card["network"], card["localization"], card["threshold"]) == (
        {"kind": "paper", "width": 2, "levels": 5},
        "regions",
        0.0,
    )
    assert (card["steps"], card["training"]["fade"]) == (4, [0.15, 0.35])
    assert main(["models", "show", str(out / "paper.safetensors")]) == 0
    assert "\ndiscriminator: " in capsys.readouterr().out
    assert main(["train", "--preset", "paper", "--out", str(out), *WORDS, "--resume", "--epochs", "3"]) == 0
    assert "resuming at step 4 of 6" in capsys.readouterr().out
    picker = Picker(PickSettings(diameter=100.0, model=str(out / "paper.safetensors")), "cpu")
    assert (picker.settings.localization, picker.threshold, picker.dtype) == ("regions", 0.0, torch.float32)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--preset", "paper", "--steps", "5"], "--steps is no setting of preset paper, but of default: leave it out"),
        (["--preset", "default", "--epochs", "5"], "--epochs is no setting of preset default, but of paper: leave it out"),
        (["--preset", "paper", "--size", "100"], "--size 100: give a multiple of 512 (2 to the power of --levels)"),
        (["--preset", "paper", "--levels", "1"], "--levels 1: give at least 2 encoding and as many decoding layers"),
        (["--preset", "paper", "--dropout", "1"], "--dropout 1: give a share from 0 to less than 1"),
        (["--preset", "paper", "--batch", "0"], "--batch 0: give at least 1"),
        (["--adversarial_loss", "hinge"], "--adversarial_loss hinge: give one of cross_entropy, mean_squared, none"),
        (["--preset", "paper", "--backgrounds", "no.star"], "no.star: no such file"),
    ],
)
def test_train_refuses_what_the_preset_cannot_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["train", "--out", str(tmp_path / "x"), "--device", "cpu", *words]) == 1
    assert capsys.readouterr().err.startswith(f"ganpick: {message}")


def test_presets_are_pix2pix_and_the_paper_where_it_speaks() -> None:
    paper = PRESETS["paper"]
    assert isinstance(paper, PaperSettings)
    assert (paper.pairs, paper.size, paper.levels, paper.width, paper.epochs, paper.batch) == (100, 512, 9, 64, 200, 1)
    assert (paper.learning_rate, paper.beta1, paper.adversarial_weight, paper.l1_weight) == (2e-4, 0.5, 1.0, 100.0)
    assert paper.steps == 20000
