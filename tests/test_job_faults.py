"""What goes wrong around an External job: bad micrographs, no disk, no weights, signals, an abort, a second process."""

from __future__ import annotations

import errno
import json
import os
import pydoc
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from job_project import (
    FAILED,
    JOB,
    MICROGRAPHS_STAR,
    PIXEL_SIZE,
    PROGRAM,
    SUCCEEDED,
    WAS_ABORTED,
    arguments,
    child_of,
    end_of,
    listed,
    log,
    make_project,
    markers,
    prepare_job,
    run_here,
    run_job,
    scene_pixels,
    snapshot,
    started_job,
    states,
    wait_for,
    write_mrc,
    write_star,
)
from machine import patience

from relion_ganpick.core.files import TEMPORARY
from relion_ganpick.formats.pick_files import State
from relion_ganpick.model.weights import SHIPPED
from relion_ganpick.relion import worker
from relion_ganpick.relion.markers import ABORT_NOW

MANY = 40
HEADER_BYTES = 1024
NO_OVERLAYS = ("--overlays", "0")


def job_words(*more: str) -> list[str]:
    return arguments(*NO_OVERLAYS, *more)


# micrographs


def spoil(project: Path) -> dict[str, str]:
    """Spoil eight of ten micrographs, each in its own way; returns what must be said of each."""
    names = [f"Micrographs/mic{k:02d}.mrc" for k in range(8)]
    pixels = scene_pixels(0)
    (project / names[0]).unlink()
    (project / names[1]).write_bytes(b"")
    os.truncate(project / names[2], 60000)
    write_mrc(project / names[3], np.full_like(pixels, 7))
    with (project / names[4]).open("r+b") as file:
        file.seek(HEADER_BYTES)
        file.write(np.full(5000, np.nan, np.float32).tobytes())
    with mrcfile.new(project / names[5], overwrite=True) as mrc:
        mrc.set_data(pixels.astype(np.complex64))
    (project / names[6]).write_bytes(b"<html>not found</html>" * 100)
    write_mrc(project / names[7], np.stack([pixels, pixels]))
    says = [
        "no such file",
        "empty",
        "truncated",
        "all pixels are equal",
        "NaN or infinite",
        "complex numbers",
        "not an MRC file",
        "stack",
    ]
    return dict(zip(names, says, strict=True))


def tables(project: Path) -> list[bytes]:
    """Coordinates and scores of a job without their stamps, which hold the micrographs' dates."""
    files = [content for name, content in snapshot(project).items() if re.search(r"mic.*_(autopick|scores)\.star$", name)]
    assert files
    return [content[content.index(b"data_") :] for content in files]


def test_bad_micrographs_are_skipped_with_one_line_each(tmp_path: Path) -> None:
    project = make_project(tmp_path, 10)
    says = spoil(project)
    ended = run_here(project, *job_words("--max_failed", "0.8"))
    assert (ended.status, markers(project)) == (0, SUCCEEDED)
    lines = ended.err.splitlines()
    assert len(lines) == len(says)
    for line, (name, reason) in zip(lines, says.items(), strict=True):
        assert line.startswith(name)
        assert reason in line
    good = ["Micrographs/mic08.mrc", "Micrographs/mic09.mrc"]
    assert [name for name, _ in listed(project)] == good
    assert all(state.n_picks > 10 for state in states(project).values())
    assert "2 micrographs picked, 8 failed" in ended.out


def test_more_failures_than_may_be_fail_the_job_and_keep_what_is_done(tmp_path: Path) -> None:
    project = make_project(tmp_path, 10)
    spoil(project)
    ended = run_here(project, *job_words())
    assert (ended.status, markers(project)) == (1, FAILED)
    assert "relion_ganpick: 8 of 10 micrographs could not be used, more than --max_failed 0.5 allows" in ended.err
    assert ended.err.splitlines()[-1] == "relion_ganpick: 2 micrographs are finished and kept; press Continue to go on"
    assert [name for name, _ in listed(project)] == ["Micrographs/mic08.mrc", "Micrographs/mic09.mrc"]
    ended = run_here(project, *job_words("--max_failed", "0.8"))
    assert (ended.status, markers(project)) == (0, SUCCEEDED)
    assert "2 micrographs picked (2 of them before), 8 failed" in ended.out


