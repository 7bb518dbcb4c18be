"""Training as in the paper: exact resume, the three adversarial losses, the weights that come out, and picking with them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import mrcfile
import numpy as np
import pytest
import torch
from torch import nn

from relion_ganpick import Micrograph, Picker, PickSettings, load_model
from relion_ganpick.cli import main
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.localize import RegionSettings, regions
from relion_ganpick.model.adapt import adapt
from relion_ganpick.model.paper_networks import PaperGenerator
from relion_ganpick.model.paper_train import PaperTrainer
from relion_ganpick.model.presets import PRESETS, PaperSettings, TrainSettings
from relion_ganpick.model.run import TrainingRun
from relion_ganpick.model.train import Trainer
from relion_ganpick.model.weights import Card, Model, save_model
from relion_ganpick.synthesis.paper import make_pair

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
    width=2, levels=2, discriminator_width=2, steps=6, batch=2, crop=32, validate_every=6, validation_scenes=1, learning_rate=0.01
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
        (["--preset", "paper", "--steps", "5"], "--steps is no setting of preset paper, but of default: leave it away"),
        (["--preset", "default", "--epochs", "5"], "--epochs is no setting of preset default, but of paper: leave it away"),
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


class Blackener(PaperGenerator):
    """Marks what is clearly darker than the middle of the grey range."""

    def mark(self, picture: torch.Tensor) -> torch.Tensor:
        return (picture < 0.35).float() * 0.8


@pytest.fixture
def blackener() -> Model:
    card = Card(
        "b", "paper", {"kind": "paper", "width": 1, "levels": 2}, {}, "", 0, {}, 0.0, {"raw": [0, 1], "score": [0, 1]}, "regions"
    )
    return Model(Blackener(1, 2).eval(), card)


def framed_discs() -> tuple[np.ndarray, np.ndarray]:
    """A micrograph of 900 x 700 with a constant frame and dark discs of 30 pixels, and their centres (x, y)."""
    pixels = np.random.default_rng(0).normal(0, 1, (700, 900)).astype(np.float32)
    centres = np.array([[x, y] for x in range(120, 800, 97) for y in range(110, 620, 83)])
    for x, y in centres:
        cv2.circle(pixels, (int(x), int(y)), 15, -6.0, -1)
    pixels[:50] = pixels[:, :40] = 3.0
    return pixels, centres


def test_picker_does_the_papers_steps_and_scales_back_to_the_file(blackener: Model) -> None:
    pixels, centres = framed_discs()
    picker = Picker(PickSettings(diameter=60.0), "cpu", blackener)
    prepared = picker.prepare(Micrograph(pixels, 2.0, "discs"))
    assert (prepared.picture.shape, prepared.area.top, prepared.area.left) == ((512, 512), 50, 40)
    assert 0 <= prepared.picture.min() <= prepared.picture.max() <= 1
    picks = picker.pick(Micrograph(pixels, 2.0, "discs"))
    assert len(picks) == len(centres)
    gap = np.hypot(*(picks.xy[:, None] - centres[None]).transpose(2, 0, 1)).min(axis=1)
    assert gap.max() < 2.0
    np.testing.assert_allclose(picks.score, 0.8, atol=0.01)
    inverted = Picker(PickSettings(diameter=60.0, contrast="bright"), "cpu", blackener)
    np.testing.assert_allclose(sorted(inverted.pick(Micrograph(-pixels, 2.0, "")).x), sorted(picks.x), atol=1)


def test_each_number_of_algorithm_3_is_an_option(blackener: Model) -> None:
    pixels, _ = framed_discs()
    micrograph = Micrograph(pixels, 2.0, "discs")

    def count(**changes: float) -> int:
        return len(Picker(PickSettings(diameter=60.0, **changes), "cpu", blackener).pick(micrograph))

    assert count() > 40
    assert count(region_threshold=0.85) == 0
    assert count(erosion=31) == 0
    assert count(region_area=5000.0) == 0
    assert count(area_tolerance=0.0) < count()
    assert count(threshold=0.9) == 0


def test_default_model_offers_both_localisations() -> None:
    from relion_ganpick.synthesis.scene import CLEAN, make_scene

    easy = replace(CLEAN, diameter=(180, 180), contrast=(4.0, 4.0), area_density=(0.15, 0.15), spacing=(1.1, 1.2), phase_plate=0)
    scene = make_scene((300, 380), 20.0, np.random.default_rng(1), replace(easy, molecule="globule"))
    micrograph, model = Micrograph(scene.pixels, scene.pixel_size, ""), load_model("default")
    peaks, found = (
        Picker(PickSettings(diameter=180.0, threshold=0.0, localization=how), "cpu", model) for how in ("auto", "regions")
    )
    assert (peaks.settings.localization, found.settings.localization) == ("peaks", "regions")
    prepared = found.prepare(micrograph)
    marked = found.mark(prepared.picture)
    n_regions = len(regions(marked, RegionSettings()))
    picks = found.pick(micrograph)
    assert 0.7 * len(peaks.pick(micrograph).above(0.5)) < len(picks) <= n_regions
    assert (
        len(
            Picker(PickSettings(diameter=180.0, threshold=0.0, localization="regions", erosion=21), "cpu", model).pick(micrograph)
        )
        == 0
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"localization": "both"}, "--localization both: give auto, peaks or regions"),
        ({"region_threshold": 1.0}, "--region_threshold 1: give a share of the grey range between 0 and 1"),
        ({"erosion": 0}, "--erosion 0: give a side of 1 (no erosion) to 99 pixels"),
        ({"area_tolerance": -0.1}, "--area_tolerance -0.1: give 0 or a positive share of the mean area"),
        ({"region_area": 0.0}, "--region_area 0: give a positive number of square pixels"),
    ],
)
def test_senseless_localisation_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(GanpickError) as caught:
        PickSettings(diameter=1.0, **changes)
    assert str(caught.value) == message


def test_papers_weights_survive_the_disk(tmp_path: Path) -> None:
    torch.manual_seed(3)
    generator = PaperGenerator(2, 5).eval()
    card = Card(
        "p", "paper", {"kind": "paper", "width": 2, "levels": 5}, {}, "", 0, {}, 0.0, {"raw": [0, 1], "score": [0, 1]}, "regions"
    )
    loaded = load_model(str(save_model(generator, card, tmp_path)))
    assert loaded.card.localization == "regions"
    picture = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(loaded.generator.mark(picture), generator.mark(picture), atol=5e-3, rtol=5e-3)


def test_cards_without_a_localisation_mean_peaks() -> None:
    assert load_model("default").card.localization == "peaks"


def test_papers_model_is_not_adapted(blackener: Model) -> None:
    with pytest.raises(GanpickError, match="of the paper's kind, which cannot be adapted"):
        adapt(blackener, [np.zeros((256, 256), np.float32)] * 2)


def test_simulate_writes_the_pairs_as_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["simulate", "--preset", "paper", "--n", "2", "--size", "64", "--shape_diameter", "6", "9", "--seed", "4"]
    assert main([*words, "--out", str(tmp_path / "p")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{tmp_path / 'p/input/000.png'}: ")
    settings = PaperSettings(pairs=2, size=64, levels=6, shape_diameter=(6, 9), seed=4)
    for index in range(2):
        pair = make_pair(settings, index)
        for name, expected in (("input", pair.picture), ("truth", pair.truth)):
            written = cv2.imread(str(tmp_path / f"p/{name}/{index:03d}.png"), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(written, expected)
        rows = np.loadtxt(tmp_path / f"p/centres/{index:03d}.csv", delimiter=",", skiprows=1, ndmin=2)
        np.testing.assert_array_equal(rows, pair.centres)
    assert json.loads((tmp_path / "p/pairs.json").read_text())["settings"]["shape_diameter"] == [6, 9]
    assert main([*words, "--out", str(tmp_path / "p")]) == 1
    assert "exists and is not an empty folder" in capsys.readouterr().err
    assert main([*words, "--out", str(tmp_path / "q"), "--angpix", "2"]) == 1
    assert "--angpix is no option of --preset paper: leave it away" in capsys.readouterr().err
    assert main(["simulate", "--out", str(tmp_path / "q"), "--fade", "0", "1"]) == 1
    assert "--fade is no option of --preset project: leave it away" in capsys.readouterr().err


def test_backgrounds_come_from_the_users_micrographs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "Micrographs").mkdir()
    for name in "ab":
        with mrcfile.new(tmp_path / f"Micrographs/{name}.mrc") as mrc:
            mrc.set_data(rng.normal(5, 2, (600, 640)).astype(np.float32))
            mrc.voxel_size = 2.0
    rows = "\n".join(f"Micrographs/{name}.mrc 1" for name in "ab")
    (tmp_path / "m.star").write_text(f"data_micrographs\n\nloop_\n_rlnMicrographName #1\n_rlnOpticsGroup #2\n{rows}\n\n")
    out = tmp_path / "p"
    words = ["simulate", "--preset", "paper", "--n", "1", "--size", "64", "--backgrounds", str(tmp_path / "m.star")]
    assert main([*words, "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"8 areas without particles: see {out / 'backgrounds.png'}"
    assert cv2.imread(str(out / "backgrounds.png"), cv2.IMREAD_UNCHANGED).shape == (1024, 1024)
    run = tmp_path / "run"
    words = ["train", "--preset", "paper", "--out", str(run), *WORDS, "--backgrounds", str(tmp_path / "m.star")]
    assert main(words) == 0
    assert (run / "backgrounds.png").is_file()
    assert json.loads((run / "paper.json").read_text())["data"].endswith("areas without particles of m.star")
