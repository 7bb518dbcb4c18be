"""From a micrograph to picks with the shipped model, and the stream of many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch

from relion_ganpick import Micrograph, Picker, Picks, PickSettings, load_model
from relion_ganpick.core.device import fastest_type, find_device, has_bfloat16
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.evaluate import evaluate
from relion_ganpick.picking.stream import Task, stream
from relion_ganpick.synthesis.scene import CLEAN, Scene, make_scene

DIAMETER = 180.0
EASY = replace(
    CLEAN, diameter=(DIAMETER, DIAMETER), contrast=(2.0, 2.0), area_density=(0.25, 0.25), spacing=(1.0, 1.1), phase_plate=0
)
EASY = replace(EASY, molecule="6zu5", defocus_angstrom=(12000.0, 20000.0))


def scene(height: int = 300, width: int = 380, seed: int = 5, diameter_px: float = 24.0) -> Scene:
    return make_scene((height, width), diameter_px, np.random.default_rng(seed), EASY)


def micrograph(of: Scene) -> Micrograph:
    return Micrograph(of.pixels, of.pixel_size, "simulated")


@pytest.fixture(scope="module")
def picker() -> Picker:
    return Picker(PickSettings(diameter=DIAMETER), "cpu")


def test_simulated_particles_are_found(picker: Picker) -> None:
    items = []
    for seed in range(4):
        one = scene(seed=seed)
        margin = 6.0
        inside = (one.centres > margin) & (one.centres < np.array([380, 300]) - 1 - margin)
        items.append((picker.pick(micrograph(one)), one.centres[inside.all(axis=1)], 24 / 4))
    assert evaluate(items).f1 > 0.9


def test_neither_axis_is_flipped_or_swapped(picker: Picker) -> None:
    one = scene(280, 420)
    upper_left = one.centres[(one.centres[:, 0] < 200) & (one.centres[:, 1] < 120)]
    rng = np.random.default_rng(0)
    pixels = rng.normal(np.median(one.pixels), 1, one.pixels.shape).astype(np.float32)
    pixels[:130, :210] = one.pixels[:130, :210]
    picks = picker.score(Micrograph(pixels, one.pixel_size, "corner")).above(0.4)
    assert len(picks) > 0.6 * len(upper_left)
    assert picks.x.max() < 225
    assert picks.y.max() < 145


def test_bright_particles_are_found_when_said(picker: Picker) -> None:
    one = scene()
    bright = Picker(PickSettings(diameter=DIAMETER, contrast="bright"), "cpu")
    dark_picks = picker.pick(micrograph(one))
    bright_picks = bright.pick(Micrograph(-one.pixels, one.pixel_size, "bright"))
    np.testing.assert_array_equal(bright_picks.xy, dark_picks.xy)


def test_pure_noise_yields_no_picks(picker: Picker) -> None:
    for seed in range(3):
        pixels = np.random.default_rng(seed).normal(0, 1, (600, 700)).astype(np.float32)
        assert len(picker.pick(Micrograph(pixels, 7.5, "noise"))) <= 3


def test_no_pick_lies_outside_in_the_margin_or_too_close(picker: Picker) -> None:
    one = scene(seed=11)
    for settings in (PickSettings(diameter=DIAMETER, min_distance=250.0), PickSettings(diameter=DIAMETER, edge_margin=0.0)):
        picks = Picker(settings, "cpu", picker.model).score(micrograph(one))
        margin = settings.edge_margin_angstrom / one.pixel_size
        assert len(picks) > 10
        assert picks.x.min() >= margin
        assert picks.x.max() <= 379 - margin
        assert picks.y.min() >= margin
        assert picks.y.max() <= 299 - margin
        gaps = np.hypot(*(picks.xy[:, None] - picks.xy[None]).transpose(2, 0, 1)) + 1e9 * np.eye(len(picks))
        assert gaps.min() >= settings.min_distance_angstrom / one.pixel_size


def test_particles_that_touch_a_frame_are_not_picked(picker: Picker) -> None:
    one = scene(400, 500)
    pixels = one.pixels.copy()
    pixels[:60] = pixels[60]
    pixels[:, 440:] = pixels[:, 439:440]
    picks = picker.score(Micrograph(pixels, one.pixel_size, "framed"))
    assert len(picks) > 20
    assert picks.y.min() >= 60 + 12 - 1
    assert picks.x.max() <= 440 - 12


def picked_in_batches(picker: Picker, micrographs: list[Micrograph], batch_size: int) -> list[Picks]:
    """Pick micrographs whose pictures go through the generator together where they are of one size."""
    prepared = [picker.prepare(each) for each in micrographs]
    found: dict[int, Picks] = {}
    for shape in {each.picture.shape for each in prepared}:
        same = [k for k, each in enumerate(prepared) if each.picture.shape == shape]
        for begin in range(0, len(same), batch_size):
            part = same[begin : begin + batch_size]
            marked = picker.mark_batch([prepared[k].picture for k in part])
            found |= {k: picker.locate(prepared[k], each).above(picker.threshold) for k, each in zip(part, marked, strict=True)}
    return [found[k] for k in range(len(prepared))]


def test_picks_are_the_same_for_any_batch_size_and_number_of_threads(picker: Picker) -> None:
    micrographs = [micrograph(scene(seed=seed)) for seed in range(5)] + [micrograph(scene(290, 300, 9))]
    expected = [picker.pick(each) for each in micrographs]
    threads = torch.get_num_threads()
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            for batch_size in (1, 3, 8):
                for wanted, found in zip(expected, picked_in_batches(picker, micrographs, batch_size), strict=True):
                    np.testing.assert_array_equal(found.xy, wanted.xy)
                    np.testing.assert_array_equal(found.score, wanted.score)
    finally:
        torch.set_num_threads(threads)


def test_large_pictures_give_the_same_marks_by_tiles(picker: Picker, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = picker.prepare(micrograph(scene(420, 640, diameter_px=16.0)))
    whole = picker.mark(prepared.picture)
    monkeypatch.setattr("relion_ganpick.picking.method.LARGEST_SIDE", 300)
    monkeypatch.setattr("relion_ganpick.picking.method.TILE_CORE", 160)
    np.testing.assert_allclose(picker.mark(prepared.picture), whole, atol=0.02)


def test_threshold_only_filters(picker: Picker) -> None:
    one = micrograph(scene())
    every = picker.score(one)
    strict = Picker(PickSettings(diameter=DIAMETER, threshold=0.9), "cpu", picker.model).pick(one)
    np.testing.assert_array_equal(strict.xy, every.above(0.9).xy)
    assert ((every.score >= 0) & (every.score <= 1)).all()
    three = Picker(PickSettings(diameter=DIAMETER, threshold=0.1, most=3), "cpu", picker.model).pick(one)
    np.testing.assert_array_equal(three.xy, every.xy[:3])


@pytest.mark.parametrize(
    ("pixels", "pixel_size", "message"),
    [
        (np.full((400, 400), 3.0), 7.5, "all pixels are equal"),
        (np.full((400, 400), np.nan), 7.5, "NaN or infinite"),
        (np.zeros((400, 400)), None, "pixel size is not known"),
        (np.zeros((400, 400)), 0.4, "larger than the micrograph"),
        (np.zeros((400, 400)), 1.0, "only 2.2 diameters across"),
        (np.zeros((400, 400)), 1e4, "too small to be seen; at least 4.3 pixels"),
    ],
)
def test_useless_micrographs_are_refused_by_name(
    picker: Picker, pixels: np.ndarray, pixel_size: float | None, message: str
) -> None:
    with pytest.raises(GanpickError, match=message) as caught:
        picker.pick(Micrograph(pixels.astype(np.float32), pixel_size, "Micrographs/bad.mrc"))
    assert "Micrographs/bad.mrc" in str(caught.value)


def test_one_pixel_that_is_not_a_number_is_seen(picker: Picker) -> None:
    pixels = scene().pixels.copy()
    pixels[100, 200] = np.inf
    with pytest.raises(GanpickError, match="NaN or infinite"):
        picker.pick(Micrograph(pixels, 7.5, "inf.mrc"))


def test_missing_devices_are_errors() -> None:
    assert find_device("cpu").type == "cpu"
    with pytest.raises(GanpickError, match="auto, cpu, cuda"):
        find_device("tpu9")
    if not torch.cuda.is_available():
        with pytest.raises(GanpickError, match="sees no CUDA device"):
            find_device("cuda:0")


@pytest.mark.parametrize(("processor", "has"), [("AVX512", True), ("AVX2", False), ("DEFAULT", False)])
def test_bfloat16_is_taken_from_avx512_on(monkeypatch: pytest.MonkeyPatch, processor: str, has: bool) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: processor)
    cpu = torch.device("cpu")
    assert has_bfloat16(cpu) == has
    assert fastest_type(cpu) == (torch.bfloat16 if has else torch.float32)


def write(path: Path, pixels: np.ndarray, pixel_size: float) -> Path:
    with mrcfile.new(path) as mrc:
        mrc.set_data(pixels)
        mrc.voxel_size = pixel_size
    return path


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_stream_yields_every_micrograph_in_order_with_the_same_picks(picker: Picker, tmp_path: Path, threads: int) -> None:
    scenes = [scene(200, 220, seed) for seed in range(6)]
    tasks = [Task(f"m{k}", write(tmp_path / f"m{k}.mrc", each.pixels, each.pixel_size), None) for k, each in enumerate(scenes)]
    results = list(stream(tasks, picker, threads))
    assert [result.task.name for result in results] == [f"m{k}" for k in range(6)]
    for result, each in zip(results, scenes, strict=True):
        assert result.picks is not None
        assert result.shape == (200, 220)
        assert set(result.seconds) == {"read", "scale", "network", "localise"}
        rounded = Micrograph(each.pixels, float(np.float32(each.pixel_size)), "")
        np.testing.assert_array_equal(result.picks.xy, picker.score(rounded).xy)


def test_bad_files_do_not_stop_the_stream(picker: Picker, tmp_path: Path) -> None:
    good = scene(200, 220)
    (tmp_path / "empty.mrc").touch()
    tasks = [
        Task("missing", tmp_path / "missing.mrc", 7.5),
        Task("empty", tmp_path / "empty.mrc", 7.5),
        Task("good", write(tmp_path / "good.mrc", good.pixels, good.pixel_size), good.pixel_size),
    ]
    missing, empty, fine = stream(tasks, picker, 2)
    assert missing.picks is None
    assert "missing.mrc" in str(missing.error)
    assert empty.picks is None
    assert fine.error is None
    assert fine.picks is not None
    assert len(fine.picks) > 10


def test_pixel_size_that_disagrees_with_the_file_is_a_warning(picker: Picker, tmp_path: Path) -> None:
    good = scene(200, 220)
    path = write(tmp_path / "m.mrc", good.pixels, good.pixel_size)
    (close,) = stream([Task("m", path, good.pixel_size * 1.04)], picker)
    assert close.warning is None
    (far,) = stream([Task("m", path, good.pixel_size * 1.1)], picker)
    assert far.warning is not None
    assert "A per pixel" in far.warning


def test_model_can_be_given_instead_of_named() -> None:
    model = load_model("default")
    assert Picker(PickSettings(diameter=100.0), "cpu", model).threshold == model.card.strict