@pytest.mark.parametrize(
    ("where", "error", "says"),
    [
        ("relion_ganpick.picking.task.read_micrograph", OSError(5, "Input/output error", "x.mrc"), "x.mrc: Input/output error"),
        ("relion_ganpick.picking.task.read_micrograph", MemoryError(), "no memory (MemoryError): give fewer threads"),
        ("relion_ganpick.picking.picker.Picker.mark", RuntimeError("a tensor\nof\npages"), "cannot be picked (a tensor)"),
        ("relion_ganpick.picking.picker.Picker.mark", RuntimeError("CUDA out of memory."), "no memory (CUDA out of memory.)"),
        ("relion_ganpick.picking.picker.Picker.locate", IndexError("nobody thought of it"), "unexpected IndexError in test_job_"),
        (
            "relion_ganpick.relion.results.write_picks",
            PermissionError(13, "Permission denied", "y"),
            "cannot be kept (y: Permission denied)",
        ),
        ("relion_ganpick.relion.results.write_picks", KeyError("k"), "its picks cannot be kept (unexpected KeyError in"),
    ],
)
def test_whatever_goes_wrong_with_one_micrograph_costs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, error: Exception, says: str
) -> None:
    project = make_project(tmp_path, 3)
    run_here(project, *job_words())  # what is found of all of them lasts
    for path in (project / JOB).rglob("mic*.star"):
        path.unlink()
    name = where.rpartition(".")[2]
    right = pydoc.locate(where)
    assert callable(right)
    seen = []

    def fails(*words: Any) -> Any:
        seen.append(words)
        if any("mic01" in str(word) for word in words) or (name == "mark" and len(seen) == 2):
            raise error
        return right(*words)

    monkeypatch.setattr(where, fails)
    ended = run_here(project, *job_words())
    assert (ended.status, markers(project)) == (0, SUCCEEDED)
    (line,) = ended.err.splitlines()
    assert line.startswith("Micrographs/mic01.mrc: ")
    assert says in line
    assert [name for name, _ in listed(project)] == ["Micrographs/mic00.mrc", "Micrographs/mic02.mrc"]


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("relion_ganpick.relion.results.write_picks", OSError(errno.ENOSPC, "No space left on device", "z")),
        ("relion_ganpick.picking.picker.Picker.mark", RuntimeError("CUDA error: an illegal memory access was encountered")),
    ],
)
def test_what_must_hit_all_others_too_ends_the_job_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, error: Exception
) -> None:
    project = make_project(tmp_path, 3)
    run_here(project, *job_words())
    (project / JOB / "Micrographs/mic01_autopick.star").unlink()
    (project / JOB / ".ganpick/Micrographs/mic01_scores.star").unlink()

    def fails(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(where, fails)
    ended = run_here(project, *job_words())
    assert (ended.status, markers(project)) == (1, FAILED)
    assert "Traceback" not in ended.err
    assert str(error.args[-1] if isinstance(error, RuntimeError) else "z: No space left on device") in ended.err
    assert "2 micrographs are finished and kept" in ended.err


def test_a_picture_that_cannot_be_drawn_costs_no_picks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no ink")

    project = make_project(tmp_path, 3)
    monkeypatch.setattr("relion_ganpick.runs.run.write_overlay", fails)
    ended = run_here(project, *arguments("--overlays", "3"))
    assert (ended.status, markers(project), len(listed(project))) == (0, SUCCEEDED, 3)
    assert ended.err.splitlines() == [
        "WARNING: Micrographs/mic00.mrc: no ink; the picks are not affected",
        "WARNING: 2 more micrographs with the same warning: Micrographs/mic00.mrc: no ink; the picks are not affected",
    ]


def test_a_warning_for_every_micrograph_comes_once_with_a_count(tmp_path: Path) -> None:
    project = make_project(tmp_path, 4)
    for k in range(4):
        write_mrc(project / f"Micrographs/mic{k:02d}.mrc", scene_pixels(k % 3), PIXEL_SIZE * (1.1 + k / 100))
    ended = run_here(project, *job_words())
    first, more = ended.err.splitlines()
    assert first.startswith("WARNING: Micrographs/mic00.mrc: its header says 12.1 A per pixel, but 11 is used")
    assert more.startswith("WARNING: 3 more micrographs with the same warning: Micrographs/mic00.mrc: its header says")


def test_job_without_a_usable_micrograph_fails(tmp_path: Path) -> None:
    project = make_project(tmp_path, 8)
    spoil(project)
    ended = run_here(project, *job_words())
    assert (ended.status, markers(project)) == (1, FAILED)
    assert ended.err.splitlines()[-1] == "relion_ganpick: no micrograph could be used: the lines above say why"
    assert not (project / JOB / "autopick.star").exists()


@pytest.mark.parametrize(
    ("diameter", "reason"),
    [
        (5000.0, r"a diameter of 5000 A \(455 pixels of 11 A\) is larger than the micrograph of 256 x 200 pixels"),
        (
            700.0,
            r"a diameter of 700 A \(63\.6 pixels of 11 A\) leaves only 3\.1 diameters across the image; at least 3\.7",
        ),
        (1.8, r"a diameter of 1\.8 A \(0\.164 pixels of 11 A\) is too small to be seen; at least 4\.3 pixels are needed"),
    ],
)
def test_diameter_that_does_not_fit_the_micrographs_fails(tmp_path: Path, diameter: float, reason: str) -> None:
    project = make_project(tmp_path, 2)
    ended = run_here(project, *arguments(*NO_OVERLAYS, diameter=diameter))
    assert (ended.status, markers(project)) == (1, FAILED)
    assert re.match(rf"Micrographs/mic00\.mrc: {reason}", ended.err)


def test_micrograph_as_small_as_can_be_is_picked(tmp_path: Path) -> None:
    project = make_project(tmp_path, 1, shape=(70, 90))
    assert run_here(project, *job_words()).status == 0


@pytest.mark.parametrize(("in_header", "warns"), [(PIXEL_SIZE * 1.06, True), (PIXEL_SIZE * 1.04, False), (0.0, False)])
def test_header_with_another_pixel_size_warns(tmp_path: Path, in_header: float, warns: bool) -> None:
    project = make_project(tmp_path, 1)
    write_mrc(project / "Micrographs/mic00.mrc", scene_pixels(0), in_header)
    ended = run_here(project, *job_words())
    assert ended.status == 0
    expected = "WARNING: Micrographs/mic00.mrc: its header says 11.66 A per pixel, but 11 is used: check it"
    assert ended.err.startswith(expected) if warns else ended.err == ""


def without_pixel_size(project: Path) -> None:
    path = project / MICROGRAPHS_STAR
    path.write_text(path.read_text().replace("_rlnMicrographPixelSize", "_rlnMicrographOriginalPixelSize"))


def test_pixel_size_of_the_header_is_used_with_a_warning(tmp_path: Path) -> None:
    right, project = make_project(tmp_path / "right", 2), make_project(tmp_path / "project", 2)
    run_here(right, *job_words())
    without_pixel_size(project)
    ended = run_here(project, *job_words())
    assert ended.status == 0
    assert "WARNING: micrographs.star gives no pixel size for 2 micrographs: that in their headers is used" in ended.err
    rows = [
        [files.decode().partition("data_")[2] for name, files in snapshot(p).items() if re.search("mic.*_.*star$", name)]
        for p in (right, project)
    ]
    assert rows[0] == rows[1]


def test_pixel_size_given_by_hand_counts_where_the_input_has_none(tmp_path: Path) -> None:
    project = make_project(tmp_path, 1)
    without_pixel_size(project)
    write_mrc(project / "Micrographs/mic00.mrc", scene_pixels(0), 0.0)
    ended = run_here(project, *job_words())
    assert (ended.status, markers(project)) == (1, FAILED)
    assert "Micrographs/mic00.mrc: its pixel size is not known: give --angpix" in ended.err
    ended = run_here(project, *job_words("--angpix", "11"))
    assert (ended.status, ended.err) == (0, "")
    assert states(project)["Micrographs/mic00_autopick.star"].n_picks > 10


# weights and device


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Own copy of the shipped model, to spoil."""
    for suffix in (".safetensors", ".json"):
        shutil.copy(SHIPPED / f"default{suffix}", tmp_path / f"mine{suffix}")
    return tmp_path / "mine.safetensors"


def test_model_given_as_a_file_picks_as_the_shipped_one(tmp_path: Path, weights: Path) -> None:
    project = make_project(tmp_path / "project", 1)
    run_here(project, *job_words())
    before = snapshot(project)
    ended = run_here(project, *job_words("--model", str(weights)))
    assert "(1 of them before)" in ended.out
    assert snapshot(project) == before


def test_new_calibration_of_the_same_weights_picks_again(tmp_path: Path, weights: Path) -> None:
    project = make_project(tmp_path / "project", 1)
    run_here(project, *job_words("--model", str(weights)))
    card = json.loads(weights.with_suffix(".json").read_text())
    for curve in ("calibration", "judge_curve"):
        card[curve]["score"] = [score / 2 for score in card[curve]["score"]]
    weights.with_suffix(".json").write_text(json.dumps(card))
    ended = run_here(project, *job_words("--model", str(weights), "--threshold", "0.6"))
    assert "[1/1] Micrographs/mic00.mrc: 0 picks (0." in ended.out


def test_damaged_weights_are_refused(tmp_path: Path, weights: Path) -> None:
    project = make_project(tmp_path / "project", 1)
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    ended = run_here(project, *job_words("--model", str(weights)))
    assert (ended.status, markers(project)) == (3, FAILED)
    assert re.search(r"mine\.safetensors: sha256 is [0-9a-f]{12}\.\.\., its card says [0-9a-f]{12}", ended.err)


def test_weights_without_card_and_unknown_models_are_refused(tmp_path: Path, weights: Path) -> None:
    project = make_project(tmp_path / "project", 1)
    weights.with_suffix(".json").unlink()
    ended = run_here(project, *job_words("--model", str(weights)))
    assert (
        "mine.json: the model's card cannot be read (No such file or directory); it belongs beside mine.safetensors" in ended.err
    )
    assert "no model 'best': give one of default" in run_here(project, *job_words("--model", "best")).err
    assert markers(project) == FAILED


def test_missing_gpu_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    project = make_project(tmp_path, 1)
    for more in (["--gpu", "0"], ["--gpu"], ["--device", "cuda:0"]):
        ended = run_here(project, *job_words(*more))
        assert (ended.status, markers(project)) == (4, FAILED)
        assert "PyTorch sees no CUDA devices here; leave out --gpu and --device to use the CPU" in ended.err


# errors that nobody thought of


def test_unexpected_error_in_the_worker_fails_with_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise ZeroDivisionError("nobody thought of it")

    monkeypatch.setattr(worker, "carry_out", fail)
    project = make_project(tmp_path, 1)
    ended = run_here(project, *job_words())
    assert (ended.status, markers(project)) == (1, FAILED)
    assert "ZeroDivisionError: nobody thought of it" in ended.err
    assert ended.err.splitlines()[-1].startswith("relion_ganpick: unexpected error; please report it")


def test_package_that_cannot_be_imported_still_leaves_the_marker(tmp_path: Path) -> None:
    project = make_project(tmp_path, 1)
    ended = run_job(project, *job_words(), program="import sys; sys.modules['pandas'] = None; " + PROGRAM)
    assert (ended.status, markers(project)) == (1, FAILED)
    assert "import of pandas halted" in ended.err


def test_file_in_the_jobs_place_is_named(tmp_path: Path) -> None:
    project = make_project(tmp_path, 1)
    shutil.rmtree(project / JOB)
    (project / JOB.rstrip("/")).write_text("in the way")
    ended = run_here(project, *job_words())
    assert ended.status == 1
    assert ended.err.startswith(f"relion_ganpick: {JOB}: the job's folder cannot be written (")
    assert (project / JOB.rstrip("/")).read_text() == "in the way"


def test_folder_in_a_coordinate_files_place_is_kept_and_costs_this_micrograph(tmp_path: Path) -> None:
    project = make_project(tmp_path, 3)
    (project / JOB / "Micrographs/mic01_autopick.star/x").mkdir(parents=True)
    ended = run_here(project, *job_words())
    assert (ended.status, markers(project)) == (0, SUCCEEDED)
    said = f"{JOB}Micrographs/mic01_autopick.star: cannot be read (Is a directory); not ours, so it is kept, but left out"
    assert ended.err.startswith(f"WARNING: {said}")
    assert ended.err.count("\n") == 1
    assert [name for name, _ in listed(project)] == ["Micrographs/mic00.mrc", "Micrographs/mic02.mrc"]


# disk


LIMITED = """
import sys
from relion_ganpick.relion import main
# in the worker, once Python has started: the limit must not cut short what Python itself keeps of packages
limit = "import resource, sys; sys.dont_write_bytecode = True; resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500)); "
main.WORKER = limit + main.WORKER
sys.exit(main.main())
"""


def test_file_size_limit_fails_the_job_without_half_files(tmp_path: Path) -> None:
    project = make_project(tmp_path, 2)
    ended = run_job(project, *job_words(), program=LIMITED)
    assert (ended.status != 0, markers(project)) == (True, FAILED)
    assert "File too large" in ended.err
    assert "Traceback" not in ended.err
    assert states(project) == {}
    assert not list((project / JOB).rglob(".ganpick-tmp-*"))
    assert run_here(project, *job_words()).status == 0
    assert markers(project) == SUCCEEDED


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 KiB, on which even run.err has no room in the end."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48k", "none", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_full_disk_fails_the_job_and_continue_finishes_it(tmp_path: Path, small_disk: Path) -> None:
    whole, project = make_project(tmp_path / "whole", 12), make_project(tmp_path / "project", 12)
    shutil.copytree(project / JOB, small_disk / "job002")
    shutil.rmtree(project / JOB)
    (project / JOB.rstrip("/")).symlink_to(small_disk / "job002")
    ended = run_job(project, *job_words())
    assert (ended.status != 0, markers(project)) == (True, FAILED)
    assert "Traceback" not in ended.err
    finished = states(project)
    assert 0 < len(finished) < 12
    assert {state.state for state in finished.values()} == {State.OURS}
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert run_here(project, *job_words()).status == 0
    run_here(whole, *job_words())
    assert len(states(project)) == 12
    # the micrographs of the two projects differ in their dates, so only what follows the stamps can be compared
    tables = [
        [s[s.index(b"data_") :] for name, s in snapshot(p).items() if re.search("mic.*_.*star$", name)] for p in (project, whole)
    ]
    assert tables[0] == tables[1]


# signals, abort, killed worker, second process


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Project whose job runs for some seconds."""
    return make_project(tmp_path_factory.mktemp("large"), MANY)


@pytest.fixture
def running(large: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """Project and process of a job that has finished two micrographs of many, and runs on."""
    shutil.rmtree(large / JOB)
    prepare_job(large)
    with started_job(large, job_words()) as process:
        wait_for(lambda: "[ 2/40]" in log(large, "run.out") or process.poll() is not None, "two lines in run.out")
        assert process.poll() is None, log(large, "run.err")
        yield large, process


def finished_part_is_declared(project: Path) -> bool:
    names = {name for name, _ in listed(project)}
    files = {name.replace("_autopick.star", ".mrc") for name in states(project)}
    nodes = (project / JOB / "RELION_OUTPUT_NODES.star").read_text()
    return names == files and 2 <= len(names) < MANY and f"{JOB}autopick.star" in nodes


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("whole_group", [False, True])
def test_signal_ends_the_job_with_one_marker(
    running: tuple[Path, subprocess.Popen[bytes]], number: signal.Signals, whole_group: bool
) -> None:
    project, process = running
    worker = child_of(process.pid)
    os.killpg(process.pid, number) if whole_group else process.send_signal(number)
    while process.poll() is None:  # an impatient queue says it again and again
        process.send_signal(number)
        time.sleep(0.002)
    ended = end_of(process, project, seconds=5)
    assert (ended.status, markers(project)) == (1, FAILED)
    assert f"stopped by {number.name}" in ended.err or f"the worker was killed by {number.name}" in ended.err
    assert "press Continue to go on" in ended.err
    assert finished_part_is_declared(project)
    assert worker is not None
    assert not Path(f"/proc/{worker}").exists()


def test_abort_ends_the_job_within_two_seconds(running: tuple[Path, subprocess.Popen[bytes]]) -> None:
    project, process = running
    began = time.monotonic()
    (project / JOB / ABORT_NOW).touch()
    ended = end_of(process, project, seconds=10)
    assert time.monotonic() - began < patience(2)
    assert (ended.status, markers(project)) == (1, WAS_ABORTED)
    assert "abort requested" in ended.err
    assert finished_part_is_declared(project)


def test_killed_worker_fails_the_job(running: tuple[Path, subprocess.Popen[bytes]]) -> None:
    project, process = running
    worker = child_of(process.pid)
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    ended = end_of(process, project, seconds=5)
    assert (ended.status, markers(project)) == (1, FAILED)
    assert "the worker was killed by SIGKILL: out of memory?" in ended.err
    assert finished_part_is_declared(project)


def test_second_process_leaves_the_first_ones_job_alone(running: tuple[Path, subprocess.Popen[bytes]]) -> None:
    project, process = running
    process.send_signal(signal.SIGSTOP)
    worker = child_of(process.pid)
    assert worker is not None
    os.kill(worker, signal.SIGSTOP)
    second = run_here(project, *job_words())
    assert second.status == 1
    assert second.err.startswith(f"relion_ganpick: {JOB}: another relion_ganpick is running in this folder")
    assert markers(project) == []
    os.kill(worker, signal.SIGCONT)
    process.send_signal(signal.SIGCONT)
    ended = end_of(process, project)
    assert (ended.status, markers(project)) == (0, SUCCEEDED)
    assert len(listed(project)) == MANY


def test_ignored_interrupt_does_not_stop_the_job(tmp_path: Path) -> None:
    project = make_project(tmp_path, 3)
    ignore = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    with started_job(project, job_words(), program=ignore + PROGRAM) as process:
        wait_for(lambda: child_of(process.pid) is not None, "the worker")
        os.killpg(process.pid, signal.SIGINT)
        ended = end_of(process, project)
    assert (ended.status, markers(project)) == (0, SUCCEEDED)


def test_half_written_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    project = make_project(tmp_path, 2)
    left = [
        project / JOB / folder / f"{TEMPORARY}12-mic00_autopick.star" for folder in ("", "Micrographs", ".ganpick/Micrographs")
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("data_\n\nloo")
    assert run_here(project, *job_words()).status == 0
    assert not any(path.exists() for path in left)


def test_new_micrographs_star_may_name_them_all_again(tmp_path: Path) -> None:
    project = make_project(tmp_path, 2)
    names = [f"Micrographs/mic{k:02d}.mrc" for k in range(2)]
    write_star(project / MICROGRAPHS_STAR, names * 3)
    ended = run_here(project, *job_words())
    assert "2 micrographs picked, 0 failed" in ended.out
    assert [name for name, _ in listed(project)] == names
