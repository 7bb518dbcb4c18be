"""Coordinate files among the results on this machine: for scripts, to look at, to correct and to push."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import starfile
from cryosparc_project import SHAPE, fake_picks, nothing_to_pick
from jsonschema import Draft202012Validator
from standin5 import Server5
from standin_world import PROJECT, SOURCE

from cryosparc_tool.main import main
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.pick_files import State, inspect_picks, read_picks, write_edited
from relion_ganpick.inspect.job import find_job

pytestmark = pytest.mark.cryosparc(5)

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "picks.schema.json").read_text())
FOLDER = Path("cryosparc_ganpick") / f"{PROJECT}_{SOURCE}_dry_run"
MINE = Picks(np.array([3.0, 20.0]), np.array([4.0, 30.0]), np.array([-1.0, -1.0]))


def dry_run(server: Server5, *more: str) -> int:
    words = ["--url", server.url, "--project", PROJECT, "--job", SOURCE, "--diameter", "20", "--page", "no", "--overlays", "0"]
    return main([*words, "--dry_run", *more])


def files() -> list[Path]:
    return sorted((FOLDER / "coordinates").glob("*_autopick.star"))


def beside(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.with_name(path.name.replace("_autopick.star", "_picks.json")).read_text())
    return found


def test_every_exposure_has_its_picks_for_scripts(server: Server5) -> None:
    assert dry_run(server, "--threshold", "0.5") == 0
    assert len(files()) == 3
    for path, row in zip(files(), server.world.jobs[SOURCE].datasets["exposures_accepted"].rows(), strict=True):
        found = beside(path)
        Draft202012Validator(SCHEMA).validate(found)
        picks = fake_picks(row["micrograph_blob/path"]).above(0.5)
        assert (found["micrograph"], found["shape"]) == (row["micrograph_blob/path"], list(SHAPE))
        assert (found["diameter"], found["threshold"], found["edited"]) == (20, 0.5, False)
        assert found["picks"]["figure_of_merit"] == picks.score.tolist()
        np.testing.assert_array_equal(read_picks(path).xy, picks.xy)


def test_they_follow_another_threshold_without_picking(server: Server5, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dry_run(server, "--threshold", "0.5") == 0
    monkeypatch.setattr("relion_ganpick.runs.run.stream", nothing_to_pick)
    before = [path.stat().st_mtime_ns for path in files()]
    assert dry_run(server, "--threshold", "0.5") == 0
    assert [path.stat().st_mtime_ns for path in files()] == before
    assert dry_run(server, "--threshold", "0", "--most", "2") == 0
    assert [(beside(path)["n_picks"], beside(path)["threshold"], len(read_picks(path))) for path in files()] == [(2, 0, 2)] * 3
    summary = starfile.read(FOLDER / "summary.star")
    assert summary["rlnGroupNrParticles"].tolist() == [2, 2, 2]


def test_results_of_a_version_that_wrote_none_get_them(server: Server5, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dry_run(server) == 0
    for path in (FOLDER / "coordinates").iterdir():
        path.unlink()
    monkeypatch.setattr("relion_ganpick.runs.run.stream", nothing_to_pick)
    assert dry_run(server) == 0
    assert [beside(path)["n_picks"] for path in files()] == [5, 5, 5]
    Draft202012Validator(SCHEMA).validate(beside(files()[0]))


def test_edited_picks_are_kept_and_can_be_pushed(server: Server5, capfd: pytest.CaptureFixture[str]) -> None:
    assert dry_run(server, "--threshold", "0.5") == 0
    assert len(find_job(FOLDER).names) == 3
    write_edited(files()[1], MINE)
    assert dry_run(server, "--threshold", "0") == 0
    assert inspect_picks(files()[1]).state is State.EDITED
    assert (beside(files()[1])["edited"], beside(files()[1])["n_picks"]) == (True, 2)
    assert [len(read_picks(path)) for path in files()] == [6, 2, 6]
    assert f"1 coordinate files in {FOLDER / 'coordinates'} were edited: they are kept" in capfd.readouterr().err
    assert starfile.read(FOLDER / "summary.star")["rlnGroupNrParticles"].tolist() == [6, 2, 6]
    words = ["--url", server.url, "--project", PROJECT, "--workspace", "W1", "--job", SOURCE, "--diameter", "20"]
    assert main([*words, "--coordinates", str(FOLDER), "--overlays", "0"]) == 0
    (job,) = server.world.external_jobs()
    pushed = job.datasets["picked_particles"]
    uids = server.world.jobs[SOURCE].datasets["exposures_accepted"]["uid"]
    counts = [len(pushed.query({"location/micrograph_uid": uid})) for uid in uids]
    assert counts == [6, 2, 6]
    mine = pushed.query({"location/micrograph_uid": uids[1]})
    assert np.allclose(np.rint(mine["location/center_x_frac"] * SHAPE[1]), MINE.x)


def test_micrograph_that_has_gone_leaves_no_files(server: Server5, project_folder: Path) -> None:
    assert dry_run(server, "--diameter", "20") == 0
    (gone,) = project_folder.rglob("*mic001*.mrc")
    gone.unlink()
    assert dry_run(server, "--min_distance", "30") == 0  # all are picked again
    assert [path.name.partition("_mic")[2][:3] for path in files()] == ["000", "002"]
    assert len(list((FOLDER / "coordinates").glob("*.json"))) == 2
