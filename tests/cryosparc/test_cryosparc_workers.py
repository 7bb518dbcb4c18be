"""`cryosparc_ganpick --workers`: processes of this machine pick for the CryoSPARC job what it would pick alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryosparc_project import login
from job_project import DIAMETER, PIXEL_SIZE, SHAPE, make_project
from standin5 import Server5
from standin_world import PROJECT, SOURCE, World, exposure_dataset

from cryosparc_tool import pick_exposures
from cryosparc_tool.main import main

pytest.importorskip("distributed")
pytestmark = [pytest.mark.cryosparc(5), pytest.mark.filterwarnings("ignore::ResourceWarning")]
NAMES = [f"Micrographs/mic{index:02d}.mrc" for index in range(4)]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server5]:
    login(monkeypatch, tmp_path / "config")
    world = World(make_project(tmp_path / "project", len(NAMES)))
    rows = [{"uid": 1 + k, "path": name, "shape": SHAPE, "psize_A": PIXEL_SIZE, "group": 1} for k, name in enumerate(NAMES)]
    world.add_source(exposure_dataset(rows))
    with Server5(world) as running:
        yield running


def test_workers_find_the_picks_of_one_process(server: Server5, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = {"workspace": "W1", "job": SOURCE, "diameter": DIAMETER, "device": "cpu", "page": False}
    alone = pick_exposures(url=server.url, project=PROJECT, **options)
    words = ["--url", server.url, "--project", PROJECT, "--workspace", "W1", "--job", SOURCE]
    words += ["--diameter", f"{DIAMETER:g}", "--device", "cpu", "--page", "no", "--workers", "local:2"]
    assert main(words) == 0
    found = [path for path in tmp_path.rglob("picks.csv") if path.parent.name != alone.folder.name]
    assert len(found) == 1
    table = (alone.folder / "picks.csv").read_bytes()
    assert table.count(b"\n") > 10 * len(NAMES)
    assert found[0].read_bytes() == table
    other = found[0].parent
    for path in alone.folder.rglob("*.star"):
        text = path.read_text().replace(f"/{alone.folder.name}/", f"/{other.name}/")  # lists name the files in their folder
        assert (other / path.relative_to(alone.folder)).read_text() == text
