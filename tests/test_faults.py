"""Whose fault is a fault, and what happens where memory ends."""

from __future__ import annotations

import errno
from collections.abc import Callable

import numpy as np
import pytest
import torch

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.faults import hits_all, in_words, out_of_memory
from relion_ganpick.core.settings import PickSettings, RunSettings
from relion_ganpick.model.weights import load_model
from relion_ganpick.picking.memory import in_halves
from relion_ganpick.picking.method import SMALLER_CORES, TILE_MARGIN, DefaultMethod, PaperMethod
from relion_ganpick.picking.picker import Picker
from relion_ganpick.runs.repeated import Repeated

Image = np.ndarray
ALLOCATOR = "[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError(ALLOCATOR),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: out of memory"),
    ],
)
def test_no_memory_is_known_and_hits_one_micrograph(error: Exception) -> None:
    assert out_of_memory(error)
    assert not hits_all(error)
    assert in_words(error).startswith("no memory (")


def test_a_full_disk_hits_all_whoever_says_it() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "a", None, "b")
    assert hits_all(full)
    assert in_words(full) == "b: No space left on device"
    told = GanpickError("scores cannot be written")
    told.__cause__ = full
    assert hits_all(told)
    assert not hits_all(GanpickError("damaged"))
    assert not hits_all(OSError(errno.EIO, "Input/output error"))
    assert hits_all(RuntimeError("CUDA error: device-side assert triggered"))


class Small:
    """A network on a machine with little memory."""

    def __init__(self, network: Callable[[Image], Image], most: int) -> None:
        self.network, self.most = network, most
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, batch: Image) -> Image:
        self.seen.append(batch.shape)
        if batch.size > self.most:
            raise RuntimeError(ALLOCATOR)
        return self.network(batch)


def doubled(batch: Image) -> Image:
    return 2 * batch[:, None]


def pictures(n: int, side: int) -> list[Image]:
    return list(np.random.default_rng(n).normal(size=(n, side, side)).astype(np.float32))


def test_a_batch_without_memory_is_halved_until_it_fits() -> None:
    network, given = Small(doubled, 2 * 64**2), pictures(5, 64)
    marked = in_halves(network, given)
    np.testing.assert_array_equal(np.stack(marked), 2 * np.stack(given)[:, None])
    assert [shape[0] for shape in network.seen] == [5, 2, 3, 1, 2]


def test_a_picture_without_memory_goes_by_tiles_and_is_marked_the_same() -> None:
    picker = Picker(PickSettings(180.0), "cpu", load_model("default"))
    picture = pictures(1, 416)[0]
    network = Small(picker.network, (SMALLER_CORES[1] + TILE_MARGIN) ** 2)
    (marked,) = DefaultMethod().mark(network, [picture])
    np.testing.assert_allclose(marked, picker.mark(picture), atol=0.02)
    assert network.seen == [(1, 416, 416), (1, 416, 416), *4 * [(1, 320, 320)]]


def test_a_picture_for_which_there_is_no_memory_at_all_is_given_up() -> None:
    network = Small(doubled, 100)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        DefaultMethod().mark(network, pictures(2, 256))
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        PaperMethod().mark(network, pictures(2, 64))


def test_other_errors_of_the_network_are_not_tried_again() -> None:
    def broken(batch: Image) -> Image:
        seen.append(batch.shape)
        raise RuntimeError("a shape is wrong")

    seen: list[tuple[int, ...]] = []
    with pytest.raises(RuntimeError, match="a shape is wrong"):
        DefaultMethod().mark(broken, pictures(4, 64))
    assert len(seen) == 1


def test_warnings_of_one_kind_are_counted_and_others_said(caplog: pytest.LogCaptureFixture) -> None:
    repeated = Repeated()
    for k in range(1000):
        repeated.warn(f"m/mic{k}.mrc: half of it is black ({k / 10:.1f} %)", f"m/mic{k}.mrc")
    repeated.warn("m/mic7.mrc: something else", "m/mic7.mrc")
    repeated.end()
    assert [record.getMessage() for record in caplog.records] == [
        "m/mic0.mrc: half of it is black (0.0 %)",
        "m/mic7.mrc: something else",
        "999 more micrographs with the same warning: m/mic0.mrc: half of it is black (0.0 %)",
    ]


def test_the_first_few_of_a_kind_are_said(caplog: pytest.LogCaptureFixture) -> None:
    repeated = Repeated(2)
    for k in range(5):
        repeated.warn(f"m/mic{k}.star: {'abcde'[k]} is no number", kind="unreadable")
    repeated.end()
    repeated.end()
    assert [record.getMessage() for record in caplog.records] == [
        "m/mic0.star: a is no number",
        "m/mic1.star: b is no number",
        "3 more micrographs with the same warning: m/mic0.star: a is no number",
    ]


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_of_failures_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(GanpickError, match="`max_failed`"):
        RunSettings(max_failed=share)
