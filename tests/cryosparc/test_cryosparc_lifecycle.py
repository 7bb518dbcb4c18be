"""Every way out of a run, and every way back in by --resume, with the real client of version 5."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryosparc_project import fake_picking, fake_stream, make_world, nothing_to_pick
from standin5 import Server5
from standin_world import PROJECT, SOURCE, Fault, World

from cryosparc_tool.main import main
from cryosparc_tool.options import JobSettings
from cryosparc_tool.plan import Plan
from cryosparc_tool.server.lifecycle import StoppedError
from relion_ganpick.core.settings import RunSettings

pytestmark = pytest.mark.cryosparc(5)
CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def world(project_folder: Path, user: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    fake_picking(monkeypatch)
    monkeypatch.setattr("cryosparc_tool.results.LOOK_SECONDS", 0.0)
    return make_world(project_folder)


def run(server: Server5, *more: str) -> int:
    return main(["--url", server.url, "--project", PROJECT, "--overlays", "0", *more])


def pick(server: Server5, *more: str) -> int:
    return run(server, "--workspace", "W1", "--job", SOURCE, "--diameter", "20", *more)


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int, action: Any) -> None:
    """Do something in the middle of the picking."""

    def stream(tasks: Any, *rest: Any) -> Any:
        for index, result in enumerate(fake_stream(tasks, *rest)):
            if index == after:
                action()
            yield result

    monkeypatch.setattr("relion_ganpick.runs.run.stream", stream)


def throw(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (KeyboardInterrupt(), 130, "stopped by Ctrl-C"),
        (StoppedError("stopped by SIGTERM"), 130, "stopped by SIGTERM"),
        (SystemExit(3), 3, "SystemExit: 3"),
        (RuntimeError("boom"), 1, "RuntimeError: boom"),
        (MemoryError(), 1, "MemoryError"),
    ],
)
def test_interrupted_job_is_failed_with_a_message(
    server: Server5, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, message: str
) -> None:
    interrupt(monkeypatch, 1, lambda: throw(error))
    if isinstance(error, SystemExit):
        with pytest.raises(SystemExit):
            pick(server)
    else:
        assert pick(server) == status
    (job,) = server.world.external_jobs()
    assert job.history == ["building", "running", "failed"]
    assert job.error == message


@pytest.mark.parametrize("status", ["killed", "building"])
def test_job_that_is_ended_in_the_web_interface_is_left_as_it_is(
    server: Server5, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], status: str
) -> None:
    interrupt(monkeypatch, 1, lambda: server.world.external_jobs()[0].become(status))
    assert pick(server) == 1
    (job,) = server.world.external_jobs()
    assert job.status == status
    assert "jobs.save_output" not in server.world.requests
    error = capfd.readouterr().err
    assert f"{job.uid} is {status}: somebody ended it in CryoSPARC" in error
    assert f"--resume {job.uid} to go on" in error


def test_deleted_job_ends_the_run(server: Server5, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    interrupt(monkeypatch, 1, lambda: server.world.jobs.pop("J43"))
    assert pick(server) == 1
    assert "J43 is not there any more: was it deleted?" in capfd.readouterr().err


def watch(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the micrographs that are picked from now on."""
    seen: list[str] = []

    def stream(tasks: Any, *rest: Any) -> Any:
        for result in fake_stream(tasks, *rest):
            seen.append(result.task.name)
            yield result

    monkeypatch.setattr("relion_ganpick.runs.run.stream", stream)
    return seen


