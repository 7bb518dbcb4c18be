"""Batches for devices: order, splitting, lost devices; on the CPU, with networks that only pretend to be on devices."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from job_project import make_project

from relion_ganpick.core import device as device_module
from relion_ganpick.core.device import find_devices
from relion_ganpick.core.errors import DeviceError, GanpickError
from relion_ganpick.core.settings import PickSettings, RunSettings
from relion_ganpick.picking.batches import Devices, in_batches, pad_to
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Task, stream
from relion_ganpick.relion.options import parse

Image = np.ndarray[Any, np.dtype[np.float32]]


class FakeNetwork:
    """Marks a picture with twice its values; it can be slow, and can be lost after some batches."""

    def __init__(self, name: str, lost_after: int | None = None, seconds: float = 0.0) -> None:
        self.name, self.lost_after, self.seconds = name, lost_after, seconds
        self.device = torch.device("cpu")
        self.batches: list[int] = []
        self.lock = threading.Lock()

    def mark(self, pictures: Sequence[Image]) -> list[Image]:
        with self.lock:
            if self.lost_after is not None and len(self.batches) >= self.lost_after:
                raise RuntimeError("CUDA error: the launch timed out")
            self.batches.append(len(pictures))
        time.sleep(self.seconds)
        return [2 * each[None] for each in pictures]


def mark(network: Any, pictures: Sequence[Image]) -> list[Image]:
    return list(network.mark(pictures))


def pictures(k: int, n: int = 2) -> list[Image]:
    return [np.full((4, 4), 10 * k + j, np.float32) for j in range(n)]


def run_batches(networks: list[FakeNetwork], n: int) -> list[list[Image]]:
    with Devices(networks, mark) as devices:  # type: ignore[arg-type]
        futures = [devices.submit(pictures(k)) for k in range(n)]
        return [list(future.result(20)) for future in futures]


def is_right(found: list[list[Image]]) -> bool:
    return all(
        np.array_equal(marks[0], 2 * each) for k, got in enumerate(found) for marks, each in zip(got, pictures(k), strict=True)
    )


def test_batches_are_shared_among_devices() -> None:
    networks = [FakeNetwork("a", seconds=0.01), FakeNetwork("b", seconds=0.01)]
    assert is_right(run_batches(networks, 20))
    assert sum(len(each.batches) for each in networks) == 20
    assert min(len(each.batches) for each in networks) > 2


def test_a_lost_device_gives_its_batches_to_the_others(caplog: pytest.LogCaptureFixture) -> None:
    networks = [FakeNetwork("a", lost_after=2, seconds=0.01), FakeNetwork("b", seconds=0.01)]
    assert is_right(run_batches(networks, 12))
    assert len(networks[0].batches) == 2
    assert len(networks[1].batches) == 10
    assert len([line for line in caplog.messages if "was lost" in line]) == 1


def test_without_any_device_every_batch_fails() -> None:
    networks = [FakeNetwork("a", lost_after=1), FakeNetwork("b", lost_after=0)]
    with Devices(networks, mark) as devices:  # type: ignore[arg-type]
        futures = [devices.submit(pictures(k)) for k in range(6)]
        errors = [future.exception(20) for future in futures]
        assert sum(error is None for error in errors) <= 1
        with pytest.raises(RuntimeError, match="CUDA error"):
            devices.submit(pictures(9)).result(20)


def test_a_batch_that_fails_by_itself_harms_no_other() -> None:
    def some(network: Any, batch: Sequence[Image]) -> list[Image]:
        if batch[0][0, 0] == 10:
            raise ValueError("odd picture")
        return mark(network, batch)

    with Devices([FakeNetwork("a")], some) as devices:  # type: ignore[list-item]
        futures = [devices.submit(pictures(k)) for k in range(3)]
        assert str(futures[1].exception(20)) == "odd picture"
        assert is_right([list(futures[0].result(20))])
        assert len(futures[2].result(20)) == 2


def test_devices_end_while_work_is_left() -> None:
    before = threading.active_count()
    with Devices([FakeNetwork("a", seconds=0.05)], mark) as devices:  # type: ignore[list-item]
        for k in range(50):
            devices.submit(pictures(k))
    assert threading.active_count() == before


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("project"), 3)


def tasks(project: Path) -> list[Task]:
    paths = sorted((project / "Micrographs").glob("*.mrc"))
    broken = project / "broken.mrc"
    broken.write_bytes(b"no micrograph")
    return [Task(path.name, path) for path in (*paths[:2], broken, paths[2], *paths[:2])]


@pytest.mark.parametrize("batch", [1, 4])
def test_batches_give_the_picks_of_one_by_one(project: Path, batch: int) -> None:
    picker = Picker(PickSettings(diameter=180.0), "cpu")
    one_by_one = list(stream(tasks(project), picker))
    together = list(in_batches(tasks(project), picker, 2, batch))
    assert [each.task.name for each in together] == [each.task.name for each in one_by_one]
    assert [each.error for each in together] == [each.error for each in one_by_one]
    assert sum(each.error is not None for each in together) == 1
    for mine, other in zip(together, one_by_one, strict=True):
        assert mine.picks == other.picks
        assert (mine.shape, mine.area, mine.warning) == (other.shape, other.area, other.warning)
    assert sum(len(each.picks) for each in together if each.picks is not None) > 0


def test_side_by_side_gives_the_picks_of_one_by_one(project: Path) -> None:
    picker = Picker(PickSettings(diameter=180.0), "cpu")
    threads = torch.get_num_threads()
    beside = list(stream(tasks(project), picker, 3))
    assert torch.get_num_threads() == threads
    for mine, other in zip(beside, stream(tasks(project), picker), strict=True):
        assert (mine.task, mine.error, mine.picks) == (other.task, other.error, other.picks)


def test_pictures_are_continued_by_reflection() -> None:
    picture = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert pad_to(picture, (3, 5)).tolist() == [[0, 1, 2, 2, 1], [3, 4, 5, 5, 4], [3, 4, 5, 5, 4]]


def test_run_ends_when_its_only_device_is_lost(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picker = Picker(PickSettings(diameter=180.0), "cpu")

    def lose(*_: Any) -> Any:
        raise DeviceError("cuda:0: the device was lost") from RuntimeError("CUDA error: gone")

    monkeypatch.setattr(picker, "method", SimpleNamespace(mark=lose, prepare=picker.method.prepare))
    with pytest.raises(DeviceError, match="was lost"):
        list(in_batches(tasks(project), picker, 1))


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("0", "cuda:0"),
        (" 2 ", "cuda:2"),
        ("0:1", "cuda:0,cuda:1"),
        ("0,1", "cuda:0,cuda:1"),
        ("0 1", "cuda:0,cuda:1"),
        ("0, 3 : 1", "cuda:0,cuda:1,cuda:3"),
        ("all", "cuda:all"),
        (1, "cuda:1"),
    ],
)
def test_gpus_are_given_as_relion_users_write_them(given: Any, names: str) -> None:
    assert RunSettings(gpu=given).device_name == names


@pytest.mark.parametrize("given", ["one", "-1", "0;1", "every", ""])
def test_what_names_no_gpu_is_refused(given: str) -> None:
    with pytest.raises(GanpickError, match="give the numbers of GPUs, such as 0, 0:1 or 0,1, or all"):
        RunSettings(gpu=given)


def test_blanks_between_gpus_are_allowed_in_relions_window() -> None:
    argv = ["--o", "External/job001/", "--gpu", "0", "1", "--diameter", "180", "--j", "2"]
    options = parse(argv, "External/job001/", "micrographs.star")
    assert (options.run.device_name, options.run.j, options.pick.diameter) == ("cuda:0,cuda:1", 2, 180)
    assert parse(["--diameter", "90", "--gpu"], "o/", "m.star").run.device_name == "cuda:0"


def test_several_devices_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device_module.torch.cuda, "device_count", lambda: 3)
    assert [str(each) for each in find_devices("cuda:2,cuda:0,cuda:2")] == ["cuda:2", "cuda:0"]
    assert [str(each) for each in find_devices("cuda:all")] == ["cuda:0", "cuda:1", "cuda:2"]
    assert [str(each) for each in find_devices("cpu")] == ["cpu"]
    with pytest.raises(DeviceError, match="cuda:3: PyTorch sees 3 CUDA devices"):
        find_devices("cuda:0,cuda:3")
    with pytest.raises(DeviceError, match="the CPU cannot help a GPU"):
        find_devices("cuda:0,cpu")


def test_all_gpus_of_a_machine_without_any_is_an_error() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceError, match="PyTorch sees no CUDA devices here"):
        find_devices("cuda:all")
