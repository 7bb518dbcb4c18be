"""The network of bytes gives the marks of the network in float32, and stands back where it cannot."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import torch

from relion_ganpick.core.micrograph import Micrograph
from relion_ganpick.core.preprocess import CLIP
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.model import eight_bit
from relion_ganpick.model.eight_bit import EightBitUNet, has_eight_bit, probe
from relion_ganpick.model.networks import UNetGenerator
from relion_ganpick.model.weights import Model, load_model
from relion_ganpick.picking.network import MarkingNetwork, _fuse
from relion_ganpick.picking.picker import Picker

needs_bytes = pytest.mark.skipif(not has_eight_bit(UNetGenerator()), reason="this processor is not fastest in bytes")


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("default")


@pytest.fixture(scope="module")
def generator(model: Model) -> UNetGenerator:
    fused = _fuse(model.generator)
    assert isinstance(fused, UNetGenerator)
    return fused


def picture(shape: tuple[int, int], seed: int) -> torch.Tensor:
    """Noise with dark discs, as the network sees micrographs; nothing of the probe is in it."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    drawn = 1.5 * cv2.GaussianBlur(random.standard_normal(shape), (0, 0), 1.0)
    for _ in range(shape[0] * shape[1] // 1500):
        row, column = random.integers(0, shape[0]), random.integers(0, shape[1])
        drawn[np.hypot(y - row, x - column) < 7] -= 3
    return torch.from_numpy(np.clip(drawn, -CLIP, CLIP).astype(np.float32))[None, None]


@needs_bytes
@pytest.mark.parametrize("shape", [(128, 128), (64, 208)])
def test_marks_in_bytes_are_those_in_float32(generator: UNetGenerator, shape: tuple[int, int]) -> None:
    batch = picture(shape, 3)
    with torch.inference_mode():
        wanted, found = generator.mark(batch), EightBitUNet(generator).mark(batch)
    assert found.shape == wanted.shape
    assert found.dtype == torch.float32
    assert wanted[:, 0].sum() > 100  # there are particles
    assert (wanted - found)[:, 0].abs().sum() < 0.03 * wanted[:, 0].sum()


@needs_bytes
def test_edges_are_as_in_float32(generator: UNetGenerator) -> None:
    batch = picture((96, 96), 4)
    with torch.inference_mode():
        away = (generator(batch) - EightBitUNet(generator)(batch)).abs()[0, 0]
    inside = away[8:-8, 8:-8].mean()
    assert torch.cat([away[0], away[-1], away[:, 0], away[:, -1]]).mean() < 2 * inside


@needs_bytes
def test_marks_do_not_depend_on_batch_or_threads(generator: UNetGenerator) -> None:
    network = EightBitUNet(generator)
    pictures = [picture((64, 96), seed) for seed in range(4)]
    with torch.inference_mode():
        alone = [network.mark(each) for each in pictures]
        together = network.mark(torch.cat(pictures))
    with ThreadPoolExecutor(3) as pool:
        beside = list(pool.map(network.mark, pictures * 3))
    assert torch.equal(torch.cat(alone), together)
    assert all(torch.equal(beside[k], alone[k % 4]) for k in range(12))


@needs_bytes
def test_the_network_of_bytes_is_the_same_for_any_number_of_threads(generator: UNetGenerator) -> None:
    before, logits = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            network = EightBitUNet(generator)
            assert torch.get_num_threads() == threads
            with torch.inference_mode():
                logits.append(network(picture((272, 416), 5)))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(logits[0], logits[1])
    assert torch.equal(logits[0], logits[2])


@needs_bytes
def test_picker_takes_bytes_where_the_processor_is_fastest_in_them(model: Model) -> None:
    picker = Picker(PickSettings(diameter=160), "cpu", model)
    assert picker.dtype == torch.uint8
    drawn = probe(256)
    assert len(picker.score(Micrograph(drawn * 10 + 300, 10.0, "drawn"))) > 3


def test_picker_does_without_bytes_where_the_processor_has_none(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eight_bit, "_has_vnni", lambda: False)
    assert MarkingNetwork(model, "cpu").dtype in (torch.bfloat16, torch.float32)


@needs_bytes
def test_picker_does_without_bytes_where_they_change_the_marks(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eight_bit, "MOST_APART", 1e-6)
    network = MarkingNetwork(model, "cpu")
    assert network.dtype != torch.uint8
    assert np.isfinite(network(picture((64, 64), 6)[0].numpy())).all()


def test_small_networks_do_not_compute_in_bytes() -> None:
    assert not has_eight_bit(UNetGenerator(width=8, levels=2))
    with pytest.raises(ValueError, match="8 bits"):
        EightBitUNet(UNetGenerator(width=8, levels=2).eval())


def test_probe_is_always_the_same_and_bounded() -> None:
    assert np.array_equal(probe(), probe())
    assert np.abs(probe()).max() <= CLIP
    assert probe().std() > 1
