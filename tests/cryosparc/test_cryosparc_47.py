"""The same runs and faults with the real client of version 4.7, where it is the one that is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cryosparc_project import fake_picking, make_world
from standin47 import Server47
from standin_world import ECHOES, EMAIL, LICENSE, PASSWORD, PROJECT, SOURCE, Fault, World

from cryosparc_tool import pick_exposures, report
from cryosparc_tool.main import main

pytestmark = [pytest.mark.cryosparc(4), pytest.mark.filterwarnings("ignore::ResourceWarning")]

SEQUENCE = [
    "core.system.describe", "vis.system.describe", "rtp.system.describe", "core.get_id_by_email_password",
    "core.get_running_version", "core.get_project", "core.get_job", "core.get_project_dir_abs", "get_project_file",
    "vis.create_external_job", "vis.connect_external_job", "vis.add_external_job_output", "core.run_external_job",
    "load_job_input", "core.job_send_streamlog", "dataset", "files", "core.set_job_status",
]  # fmt: skip
REPORT = ("core.job_send_streamlog", "files")
N_PICKS = 15


@pytest.fixture
def world(project_folder: Path, user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    fake_picking(monkeypatch)
    monkeypatch.setattr("cryosparc.command.RETRY_INTERVAL", 0)
    png = report.histogram(np.zeros(report.BINS, np.int64), 0.5)
    monkeypatch.setattr(report, "histogram", lambda *_: png)
    monkeypatch.setattr("cryosparc_tool.results.LOOK_SECONDS", 0.0)
    world = make_world(project_folder)
    # the first micrograph is only on the server
    mine = tmp_path / "mine"
    for path in sorted(project_folder.rglob("*.mrc"))[1:]:
        (mine / path.relative_to(project_folder)).parent.mkdir(parents=True, exist_ok=True)
        (mine / path.relative_to(project_folder)).symlink_to(path)
    monkeypatch.setattr(Server47, "_get_project_dir_abs", lambda *_: str(mine))
    return world


@pytest.fixture
def server(world: World) -> Iterator[Server47]:
    with Server47(world) as server:
        yield server


def run(server: Server47, *more: str) -> int:
    return main(["--url", server.url, "--project", PROJECT, "--overlays", "1", *more])


def pick(server: Server47, *more: str) -> int:
    return run(server, "--workspace", "W1", "--job", SOURCE, "--diameter", "20", *more)


def test_picks_arrive_and_the_log_is_filled(server: Server47, user: Path) -> None:
    assert pick(server) == 0
    (job,) = server.world.external_jobs()
    assert job.history == ["building", "running", "completed"]
    assert len(job.datasets["picked_particles"]) == N_PICKS
    local = np.load(user / "cryosparc_ganpick" / f"{PROJECT}_{job.uid}" / "picked_particles.cs")
    for name in ("uid", "location/center_x_frac", "location/center_y_frac", "pick_stats/ncc_score", "pick_stats/power"):
        assert (local[name] == job.datasets["picked_particles"][name]).all()
    assert sum(event["type"] == "image" for event in job.events) == 2
    assert any("3/3 micrographs, 15 picks" in event["text"] for event in job.events)
    assert set(server.world.requests) == set(SEQUENCE)


def test_dry_run_pushes_nothing(server: Server47, user: Path) -> None:
    assert run(server, "--job", SOURCE, "--diameter", "20", "--dry_run") == 0
    assert server.world.external_jobs() == []
    folder = user / "cryosparc_ganpick" / f"{PROJECT}_{SOURCE}_dry_run"
    assert len(np.load(folder / "picked_particles.cs")) == N_PICKS


def test_notebook_function_takes_a_client(server: Server47) -> None:
    from cryosparc.tools import CryoSPARC

    base = int(server.url.rpartition(":")[2])
    client = CryoSPARC(license=LICENSE, host="127.0.0.1", base_port=base, email=EMAIL, password=PASSWORD)
    outcome = pick_exposures(client, project=PROJECT, workspace="W1", job=SOURCE, diameter=20)
    assert (outcome.job, outcome.n_picks) == ("J43", N_PICKS)


def completed(world: World) -> list[int]:
    return [len(job.datasets.get("picked_particles", ())) for job in world.external_jobs() if job.status == "completed"]


@pytest.mark.parametrize(
    ("kind", "times"),
    [
        ("refuse", 1),
        ("drop", 1),
        ("lost", 1),
        (500, 1),
        (401, 1),
        ("garbage", 1),
        ("refuse", None),
        (401, None),
        (422, None),
        (500, None),
    ],
)
def test_every_fault_at_every_request(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    kind: str | int,
    times: int | None,
) -> None:
    for operation in SEQUENCE:
        work = tmp_path / "runs" / operation
        work.mkdir(parents=True)
        monkeypatch.chdir(work)
        now = World(world.folder, jobs={SOURCE: world.jobs[SOURCE]})
        now.faults.append(Fault(operation, kind, times))
        with Server47(now) as server:
            status = pick(server)
            statuses = [job.status for job in now.external_jobs()]
            assert completed(now) in ([], [N_PICKS]), operation
            assert (status == 0) == ("completed" in statuses), operation
            # one request both completes and fails a job of this version: without it nothing can be ended
            if times is not None or operation != "core.set_job_status":
                assert not {"running", "waiting"} & set(statuses), operation
            if operation in REPORT:
                assert status == 0, operation
            output = "".join(capfd.readouterr())
            texts = [
                output,
                *now.texts,
                *(path.read_bytes().decode(errors="replace") for path in work.rglob("*") if path.is_file()),
            ]
            for secret in (*ECHOES, LICENSE):
                assert not any(secret in text for text in texts), operation
            now.faults.clear()
            for folder in work.glob("cryosparc_ganpick/*"):
                if status != 0 and (folder / "run.json").exists():
                    assert run(server, "--resume", folder.name.split("_")[1]) == 0, operation
                    assert completed(now) == [N_PICKS], operation
