"""One run with the real client of version 5 against the stand-in server; picks are faked below the core."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cryosparc_project import FIRST_UID, PIXEL_SIZE, SHAPE, fake_picks, nothing_to_pick
from standin5 import Server5
from standin_world import EMAIL, PASSWORD, PROJECT, SOURCE

from cryosparc_tool import pick_exposures
from cryosparc_tool.main import main
from relion_ganpick.core.errors import GanpickError

pytestmark = pytest.mark.cryosparc(5)


def words(server: Server5, *more: str) -> list[str]:
    return ["--url", server.url, "--project", PROJECT, "--workspace", "W1", "--job", SOURCE, "--diameter", "20", *more]


def test_picks_arrive_in_every_column(server: Server5) -> None:
    assert main(words(server, "--threshold", "0.5")) == 0
    (job,) = server.world.external_jobs()
    assert job.history == ["building", "running", "completed"]
    saved = job.datasets["picked_particles"]
    source = server.world.jobs[SOURCE].datasets["exposures_accepted"]
    assert len(saved) == 15
    for row in source.rows():
        picks = fake_picks(row["micrograph_blob/path"]).above(0.5)
        mine = saved.query({"location/micrograph_uid": row["uid"]})
        assert np.allclose(mine["location/center_x_frac"], np.float32(picks.x / SHAPE[1]), atol=0, rtol=0)
        assert np.allclose(mine["location/center_y_frac"], np.float32(picks.y / SHAPE[0]), atol=0, rtol=0)
        assert np.allclose(mine["pick_stats/ncc_score"], picks.score, atol=1e-6)
        assert (mine["location/micrograph_path"] == row["micrograph_blob/path"]).all()
        assert (mine["location/exp_group_id"] == row["mscope_params/exp_group_id"]).all()
        assert (mine["location/micrograph_shape"] == [SHAPE]).all()
        assert np.allclose(mine["location/micrograph_psize_A"], PIXEL_SIZE)
        assert np.allclose(mine["location/min_dist_A"], 10)
        assert (mine["pick_stats/template_idx"] == 0).all()
        assert (mine["pick_stats/angle_rad"] == 0).all()


def test_event_log_shows_progress_table_histogram_and_picture(server: Server5) -> None:
    assert main(words(server)) == 0
    (job,) = server.world.external_jobs()
    texts = [event["text"] for event in job.events]
    assert sum("micrographs, " in text for text in texts) == 1
    assert "3/3 micrographs, 15 picks, 0 skipped" in texts
    assert any("picks per micrograph, least / median / most" in text for text in texts)
    (plot,) = [event for event in job.events if event["type"] == "image"]
    png, csv = (server.world.assets[image["fileid"]] for image in plot["images"])
    assert png.startswith(b"\x89PNG")
    counts = pd.read_csv(pd.io.common.BytesIO(csv))
    assert counts["picks"].sum() == 18
    assert set(job.images) == {"picked_particles", "tile"}
    assert server.world.assets[job.images["tile"]].startswith(b"\x89PNG")


def test_progress_is_one_line_that_is_updated(server: Server5, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryosparc_tool.results.LOOK_SECONDS", 0.0)
    assert main(words(server)) == 0
    (job,) = server.world.external_jobs()
    assert sum(" micrographs, " in event["text"] for event in job.events) == 1
    assert server.world.requests.count("jobs.update_event_log") == 2
    assert "1/3 micrographs, 5 picks, 0 skipped" in server.world.texts


def test_local_result_equals_what_was_pushed(server: Server5, user: Path) -> None:
    assert main(words(server)) == 0
    (job,) = server.world.external_jobs()
    folder = user / "cryosparc_ganpick" / f"{PROJECT}_{job.uid}"
    local = np.load(folder / "picked_particles.cs")
    pushed = job.datasets["picked_particles"]
    assert (local["uid"] == pushed["uid"]).all()
    assert (local["location/center_x_frac"] == pushed["location/center_x_frac"]).all()
    table = pd.read_csv(folder / "picks.csv")
    assert np.allclose(table["x"] / SHAPE[1], local["location/center_x_frac"])
    assert list(table.columns) == ["micrograph_uid", "micrograph", "x", "y", "score", "power"]
    assert pd.read_csv(folder / "micrographs.csv")["picks"].tolist() == [5, 5, 5]
    assert json.loads((folder / "run.json").read_text())["job"] == SOURCE


def test_dry_run_creates_no_job(server: Server5, user: Path) -> None:
    arguments = ["--url", server.url, "--project", PROJECT, "--job", SOURCE, "--diameter", "20", "--dry_run"]
    assert main(arguments) == 0
    assert server.world.external_jobs() == []
    assert not [
        name for name in server.world.requests if name.startswith("jobs.") and name[5:] not in ("find_one", "load_output")
    ]
    folder = user / "cryosparc_ganpick" / f"{PROJECT}_{SOURCE}_dry_run"
    assert len(np.load(folder / "picked_particles.cs")) == 15
    assert len(pd.read_csv(folder / "picks.csv")) == 15


def test_dry_run_with_another_threshold_picks_nothing_again(server: Server5, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--url", server.url, "--project", PROJECT, "--job", SOURCE, "--diameter", "20", "--dry_run"]
    assert main([*arguments, "--threshold", "0.5"]) == 0
    monkeypatch.setattr("relion_ganpick.runs.run.stream", nothing_to_pick)
    assert main([*arguments, "--threshold", "0"]) == 0
    folder = user / "cryosparc_ganpick" / f"{PROJECT}_{SOURCE}_dry_run"
    assert len(np.load(folder / "picked_particles.cs")) == 18
    assert main([*arguments, "--threshold", "0", "--most", "2"]) == 0
    kept = np.load(folder / "picked_particles.cs")
    assert np.unique(kept["location/micrograph_uid"], return_counts=True)[1].tolist() == [2, 2, 2]


@pytest.mark.parametrize("empty", ["some", "all"])
def test_micrographs_without_picks_work(server: Server5, monkeypatch: pytest.MonkeyPatch, empty: str) -> None:
    def picks(name: str) -> Any:
        return fake_picks(name).above(2.0) if empty == "all" or "mic001" in name else fake_picks(name)

    monkeypatch.setattr("cryosparc_project.fake_picks", picks)
    assert main(words(server)) == 0
    (job,) = server.world.external_jobs()
    assert job.status == "completed"
    assert len(job.datasets["picked_particles"]) == (0 if empty == "all" else 10)


def test_missing_micrograph_is_skipped_and_reported(
    server: Server5, project_folder: Path, user: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (gone,) = project_folder.rglob("*mic001*.mrc")
    gone.unlink()
    assert main(words(server)) == 0
    (job,) = server.world.external_jobs()
    assert job.status == "completed"
    uids = set(job.datasets["picked_particles"]["location/micrograph_uid"].tolist())
    assert uids == {FIRST_UID, FIRST_UID + 14}
    assert "mic001_patch_aligned_doseweighted.mrc: neither on this machine nor on the server" in capfd.readouterr().err
    assert any(event["type"] == "warning" and "1 of 3 micrographs were skipped" in event["text"] for event in job.events)
    table = pd.read_csv(user / "cryosparc_ganpick" / f"{PROJECT}_{job.uid}" / "micrographs.csv")
    assert table["problem"].notna().sum() == 1


def test_job_without_a_usable_micrograph_fails(server: Server5, project_folder: Path) -> None:
    for path in project_folder.rglob("*.mrc"):
        path.unlink()
    assert main(words(server)) == 1
    (job,) = server.world.external_jobs()
    assert job.status == "failed"
    assert "no micrograph could be used" in job.error


def test_files_are_downloaded_where_the_project_is_not_shared(
    server: Server5, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    seen: list[tuple[int, bool]] = []

    def stream(tasks: Any, *_: Any) -> Any:
        from cryosparc_project import fake_stream

        for task in tasks:
            seen.append((len(list(cache.rglob("*.mrc"))), task.path.read_bytes() == original[task.name]))
            yield from fake_stream([task])

    original = {str(path.relative_to(server.world.folder)): path.read_bytes() for path in server.world.folder.rglob("*.mrc")}
    monkeypatch.setattr("relion_ganpick.runs.run.stream", stream)
    monkeypatch.setattr(Server5, "_projects_get_directory", lambda *_: "/not/here")
    assert main(words(server, "--cache", str(cache))) == 0
    assert [same for _, same in seen] == [True] * 3
    assert list(cache.iterdir()) == []
    assert server.world.requests.count("projects.download_file") == 3


def test_notebook_function_takes_a_client(server: Server5, user: Path) -> None:
    from cryosparc.tools import CryoSPARC

    client = CryoSPARC(server.url, host=None, base_port=None, email=EMAIL, password=PASSWORD)
    outcome = pick_exposures(client, project=PROJECT, workspace="W1", job=SOURCE, diameter=20, threshold=0.5, overlays=0)
    assert (outcome.job, outcome.n_picks, outcome.n_micrographs, outcome.skipped) == ("J43", 15, 3, {})
    assert outcome.threshold == 0.5
    assert server.world.jobs["J43"].status == "completed"
    assert not (outcome.folder / "overlays").exists()


def test_notebook_function_refuses_unknown_options(server: Server5) -> None:
    with pytest.raises(TypeError, match="diametre"):
        pick_exposures(url=server.url, project=PROJECT, workspace="W1", job=SOURCE, diametre=20)


def test_output_is_found_by_type_and_contents(server: Server5) -> None:
    source = server.world.jobs[SOURCE]
    dataset = source.datasets["exposures_accepted"]
    server.world.add_source(dataset, "exposures_rejected")
    server.world.add_source(dataset, "a_template", kind="template")
    server.world.add_source(dataset.filter_prefixes(["micrograph_blob"], copy=True), "bare")
    assert main(words(server)) == 0
    assert server.world.jobs["J43"].inputs["micrographs"]["connections"] == [(SOURCE, "exposures_accepted")]


def test_several_outputs_of_exposures_ask_for_a_choice(server: Server5) -> None:
    dataset = server.world.jobs[SOURCE].datasets["exposures_accepted"]
    server.world.add_source(dataset, "split_0")
    with pytest.raises(GanpickError, match="exposures_accepted, split_0"):
        pick_exposures(url=server.url, project=PROJECT, workspace="W1", job=SOURCE, diameter=20)
    assert server.world.external_jobs() == []
    assert main(words(server, "--output", "split_0")) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output": "nothing"}, "no such output; its outputs: exposures_accepted"),
        ({"job": "J99"}, "no job J99"),
        ({"project": "P9"}, "no project P9"),
        ({"workspace": "W9"}, "no workspace W9"),
        ({"job": "42"}, "give a uid such as J12"),
        ({"flip_y": True}, "`flip_y` is for `coordinates`"),
        ({"local_root": "/no/such/folder"}, "`local_root` /no/such/folder: no such folder"),
        ({"workspace": None}, "`workspace` is missing"),
    ],
)
def test_wrong_settings_are_explained(server: Server5, changes: dict[str, Any], message: str) -> None:
    options: dict[str, Any] = {"project": PROJECT, "workspace": "W1", "job": SOURCE, "diameter": 20, **changes}
    with pytest.raises(GanpickError, match=message):
        pick_exposures(url=server.url, **options)
    assert all(job.status == "failed" for job in server.world.external_jobs())


@pytest.mark.parametrize("flip", [False, True])
def test_coordinates_of_another_program_are_pushed(server: Server5, tmp_path: Path, flip: bool) -> None:
    """RELION's names are part of CryoSPARC's; one micrograph has no coordinates."""
    folder = tmp_path / "Micrographs"
    folder.mkdir()
    for index in (0, 2):
        (folder / f"mic{index:03d}_autopick.csv").write_text(f"x,y,score\n{10 + index},4,0.7\n30,39,0.2\n")
    arguments = words(server, "--coordinates", str(folder), *(["--flip_y"] if flip else []))
    assert main(arguments) == 0
    (job,) = server.world.external_jobs()
    saved = job.datasets["picked_particles"]
    assert saved["location/micrograph_uid"].tolist() == [FIRST_UID] * 2 + [FIRST_UID + 14] * 2
    rows = np.rint(saved["location/center_y_frac"] * np.float32(SHAPE[0])).astype(int).tolist()
    assert rows == ([35, 0, 35, 0] if flip else [4, 39, 4, 39])
    assert np.rint(saved["location/center_x_frac"] * np.float32(SHAPE[1])).astype(int).tolist() == [10, 30, 12, 30]
    assert np.allclose(saved["pick_stats/ncc_score"], [0.7, 0.2, 0.7, 0.2])
    assert np.allclose(saved["pick_stats/power"], 1)
    assert any("there are no coordinates for a micrograph of this name" in event["text"] for event in job.events)
