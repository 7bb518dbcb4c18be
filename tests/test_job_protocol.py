"""The External job's agreement with RELION: command line, logs, lists, markers, and what Continue does."""

from __future__ import annotations

import math
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from job_project import (
    FAILED,
    GOLDEN,
    JOB,
    MICROGRAPHS_STAR,
    SUCCEEDED,
    Ended,
    arguments,
    listed,
    log,
    make_project,
    markers,
    picks_of,
    prepare_job,
    run_here,
    run_job,
    snapshot,
    states,
    times,
    write_mrc,
    write_star,
)

from relion_ganpick.evidence.record import EVIDENCE_FILE
from relion_ganpick.formats.pick_files import State, read_picks
from relion_ganpick.picking.diameter_record import WORKING_DIAMETER_FILE
from relion_ganpick.picking.picker import Picker
from relion_ganpick.relion.markers import ABORT_NOW, ABORTED, FAILURE, SUCCESS

NAMES = [f"Micrographs/mic0{k}.mrc" for k in range(3)]
FILES = [f"Micrographs/mic0{k}_autopick.star" for k in range(3)]
FOR_PIPELINES = [f"Micrographs/mic0{k}_picks.json" for k in range(3)]
SCORES = [f".ganpick/Micrographs/mic0{k}_scores.star" for k in range(3)]
UNUSED = ["--in_movies", "Import/job001/movies.star", "--in_parts", "p.star", "--in_coords", "c.star"]
UNUSED += ["--in_3dref", "r.mrc", "--in_mask", "m.mrc"]
LINE = re.compile(r"^\[(\d)/(\d)\] (\S+): (\d+) picks \((.*)\)$", re.MULTILINE)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """Project of three micrographs after its job, run as RELION runs it, with all that it may add to the command."""
    project = make_project(tmp_path_factory.mktemp("project"), 3)
    words = [*UNUSED, *arguments("--threshold", "--overlays", "2")[2:], "--pipeline_control", JOB]
    return project, run_job(project, "--o", JOB, *words)


@pytest.fixture
def finished(first_run: tuple[Path, Ended], tmp_path: Path) -> Path:
    """Own copy of the finished project, as RELION prepares it for Continue."""
    project = Path(shutil.copytree(first_run[0], tmp_path / "project"))
    (project / JOB / SUCCESS).unlink()
    text = (GOLDEN / "5.0" / "job.star").read_text()
    (project / JOB / "job.star").write_text(re.sub(r"(_rlnJobIsContinue +)0", r"\g<1>1", text))
    return project


def words(*more: str, diameter: float = 180.0) -> list[str]:
    return arguments("--overlays", "2", *more, diameter=diameter)


def picked_lines(out: str) -> list[str]:
    return [found[3] for found in LINE.finditer(out)]


# one run


def test_run_succeeds_quietly(first_run: tuple[Path, Ended]) -> None:
    project, ended = first_run
    assert ended.status == 0
    assert ended.err == ""
    assert markers(project) == SUCCEEDED


def test_first_line_names_device_model_and_diameter(first_run: tuple[Path, Ended]) -> None:
    lines = [line for line in first_run[1].out.splitlines() if not line.startswith("note:")]
    assert re.match(
        r"relion_ganpick \S+ on (cpu|cuda\S*) \(\w+\), 1 threads, model default [0-9a-f]{12}, diameter 180 A$", lines[0]
    )


def test_each_micrograph_has_one_line_with_its_picks(first_run: tuple[Path, Ended]) -> None:
    project, ended = first_run
    lines = [found.groups() for found in LINE.finditer(ended.out)]
    picks = [str(states(project)[file].n_picks) for file in FILES]
    assert [line[:4] for line in lines] == [(str(k + 1), "3", NAMES[k], picks[k]) for k in range(3)]
    assert all(re.fullmatch(r"\d+\.\d\d s", line[4]) for line in lines)


def test_summary_comes_last_and_says_how_many_survive_each_threshold(first_run: tuple[Path, Ended]) -> None:
    project, ended = first_run
    counts, micrographs, total = ended.out.splitlines()[-3:]
    scores = np.concatenate([read_picks(project / JOB / file).score for file in SCORES])
    survivors = [f"{k / 10:.1f}: {(scores >= k / 10).sum()}" for k in range(1, 10)]
    assert counts == "picks left at a threshold of  " + "  ".join(survivors)
    assert re.match(r"3 micrographs picked, 0 failed, \d+\.\d s, \d+\.\d\d s for each of 3 new ones$", micrographs)
    n_picks = sum(len(read_picks(project / JOB / file)) for file in FILES)
    assert n_picks > 30
    assert total.startswith(f"{n_picks} picks at threshold ")


