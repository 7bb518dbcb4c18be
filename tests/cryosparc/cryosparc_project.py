"""A small CryoSPARC project for tests, and picks that are faked below the core where the picking is not the matter."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mrcfile
import numpy as np
import pytest
from standin_world import EMAIL, LICENSE, PASSWORD, World, exposure_dataset

from cryosparc_tool.data.power import RatedPicks
from cryosparc_tool.server import retry
from relion_ganpick.core.cut import Cut
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.picking.stream import Result, Task

SHAPE = (40, 56)
PIXEL_SIZE = 2.5
FIRST_UID = 2**63 + 11


def write_micrograph(path: Path, pixels: Any = None, pixel_size: float = PIXEL_SIZE) -> None:
    """Write an MRC file; noise by default."""
    if pixels is None:
        pixels = np.random.default_rng(5).normal(size=SHAPE).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(path) as mrc:
        mrc.set_data(pixels)
        mrc.voxel_size = pixel_size


def make_world(folder: Path, n: int = 3, server_folder: Path | None = None) -> World:
    """Make a project with a source job of ``n`` exposures."""
    world = World(server_folder or folder)
    rows = []
    for index in range(n):
        name = f"J40/motioncorrected/{1000 + index}_mic{index:03d}_patch_aligned_doseweighted.mrc"
        write_micrograph(folder / name)
        uid = FIRST_UID + 7 * index
        rows.append({"uid": uid, "path": name, "shape": SHAPE, "psize_A": PIXEL_SIZE, "group": 1 + index % 2})
    world.add_source(exposure_dataset(rows))
    return world


def fake_picks(name: str, n: int = 5) -> RatedPicks:
    """Picks that depend on the micrograph's name only; the last one has a low score."""
    rng = np.random.default_rng(sum(name.encode()))
    score = np.append(np.round(rng.uniform(0.6, 1, n), 4), 0.05)
    x, y = np.rint(rng.uniform(0, SHAPE[1] - 1, n + 1)), np.rint(rng.uniform(0, SHAPE[0] - 1, n + 1))
    return RatedPicks(x, y, score, np.round(rng.uniform(0.5, 3, n + 1), 4))


def fake_stream(tasks: Iterable[Task], *_: Any) -> Iterator[Result]:
    """Take the place of the engine: no pixels are read."""
    for task in tasks:
        yield Result(task, fake_picks(task.name), shape=SHAPE)


def nothing_to_pick(tasks: Iterable[Task], *_: Any) -> Iterator[Result]:
    """Take the place of the engine where everything is finished."""
    assert not [task.name for task in tasks], "picked again"
    return iter(())


class FakePicker:
    """Takes the place of the picker, and needs no model; like the paper's, it has no working diameter to choose."""

    method = SimpleNamespace(follows_size=False)
    weighs_sets = False
    sha256 = "0" * 64

    def __init__(self, pick: PickSettings, _: str) -> None:
        self.settings, self.device, self.dtype = pick, "cpu", "torch.float32"
        self.threshold = 0.5 if pick.threshold is None else pick.threshold
        self.cut = Cut(self.threshold, pick.best, pick.most)
        self.model = SimpleNamespace(card=SimpleNamespace(name="fake", sha256=self.sha256, calibration={}), judge=None)

    def at(self, working_diameter: float) -> FakePicker:
        """Look at the particle as if it had another diameter."""
        return FakePicker(replace(self.settings, working_diameter=working_diameter), "cpu")


def fake_picking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the core below `cryosparc_tool.session`, and all waiting."""
    card = SimpleNamespace(threshold=0.5, sha256="0" * 64, calibration={})
    monkeypatch.setattr("relion_ganpick.model.weights.read_card", lambda _: card)
    monkeypatch.setattr("relion_ganpick.runs.run.stream", fake_stream)
    monkeypatch.setattr("cryosparc_tool.data.power.RatingPicker", FakePicker)
    monkeypatch.setattr(retry, "WAITS", (0.0, 0.0))


def login(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    """Set the variables of a user, and none of the machine's own."""
    for name in [name for name in os.environ if name.startswith("CRYOSPARC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CRYOSPARC_EMAIL", EMAIL)
    monkeypatch.setenv("CRYOSPARC_PASSWORD", PASSWORD)
    monkeypatch.setenv("CRYOSPARC_LICENSE_ID", LICENSE)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config))
