"""Picking with the paper's model: micrograph to picks, the options of Algorithm 3, pairs as files, and the benchmark."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import mrcfile
import numpy as np
import pytest
import torch

from relion_ganpick import Micrograph, Picker, PickSettings, load_model
from relion_ganpick.adaptation.fine_tune import adapt
from relion_ganpick.cli import main
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.localize import RegionSettings, regions
from relion_ganpick.model.card import Card
from relion_ganpick.model.paper_networks import PaperGenerator
from relion_ganpick.model.weights import Model, save_model
from relion_ganpick.synthesis.paper import make_pair
from relion_ganpick.synthesis.scene import CLEAN, make_scene
from relion_ganpick.training.presets import PaperSettings

BENCHMARK = Path(__file__).resolve().parent.parent / "benchmarks" / "paper.py"
WORDS = ["--width", "2", "--levels", "5", "--discriminator_width", "2", "--epochs", "2", "--pairs", "2", "--size", "32"]
WORDS += ["--shape_diameter", "5", "8", "--shape_number", "3", "9", "--validate_every", "2", "--validation_pairs", "1"]
WORDS += ["--device", "cpu"]


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
    easy = replace(CLEAN, diameter=(180, 180), contrast=(2.0, 2.0), area_density=(0.15, 0.15), spacing=(1.1, 1.2), phase_plate=0)
    scene = make_scene((300, 380), 20.0, np.random.default_rng(1), replace(easy, molecule="globule"))
    micrograph, model = Micrograph(scene.pixels, scene.pixel_size, ""), load_model("default")
    peaks, found = (
        Picker(PickSettings(diameter=180.0, threshold=0.0, localization=how), "cpu", model) for how in ("auto", "regions")
    )
    assert (peaks.settings.localization, found.settings.localization) == ("peaks", "regions")
    prepared = found.prepare(micrograph)
    marked = found.mark(prepared.picture)
    n_regions = len(regions(marked[0], RegionSettings()))
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
        ({"localization": "both"}, "`localization` both: give one of auto, peaks, regions"),
        ({"region_threshold": 1.0}, "`region_threshold` 1: give a share of the grey range between 0 and 1"),
        ({"erosion": 0}, "`erosion` 0: give a side of 1 (no erosion) to 99 pixels"),
        ({"area_tolerance": -0.1}, "`area_tolerance` -0.1: give 0 or a positive share of the mean area"),
        ({"region_area": 0.0}, "`region_area` 0: give a positive number of square pixels"),
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
    loaded = load_model(str(save_model(Model(generator, card), tmp_path)))
    assert loaded.card.localization == "regions"
    picture = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(loaded.generator.mark(picture), generator.mark(picture), atol=5e-3, rtol=5e-3)


def test_cards_without_a_localisation_mean_peaks() -> None:
    assert load_model("default").card.localization == "peaks"


def test_papers_model_is_not_adapted(blackener: Model) -> None:
    with pytest.raises(GanpickError, match="cannot be adapted, as it is one of the paper's kind"):
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
    assert "--angpix is no option of --preset paper: leave it out" in capsys.readouterr().err
    assert main(["simulate", "--out", str(tmp_path / "q"), "--fade", "0", "1"]) == 1
    assert "--fade is no option of --preset project: leave it out" in capsys.readouterr().err


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


def test_benchmark_trains_every_row_and_prints_the_table_beside_the_papers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    size = ["--n", "1", "--width", "600", "--height", "500", "--angpix", "4", "--diameter", "120", "--clean"]
    assert main(["simulate", "--out", str(tmp_path / "sets/made"), *size]) == 0
    (tmp_path / "sets/made/set.json").write_text(json.dumps({"diameter": 120, "angpix": 4}))
    shutil.rmtree(tmp_path / "sets/made/truth", ignore_errors=False)
    (tmp_path / "sets/made/truth").mkdir()
    (tmp_path / "sets/made/truth/mic001.csv").write_text("x,y\n100,100\n300,200\n")
    out = tmp_path / "runs"
    words = [str(BENCHMARK), str(tmp_path / "sets"), "--set", "made", "--out", str(out), "--width", "2", "--pairs", "1"]
    threads = torch.get_num_threads()
    monkeypatch.setattr(sys, "argv", [*words, "--epochs", "1", "--seeds", "1", "--device", "cpu", "--j", str(threads)])
    runpy.run_path(str(BENCHMARK), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    for name, paper in (("cross entropy", "0.73, 0.60, 0.66"), ("mean squared", "0.81, 0.63, 0.71")):
        (row,) = [line for line in lines if line.startswith(f"GAN + {name} loss")]
        assert row.endswith(paper)
    assert any(line.startswith("L1 alone") for line in lines)
    assert any(line.startswith("mean squared, own areas") and line.endswith("   -") for line in lines)
    table = json.loads((out / "table.json").read_text())["table"]
    rows = ("cross_entropy", "mean_squared", "none", "own_backgrounds")
    assert {row: len(values["f1"]) for row, values in table.items()} == dict.fromkeys(rows, 1)
    settings = json.loads((out / "own_backgrounds-1/paper.json").read_text())["training"]
    assert settings["backgrounds"] == str(tmp_path / "sets/made/micrographs.star")
    for name in ("figure5.png", "figure6.png", "figure6_picks.png"):
        assert cv2.imread(str(out / name)) is not None