def test_all_files_of_the_job(first_run: tuple[Path, Ended]) -> None:
    pictures = [f"overlays/Micrographs/mic0{k}.png" for k in (0, 2)]
    lists = ["autopick.star", "coords_suffix_autopick.star", "summary.star", "RELION_OUTPUT_NODES.star"]
    assert set(snapshot(first_run[0])) == {
        *FILES,
        *SCORES,
        *FOR_PIPELINES,
        *pictures,
        *lists,
        WORKING_DIAMETER_FILE,
        EVIDENCE_FILE,
        "job.star",
        SUCCESS,
    }


def test_parameter_without_value_takes_its_default_and_is_mentioned(first_run: tuple[Path, Ended]) -> None:
    assert "note: --threshold has no value: its default is used\n" in first_run[1].out


def test_coordinates_are_whole_pixels_inside_the_micrograph(first_run: tuple[Path, Ended]) -> None:
    for file in FILES:
        picks = read_picks(first_run[0] / JOB / file)
        assert np.array_equal(picks.xy, np.rint(picks.xy))
        assert picks.x.min() >= 0
        assert picks.x.max() <= 255
        assert picks.y.min() >= 0
        assert picks.y.max() <= 199
        assert np.all(np.diff(picks.score) <= 0)


def test_marker_is_written_after_everything_else(first_run: tuple[Path, Ended]) -> None:
    changed = times(first_run[0])
    marker = changed.pop(SUCCESS)
    assert marker >= max(time for name, time in changed.items() if not name.startswith("run."))


# wrong command lines

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


# Continue


def test_continue_skips_finished_micrographs(finished: Path) -> None:
    before = times(finished)
    ended = run_here(finished, *words())
    assert ended.status == 0
    assert markers(finished) == SUCCEEDED
    assert picked_lines(ended.out) == []
    assert "3 micrographs picked (3 of them before), 0 failed" in ended.out
    after = times(finished)
    assert [after[name] for name in FILES + SCORES] == [before[name] for name in FILES + SCORES]
    assert after["overlays/Micrographs/mic00.png"] == before["overlays/Micrographs/mic00.png"]
    assert len(listed(finished)) == 3


def test_continue_counts_as_the_first_run_did(first_run: tuple[Path, Ended], finished: Path) -> None:
    counts, _, total = run_here(finished, *words()).out.splitlines()[-3:]
    assert [counts, total] == [first_run[1].out.splitlines()[-3], first_run[1].out.splitlines()[-1]]


def test_continue_picks_micrographs_that_have_come_since(finished: Path) -> None:
    before = times(finished)
    new = "Micrographs/new.mrc"
    shutil.copy(finished / NAMES[0], finished / new)
    write_star(finished / MICROGRAPHS_STAR, [new, *NAMES])
    ended = run_here(finished, *words())
    assert picked_lines(ended.out) == [new]
    assert [name for name, _ in listed(finished)] == [new, *NAMES]
    assert [times(finished)[name] for name in FILES] == [before[name] for name in FILES]


def test_micrographs_taken_out_of_the_input_are_listed_no_more(finished: Path) -> None:
    write_star(finished / MICROGRAPHS_STAR, NAMES[1:])
    run_here(finished, *words())
    assert [name for name, _ in listed(finished)] == NAMES[1:]
    assert (finished / picks_of(NAMES[0])).is_file()


def test_new_diameter_picks_everything_again(finished: Path) -> None:
    before = snapshot(finished)
    ended = run_here(finished, *words(diameter=150))
    assert picked_lines(ended.out) == NAMES
    after = snapshot(finished)
    assert all(after[name] != before[name] for name in FILES + SCORES)