def test_resume_picks_only_what_is_missing(server: Server5, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(monkeypatch, 2, lambda: throw(KeyboardInterrupt()))
    assert pick(server) == 130
    seen = watch(monkeypatch)
    assert run(server, "--resume", "J43") == 0
    assert len(seen) == 1
    assert "mic002" in seen[0]
    (job,) = server.world.external_jobs()
    assert job.history == ["building", "running", "failed", "running", "completed"]
    assert len(job.datasets["picked_particles"]) == 15


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setattr("cryosparc_tool.session.__version__", "9.9"),
        lambda patch: patch.setattr("cryosparc_project.FakePicker.sha256", "1" * 64),
    ],
    ids=["version", "model"],
)
def test_resume_does_not_mix_results_of_two_versions_or_models(
    server: Server5, monkeypatch: pytest.MonkeyPatch, change: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt(monkeypatch, 2, lambda: throw(KeyboardInterrupt()))
    assert pick(server) == 130
    change(monkeypatch)
    seen = watch(monkeypatch)
    assert run(server, "--resume", "J43") == 0
    assert len(seen) == 3
    assert "2 finished micrographs are picked again" in capsys.readouterr().out


def test_resume_takes_an_option_that_the_first_version_did_not_have(
    server: Server5, monkeypatch: pytest.MonkeyPatch, user: Path
) -> None:
    interrupt(monkeypatch, 2, lambda: throw(KeyboardInterrupt()))
    assert pick(server) == 130
    path = user / "cryosparc_ganpick/P3_J43/run.json"
    before = json.loads(path.read_text())
    del before["pick"]["working_diameter"]
    path.write_text(json.dumps(before))
    settings = JobSettings(PROJECT, resume="J43")
    assert Plan.of(settings, RunSettings(), {"working_diameter": 17.0}).pick.working_diameter == 17.0
    assert Plan.of(settings, RunSettings(), {}).pick.working_diameter == "auto"


def test_resume_pushes_without_picking_after_a_failed_save(server: Server5, monkeypatch: pytest.MonkeyPatch, user: Path) -> None:
    server.world.faults.append(Fault("jobs.save_output", 500))
    assert pick(server) == 1
    assert server.world.jobs["J43"].status == "failed"
    before = np.load(user / "cryosparc_ganpick/P3_J43/picked_particles.cs")
    server.world.faults.clear()
    monkeypatch.setattr("relion_ganpick.runs.run.stream", nothing_to_pick)
    assert run(server, "--resume", "J43") == 0
    pushed = server.world.jobs["J43"].datasets["picked_particles"]
    assert (pushed["location/center_x_frac"] == before["location/center_x_frac"]).all()


def test_resume_pushes_to_a_new_job_where_the_old_one_cannot_be_started(server: Server5, user: Path) -> None:
    server.world.faults.append(Fault("jobs.save_output", 500))
    assert pick(server) == 1
    server.world.faults.clear()
    server.world.restart_allowed = False
    assert run(server, "--resume", "J43") == 0
    assert [job.status for job in server.world.external_jobs()] == ["failed", "completed"]
    assert len(server.world.jobs["J44"].datasets["picked_particles"]) == 15
    assert [path.name for path in (user / "cryosparc_ganpick").iterdir()] == ["P3_J44"]
    assert json.loads((user / "cryosparc_ganpick/P3_J44/run.json").read_text())["external_job"] == "J44"


def test_resume_finishes_a_job_that_was_left_running(server: Server5, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a power cut: the job is running for ever, and nobody works on it."""
    interrupt(monkeypatch, 1, lambda: throw(KeyboardInterrupt()))
    server.world.faults.append(Fault("jobs.mark_failed", 500))
    assert pick(server) == 130
    assert server.world.jobs["J43"].status == "running"
    monkeypatch.setattr("relion_ganpick.runs.run.stream", fake_stream)
    assert run(server, "--resume", "J43") == 0
    assert server.world.jobs["J43"].history == ["building", "running", "completed"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--diameter", "30"), "--diameter 30.0: the run to resume has 20.0"),
        (("--out", "elsewhere"), "--resume needs the results of the first run"),
        (("--dry_run",), "--resume and --dry_run cannot be given together"),
    ],
)
def test_resume_refuses_what_does_not_fit(
    server: Server5, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
) -> None:
    interrupt(monkeypatch, 1, lambda: throw(KeyboardInterrupt()))
    assert pick(server) == 130
    assert run(server, "--resume", "J43", *more) == 1
    assert message in capfd.readouterr().err


def test_resume_of_a_completed_job_changes_nothing(server: Server5, capfd: pytest.CaptureFixture[str]) -> None:
    assert pick(server) == 0
    saves = server.world.requests.count("jobs.save_output")
    assert run(server, "--resume", "J43") == 1
    assert "J43 is complete" in capfd.readouterr().err
    assert server.world.requests.count("jobs.save_output") == saves
    assert server.world.jobs["J43"].status == "completed"


def test_full_disk_fails_the_job(server: Server5, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cryosparc_tool.data.local.np.save", full)
    assert pick(server) == 1
    (job,) = server.world.external_jobs()
    assert job.status == "failed"
    assert "No space left on device" in job.error


def test_body_of_a_save_is_sent_in_full_after_a_dropped_connection(server: Server5) -> None:
    """The client's own second attempt would send an empty body."""
    server.world.faults.append(Fault("jobs.save_output", "drop", 1))
    assert pick(server) == 0
    assert server.world.requests.count("jobs.save_output") == 2
    assert len(server.world.jobs["J43"].datasets["picked_particles"]) == 15


def test_exposures_that_were_connected_twice_are_picked_once(server: Server5, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = World.connect

    def twice(self: World, *arguments: Any) -> None:
        connect(self, *arguments)
        connect(self, *arguments)

    monkeypatch.setattr(World, "connect", twice)
    assert pick(server) == 0
    assert len(server.world.jobs["J43"].datasets["picked_particles"]) == 15


def test_signals_end_a_real_process_in_order(world: World, user: Path, tmp_path: Path) -> None:
    """SIGTERM as a queue sends it, and Ctrl-C: the job is failed with a message, and what was picked is kept."""
    code = (
        "import sys, time; sys.path[:0] = sys.argv.pop(1).split(':'); import cryosparc_project as project\n"
        "import relion_ganpick.runs.run as run, cryosparc_tool.data.power as power, cryosparc_tool.main as main\n"
        "def stream(tasks, *rest):\n"
        "    for result in project.fake_stream(tasks):\n"
        "        yield result\n"
        "        open('picked', 'w').close(); time.sleep(30)\n"
        "run.stream, power.RatingPicker = stream, project.FakePicker\n"
        "sys.exit(main.main())\n"
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        work = user / number.name
        work.mkdir()
        world.jobs = {SOURCE: world.jobs[SOURCE]}
        with Server5(world) as server:
            words = ["--url", server.url, "--project", PROJECT, "--workspace", "W1", "--job", SOURCE, "--diameter", "20"]
            paths = f"{Path(__file__).parent}:{CHECKOUT}"
            process = subprocess.Popen(
                [sys.executable, "-c", code, paths, *words], cwd=work, env={**os.environ}, stderr=subprocess.PIPE, text=True
            )
            deadline = time.monotonic() + 600
            while not (work / "picked").exists():
                assert process.poll() is None, process.communicate()[1]
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.send_signal(number)
            error = process.communicate(timeout=300)[1]
        assert process.returncode == 130
        (job,) = world.external_jobs()
        assert (job.status, job.error) == ("failed", f"stopped by {number.name}")
        assert "give --resume J43 to go on" in error
        scores = list(work.glob("cryosparc_ganpick/P3_J43/scores/*.npy"))
        assert len(scores) >= 1
        assert np.load(scores[0]).shape == (6, 4)
