"""What goes wrong with an External job's model, device or program: weights that are damaged or missing, errors nobody foresaw."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from job_project import (
    FAILED,
    JOB,
    PROGRAM,
    SUCCEEDED,
    job_words,
    listed,
    make_project,
    markers,
    run_here,
    run_job,
    snapshot,
)

from relion_ganpick.model.weights import SHIPPED
from relion_ganpick.relion import worker


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
    ended = run_here(project, *job_words("--model", str(weights), "--threshold", "0.9"))
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
    ended = run_job(project, *job_words(), program="import sys; sys.modules['numpy'] = None; " + PROGRAM)
    assert (ended.status, markers(project)) == (1, FAILED)
    assert "import of numpy halted" in ended.err


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