def test_new_threshold_filters_the_scores_without_the_network(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the network ran")

    monkeypatch.setattr(Picker, "mark_batch", never)
    monkeypatch.setattr(Picker, "prepare", never)
    before = times(finished)
    ended = run_here(finished, *words("--threshold", "0.8"))
    assert ended.status == 0
    assert picked_lines(ended.out) == NAMES
    assert [times(finished)[name] for name in SCORES] == [before[name] for name in SCORES]
    for file, scores in zip(FILES, SCORES, strict=True):
        scored = read_picks(finished / JOB / scores)
        assert np.array_equal(read_picks(finished / JOB / file).xy, scored.above(0.8).xy)
    assert (
        0 < sum(state.n_picks for state in states(finished).values()) < sum(len(read_picks(finished / JOB / s)) for s in SCORES)
    )


def test_choice_by_rank_needs_no_network_either(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the network ran")

    monkeypatch.setattr(Picker, "prepare", never)
    ended = run_here(finished, *words("--threshold", "0.1", "--best", "50%", "--most", "7"))
    assert ended.status == 0
    for file, scores in zip(FILES, SCORES, strict=True):
        scored = read_picks(finished / JOB / scores).above(0.1)
        n = min(math.ceil(len(scored) / 2), 7)
        assert np.array_equal(read_picks(finished / JOB / file).xy, scored.xy[:n])
    assert "at threshold 0.1, the best 50 % of each micrograph, at most 7 of each micrograph" in ended.out
    assert picked_lines(run_here(finished, *words("--threshold", "0.1", "--best", "0.5", "--most", "7")).out) == []


def test_going_back_to_the_old_threshold_gives_the_old_files(finished: Path) -> None:
    before = snapshot(finished)
    run_here(finished, *words("--threshold", "0.8"))
    assert snapshot(finished)[FILES[0]] != before[FILES[0]]
    run_here(finished, *words())
    after = snapshot(finished)
    assert {name: after[name] for name in FILES + SCORES} == {name: before[name] for name in FILES + SCORES}


def test_changed_micrograph_is_picked_again(finished: Path) -> None:
    os.utime(finished / NAMES[1])
    assert picked_lines(run_here(finished, *words()).out) == [NAMES[1]]


def test_deleted_coordinate_file_comes_back_the_same(finished: Path) -> None:
    before = snapshot(finished)[FILES[2]]
    (finished / JOB / FILES[2]).unlink()
    assert picked_lines(run_here(finished, *words()).out) == [NAMES[2]]
    assert snapshot(finished)[FILES[2]] == before


@pytest.mark.parametrize("more", [[], ["--threshold", "0.8"], ["--contrast", "bright"]])
@pytest.mark.parametrize("edit", ["one pick taken out", "emptied"])
def test_coordinates_edited_by_hand_are_kept_and_named(finished: Path, edit: str, more: list[str]) -> None:
    path = finished / JOB / FILES[1]
    lines = path.read_text().split("\n")
    path.write_text("\n".join(lines[:12] + lines[13:]) if edit == "one pick taken out" else "")
    by_hand = path.read_bytes()
    n_picks = len(lines) - 15 if by_hand else 0
    ended = run_here(finished, *words(*more))
    assert ended.status == 0
    assert path.read_bytes() == by_hand
    assert f"{NAMES[1]}: {n_picks} picks, edited since: kept\n" in ended.out
    assert picked_lines(ended.out) == ([NAMES[0], NAMES[2]] if more else [])
    assert [name for name, _ in listed(finished)] == NAMES


def test_pictures_follow_the_picks(finished: Path) -> None:
    pictures = ["overlays/Micrographs/mic00.png", "overlays/Micrographs/mic02.png"]
    before = snapshot(finished)
    run_here(finished, *words("--threshold", "0.95"))
    after = snapshot(finished)
    assert all(after[name] != before[name] for name in pictures)


def test_picture_that_a_killed_run_left_behind_its_picks_is_drawn_again(finished: Path) -> None:
    picture = finished / JOB / "overlays/Micrographs/mic00.png"
    right = picture.read_bytes()
    picture.write_bytes(b"drawn for other picks")
    os.utime(picture, (1, 1))
    run_here(finished, *words())
    assert picture.read_bytes() == right


def test_picks_of_other_settings_are_not_listed_when_a_micrograph_fails(finished: Path) -> None:
    write_mrc(finished / NAMES[1], np.ones((200, 256), np.float32))
    ended = run_here(finished, *words())
    assert ended.status == 0
    assert [name for name, _ in listed(finished)] == [NAMES[0], NAMES[2]]
    assert list(states(finished)) == [FILES[0], FILES[2]]


def test_picks_of_a_micrograph_that_has_gone_are_kept(finished: Path) -> None:
    (finished / NAMES[1]).unlink()
    assert run_here(finished, *words()).status == 0
    assert [name for name, _ in listed(finished)] == NAMES


def test_micrograph_that_changes_while_it_is_picked_is_picked_again(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locate = Picker.locate

    def touch_and_locate(self: Picker, *given: object) -> object:
        os.utime(finished / NAMES[0], (2e9, 2e9))
        return locate(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Picker, "locate", touch_and_locate)
    given = words("--working_diameter", "150", diameter=150)
    run_here(finished, *given)
    monkeypatch.undo()
    assert picked_lines(run_here(finished, *given).out) == [NAMES[0]]


def test_micrographs_without_picks_have_valid_empty_files(finished: Path) -> None:
    ended = run_here(finished, *words("--threshold", "1"))
    assert (ended.status, markers(finished)) == (0, SUCCEEDED)
    assert ended.err.startswith("WARNING: there are no picks at all: check --diameter")
    for file, state in states(finished).items():
        assert (state.state, state.n_picks) == (State.OURS, 0)
        assert (finished / JOB / file).read_text().endswith("_rlnAnglePsi #5\n\n")
    assert len(listed(finished)) == 3


def test_logs_are_appended_by_continue(finished: Path) -> None:
    before = log(finished, "run.out")
    assert run_job(finished, "--o", JOB).status == 1
    assert log(finished, "run.out") == before
    assert "the input is missing" in log(finished, "run.err")
