"""Everything that can go wrong at every request of a run, with the real client of version 5."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cryosparc_project import fake_picking, make_world
from standin5 import SECRETS, Server5
from standin_world import NETWORK_KINDS, PROJECT, SOURCE, Fault, World

from cryosparc_tool import report
from cryosparc_tool.main import main

pytestmark = pytest.mark.cryosparc(5)

SEQUENCE = [
    "openapi", "login", "users.me", "config.get_version", "jobs.find_one", "jobs.create", "jobs.add_external_input",
    "jobs.connect", "jobs.add_external_output", "jobs.mark_running", "jobs.load_input", "jobs.get_output_fields",
    "projects.find_one", "projects.get_directory", "projects.download_file", "jobs.add_event_log", "jobs.update_event_log",
    "jobs.save_output", "assets.upload", "jobs.add_image_log", "jobs.set_output_image", "jobs.set_tile_image",
    "jobs.mark_completed",
]  # fmt: skip
REPORT = ("jobs.add_event_log", "jobs.update_event_log", "assets.upload", "jobs.add_image_log", "jobs.set_output_image",
          "jobs.set_tile_image")  # fmt: skip
N_PICKS = 15


@pytest.fixture
def world(project_folder: Path, user: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    fake_picking(monkeypatch)
    png = report.histogram(np.zeros(report.BINS, np.int64), 0.5)
    monkeypatch.setattr(report, "histogram", lambda *_: png)
    monkeypatch.setattr("cryosparc_tool.results.LOOK_SECONDS", 0.0)
    # one micrograph must be downloaded, the others lie on the shared file system
    monkeypatch.setattr("cryosparc_tool.server.versions.PROBE_SECONDS", 1)
    return make_world(project_folder)


def fresh(world: World) -> World:
    """The same project without any external job."""
    return World(world.folder, jobs={SOURCE: world.jobs[SOURCE]}, slow_seconds=0.4)


def run(server: Server5, *more: str) -> int:
    return main(["--url", server.url, "--project", PROJECT, "--overlays", "1", *more])


def pick(server: Server5, *more: str) -> int:
    return run(server, "--workspace", "W1", "--job", SOURCE, "--diameter", "20", *more)


@pytest.fixture
def hidden(world: World, tmp_path: Path) -> Path:
    """Folder of the project as this machine sees it: the first micrograph is only on the server."""
    mine = tmp_path / "mine"
    paths = sorted(world.folder.rglob("*.mrc"))
    for path in paths[1:]:
        target = mine / path.relative_to(world.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)
    return mine


def completed(world: World) -> list[int]:
    """Numbers of picks of the completed jobs."""
    return [len(job.datasets.get("picked_particles", ())) for job in world.external_jobs() if job.status == "completed"]


def assert_no_secret(work: Path, output: str, world: World) -> None:
    events = [event["text"] for job in world.external_jobs() for event in job.events]
    texts = [output, *world.texts, *events, *(job.error + job.description + job.title for job in world.external_jobs())]
    texts += [path.read_bytes().decode(errors="replace") for path in work.rglob("*") if path.is_file()]
    for secret in SECRETS:
        assert not any(secret in text for text in texts), f"a credential was shown: {secret}"


def test_sequence_of_requests_is_known(world: World, hidden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loops below must cover every request of a run."""
    with Server5(world) as server:
        monkeypatch.setattr(Server5, "_projects_get_directory", lambda *_: str(hidden))
        assert pick(server) == 0
    assert set(world.requests) == set(SEQUENCE)


def check_end(world: World, work: Path, status: int, operation: str) -> None:
    """Whatever went wrong: no half result counts as complete, no job is left running, nothing is lost here."""
    statuses = [job.status for job in world.external_jobs()]
    assert completed(world) in ([], [N_PICKS]), operation
    assert not {"running", "waiting"} & set(statuses), operation
    assert (status == 0) == ("completed" in statuses), operation
    (fault,) = world.faults
    if fault.times == 1 and (fault.kind in NETWORK_KINDS or (fault.kind == 500 and operation != "jobs.create")):
        assert status == 0, f"{operation}: what happens once must be overcome"
    if operation in REPORT:
        assert status == 0, f"{operation}: trouble with the report must not spoil the picks"
    if "jobs.save_output" in world.requests:
        (result,) = work.rglob("picked_particles.cs")
        assert len(np.load(result)) == N_PICKS, operation


@pytest.mark.parametrize(
    ("kind", "times"),
    [
        ("refuse", 1), ("drop", 1), ("lost", 1), ("slow", 1), (500, 1), (401, 1), ("garbage", 1),
        ("refuse", None), ("lost", None), (401, None), (404, None), (422, None), (500, None), ("garbage", None),
    ],
)  # fmt: skip
def test_every_fault_at_every_request(
    world: World,
    hidden: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    kind: str | int,
    times: int | None,
) -> None:
    monkeypatch.setattr(Server5, "_projects_get_directory", lambda *_: str(hidden))
    for operation in SEQUENCE:
        work = tmp_path / "runs" / operation
        work.mkdir(parents=True)
        monkeypatch.chdir(work)
        now = fresh(world)
        now.faults.append(Fault(operation, kind, times))
        with Server5(now) as server:
            status = pick(server, *(("--timeout", "0.2") if kind == "slow" else ()))
            check_end_with_missing(now, work, status, operation, kind, times)
            output = "".join(capfd.readouterr())
            assert now.faults[0].seen, f"{operation} was not called"
            assert_no_secret(work, output, now)
            now.faults.clear()
            for folder in work.glob("cryosparc_ganpick/*"):
                if status != 0 and (folder / "run.json").exists():
                    assert run(server, "--resume", folder.name.split("_")[1]) == 0, operation
                    assert completed(now) == [N_PICKS], operation


def check_end_with_missing(now: World, work: Path, status: int, operation: str, kind: str | int, times: int | None) -> None:
    """A download that the server answers with 404 is a missing micrograph: skipped, and said in the job's log."""
    if operation != "projects.download_file" or kind != 404:
        check_end(now, work, status, operation)
        return
    (job,) = now.external_jobs()
    assert (status, job.status, len(job.datasets["picked_particles"])) == (0, "completed", N_PICKS - 5)
    assert any(event["type"] == "warning" and "1 of 3 micrographs were skipped" in event["text"] for event in job.events)
