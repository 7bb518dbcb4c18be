"""What Continue does with an External job that has picked before."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from finished_job import FILES, LINE, NAMES, SCORES, finished_job, for_continue
from job_project import (
    JOB,
    MICROGRAPHS_STAR,
    SUCCEEDED,
    Ended,
    arguments,
    listed,
    log,
    markers,
    picks_of,
    run_here,
    run_job,
    snapshot,
    states,
    times,
    write_mrc,
    write_star,
)

from relion_ganpick.formats.pick_files import State, read_picks
from relion_ganpick.picking.picker import Picker


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """Project of three micrographs after its job."""
    return finished_job(tmp_path_factory.mktemp("project"))


@pytest.fixture
def finished(first_run: tuple[Path, Ended], tmp_path: Path) -> Path:
    """Own copy of the finished project, as RELION prepares it for Continue."""
    return for_continue(first_run[0], tmp_path / "project")


def words(*more: str, diameter: float = 180.0) -> list[str]:
    return arguments("--overlays", "2", *more, diameter=diameter)


def picked_lines(out: str) -> list[str]:
    return [found[3] for found in LINE.finditer(out)]


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
    run_here(finished, *words("--threshold", "0.99"))
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
