"""On a machine with a GPU: the picks of the CPU, less memory than wanted, two devices. Skipped elsewhere.

Half precision moves figures of merit a little. What is promised, and checked here: at least 98 % of the sure picks of either lie
within an eighth of the diameter of one of the other, and their figures of merit differ by at most 0.05 in the median.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from job_project import DIAMETER, make_project
from scipy.spatial import cKDTree

from relion_ganpick.core.picks import Picks
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.picking import batches
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Result, Task, stream

N_DEVICES = torch.cuda.device_count() if torch.cuda.is_available() else 0
ALIKE, MEDIAN = 0.98, 0.05

pytestmark = pytest.mark.skipif(not N_DEVICES, reason="this machine has no GPU")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> list[Task]:
    project = make_project(tmp_path_factory.mktemp("project"), 3)
    paths = sorted((project / "Micrographs").glob("*.mrc"))
    return [Task(path.name, Path(path)) for path in paths * 7]  # more than two batches


def picked(tasks: list[Task], device: str) -> list[Result]:
    picker = Picker(PickSettings(diameter=DIAMETER), device)
    return list(stream(tasks, picker, 4))


def share_near(mine: Picks, other: Picks, reach: float) -> float:
    return float((cKDTree(other.xy).query(mine.xy)[0] <= reach).mean())


def test_picks_are_those_of_the_cpu(tasks: list[Task]) -> None:
    for gpu, cpu in zip(picked(tasks, "cuda:0"), picked(tasks[:3] * 7, "cpu"), strict=True):
        assert gpu.task == cpu.task
        assert gpu.error is None
        assert gpu.picks is not None
        assert cpu.picks is not None
        assert gpu.pixel_size is not None
        sure = [each.above(0.5) for each in (gpu.picks, cpu.picks)]
        assert len(sure[1]) > 5
        reach = DIAMETER / gpu.pixel_size / 8
        assert share_near(sure[0], cpu.picks, reach) >= ALIKE
        assert share_near(sure[1], gpu.picks, reach) >= ALIKE
        nearest = cKDTree(gpu.picks.xy).query(sure[1].xy)[1]
        assert np.median(np.abs(gpu.picks.score[nearest] - sure[1].score)) <= MEDIAN


def test_picks_do_not_depend_on_the_batch(tasks: list[Task]) -> None:
    picker = Picker(PickSettings(diameter=DIAMETER), "cuda:0")
    together = list(batches.in_batches(tasks[:9], picker, 2))
    alone = list(batches.in_batches(tasks[:9], picker, 2, batch=1))
    for mine, other in zip(together, alone, strict=True):
        assert mine.picks is not None
        assert other.picks is not None
        reach = DIAMETER / (mine.pixel_size or 1) / 8
        assert share_near(mine.picks.above(0.5), other.picks, reach) == 1
        assert share_near(other.picks.above(0.5), mine.picks, reach) == 1


def test_where_memory_ends_batches_become_smaller(tasks: list[Task]) -> None:
    wanted = picked(tasks[:8], "cuda:0")
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved(0) + 96 * 2**20) / total), 0)
    try:
        found = picked(tasks[:8], "cuda:0")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, 0)
    assert [each.error for each in found] == [None] * 8
    for mine, other in zip(found, wanted, strict=True):
        assert mine.picks is not None
        assert other.picks is not None
        assert abs(len(mine.picks.above(0.5)) - len(other.picks.above(0.5))) <= 1


@pytest.mark.skipif(N_DEVICES < 2, reason="this machine has one GPU")
def test_two_devices_give_the_picks_of_one(tasks: list[Task]) -> None:
    for mine, other in zip(picked(tasks, "cuda:0,cuda:1"), picked(tasks, "cuda:0"), strict=True):
        assert (mine.task, mine.error, mine.picks) == (other.task, other.error, other.picks)
