"""The External job's command line: what is refused, with one line, a way out and the marker."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from job_project import FAILED, JOB, arguments, make_project, markers, prepare_job, run_here, run_job

from relion_ganpick.relion.markers import ABORT_NOW, ABORTED, FAILURE, SUCCESS

WRONG = {
    "misspelt": (["--diamter", "180"], "unknown option --diamter: did you mean --diameter?"),
    "abbreviated": (["--diam", "180"], "unknown option --diam: did you mean --diameter?"),
    "dashes in the label": (["---threshold", "0.3"], "unknown option ---threshold: did you mean --threshold?"),
    "h": (["--h", "X"], "unknown option --h"),
    "stray word": (["--model", "two", "words"], "unexpected word 'words': a value must not contain blanks"),
    "not a number": (["--threshold", "low"], "argument --threshold: invalid float value: 'low'"),
    "share": (["--best", "70"], "argument --best: '70': give a share above 0 and up to 100%, such as 70% or 0.7"),
    "no pick": (["--most", "0"], "--most 0: give at least 1 pick for each micrograph"),
    "threshold": (["--threshold", "1.5"], "--threshold 1.5: a figure of merit lies between 0 and 1"),
    "contrast": (["--contrast", "grey"], "argument --contrast: invalid choice: 'grey'"),
    "version": (["--relion_version", "2.1"], "--relion_version 2.1: give one of 3.1, 4.0, 5.0"),
    "project": (["--project_dir", "nowhere"], "--project_dir nowhere: no such folder"),
    "zero": (["--diameter", "0"], "--diameter 0: give a positive number in Angstrom"),
    "negative": (["--diameter", "-5"], "--diameter -5: give a positive number in Angstrom"),
    "nan": (["--diameter", "nan"], "--diameter nan: give a number or auto"),
    "empty": (["--diameter"], "the particle diameter is missing: give --diameter"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_option_fails_with_a_way_out(tmp_path: Path, kind: str) -> None:
    more, message = WRONG[kind]
    project = make_project(tmp_path, 1)
    ended = run_here(project, *arguments(*more))
    assert ended.status == 1
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1
    assert markers(project) == FAILED
    assert not (project / JOB / "autopick.star").exists()


def test_missing_diameter_and_missing_input_fail(tmp_path: Path) -> None:
    project = make_project(tmp_path, 1)
    assert "the particle diameter is missing" in run_here(project, *arguments(diameter=None)).err
    assert markers(project) == FAILED
    assert "the input is missing: fill in 'Input micrographs'" in run_here(project, "--o", JOB, "--diameter", "180").err
    assert "no.star: no such file" in run_here(project, *arguments(in_mics="no.star")).err
    assert markers(project) == FAILED


def test_misspelt_option_of_the_real_executable_leaves_its_marker(tmp_path: Path) -> None:
    prepare_job(tmp_path)
    ended = run_job(tmp_path, "--diamter", "180", "--in_mics", "no.star", "--o", JOB, "--j", "2")
    assert (ended.status, markers(tmp_path)) == (1, FAILED)
    assert ended.err == "relion_ganpick: unknown option --diamter: did you mean --diameter?\n"


def test_help_in_a_job_prints_the_options_and_fails(tmp_path: Path) -> None:
    prepare_job(tmp_path)
    ended = run_job(tmp_path, "--o", JOB, "--help", "X", "--j", "1")
    assert (ended.status, markers(tmp_path)) == (1, FAILED)
    assert "--diameter" in ended.out
    assert "--in_3dref" not in ended.out


def test_help_and_version_outside_a_job_succeed_without_a_folder(tmp_path: Path) -> None:
    assert run_here(tmp_path, "--help").status == 0
    assert run_here(tmp_path, "--version").out.startswith("relion_ganpick ")
    ended = run_here(tmp_path, "--diameter", "180")
    assert ended.status == 1
    assert "the job's folder is missing: give --o" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_job_folder_is_found_in_every_spelling(tmp_path: Path) -> None:
    for spelling in (["--o", JOB.rstrip("/")], [f"--o={JOB}"], ["--o", f"{tmp_path}/{JOB}"], ["--x", "--o", f"./{JOB}"]):
        shutil.rmtree(tmp_path / "External", ignore_errors=True)
        assert run_here(tmp_path, *spelling).status == 1
        assert markers(tmp_path) == FAILED


def test_markers_of_an_earlier_run_are_removed(tmp_path: Path) -> None:
    prepare_job(tmp_path)
    for name in (SUCCESS, ABORTED):
        (tmp_path / JOB / name).touch()
    old = tmp_path / JOB / ABORT_NOW
    old.touch()
    os.utime(old, (1, 1))
    assert run_here(tmp_path, *arguments()).status == 1
    assert markers(tmp_path) == [FAILURE]
