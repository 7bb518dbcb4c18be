"""What the page writes, and by which rules."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import starfile
from inspect_job import THRESHOLD, N, particles

from relion_ganpick.core.cut import Cut
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.pick_files import State, cut_digest, inspect_picks, read_picks, write_edited
from relion_ganpick.inspect import saving
from relion_ganpick.inspect.changes import Changes, Selection, read_changes
from relion_ganpick.inspect.job import Job, find_job
from relion_ganpick.inspect.saving import read_edits, save

CUT = Cut(THRESHOLD)


def no_look(*_: Any) -> Any:
    raise AssertionError("a threshold needs no pictures")


@pytest.fixture
def job(job_folder: Path) -> Job:
    return find_job(job_folder)


def rows(path: Path) -> Any:
    return starfile.read(path)


def test_display_finds_its_columns_and_picks_by_hand_have_its_dummies(job: Job) -> None:
    kept = particles(0)[1].above(THRESHOLD)
    picks = Picks(np.append(kept.x[1:], 7), np.append(kept.y[1:], 9), np.append(kept.score[1:], -1))
    write_edited(job.coordinates[0], picks)
    table = rows(job.coordinates[0])
    assert list(table.columns) == [
        "rlnCoordinateX", "rlnCoordinateY", "rlnAutopickFigureOfMerit", "rlnClassNumber", "rlnAnglePsi"
    ]  # fmt: skip
    assert table.iloc[-1].tolist() == [7, 9, -999, -999, -999]
    assert table["rlnAutopickFigureOfMerit"].tolist()[:-1] == kept.score[1:].tolist()
    assert inspect_picks(job.coordinates[0]).state is State.EDITED


def test_selection_type_stays_between_1_and_6(tmp_path: Path) -> None:
    path = tmp_path / "mic_autopick.star"
    heads = ("rlnCoordinateX", "rlnCoordinateY", "rlnAutopickFigureOfMerit", "rlnParticleSelectionType", "rlnAnglePsi")
    text = "".join(f"_{name} #{k}\n" for k, name in enumerate(heads, 1))
    path.write_text(f"\ndata_\n\nloop_\n{text}10 20 0.9 4 33\n30 40 0.8 0 0\n")
    write_edited(path, Picks(np.array([10.0, 30, 50]), np.array([20.0, 40, 60]), np.array([0.9, 0.8, -1])))
    table = rows(path)
    assert table["rlnParticleSelectionType"].tolist() == [4, 2, 2]
    assert table["rlnAnglePsi"].tolist() == [33, 0, -999]


def test_rejected_micrograph_has_a_file_without_rows(job: Job) -> None:
    write_edited(job.coordinates[0], Picks.none())
    assert len(read_picks(job.coordinates[0])) == 0
    assert inspect_picks(job.coordinates[0]).state is State.EDITED


def test_threshold_leaves_edited_micrographs_alone(job: Job) -> None:
    write_edited(job.coordinates[3], Picks.none())
    saved = save(job, Changes(selection=Selection(0.8)), CUT, no_look)
    assert saved.cut == N - 1
    assert saved.problems == []
    assert inspect_picks(job.coordinates[0]).settings == cut_digest(f"{0:016x}", 0.8)
    assert len(read_picks(job.coordinates[3])) == 0


@pytest.mark.parametrize(
    ("cut", "n_kept"), [(Cut(THRESHOLD, best=0.5), 7), (Cut(THRESHOLD, most=5), 5), (Cut(0.3, 0.5, 8), 8), (Cut(0.3, 0.25, 8), 5)]
)
def test_ranks_are_written_as_continue_would_with_the_same_options(job: Job, cut: Cut, n_kept: int) -> None:
    save(job, Changes(selection=Selection.of_cut(cut)), CUT, no_look)
    picks = cut.keep(particles(0)[1])
    assert len(picks) == n_kept
    np.testing.assert_array_equal(read_picks(job.coordinates[0]).xy, picks.xy)
    found = inspect_picks(job.coordinates[0])
    assert (found.state, found.settings) == (State.OURS, cut_digest(f"{0:016x}", *cut.key))


def test_ranks_of_what_power_leaves_are_written_as_edited(job: Job) -> None:
    def look(_: int, picks: Picks) -> tuple[Any, Any]:
        return np.arange(len(picks), dtype=float), None

    save(job, Changes(selection=Selection(THRESHOLD, most=3, power_low=2)), CUT, look)
    picks = particles(0)[1].above(THRESHOLD)
    np.testing.assert_array_equal(read_picks(job.coordinates[0]).xy, picks.xy[2:5])
    assert inspect_picks(job.coordinates[0]).state is State.EDITED
    assert inspect_picks(job.coordinates[N - 1]).state is State.OURS  # nothing was left out of none


def test_automatic_picks_are_those_of_the_jobs_ranks(job: Job) -> None:
    save(job, Changes({0: Picks.none()}), CUT, no_look)
    save(job, Changes({0: None}), Cut(THRESHOLD, most=4), no_look)
    assert inspect_picks(job.coordinates[0]).settings == cut_digest(f"{0:016x}", *Cut(THRESHOLD, most=4).key)
    assert len(read_picks(job.coordinates[0])) == 4


def test_power_and_classes_are_judged_on_every_micrograph(job: Job) -> None:
    def look(index: int, picks: Picks) -> tuple[Any, Any]:
        return np.full(len(picks), 1.0 + index), np.arange(len(picks)) % 2

    save(job, Changes(selection=Selection(THRESHOLD, power_high=3.5, dropped_classes=(1,))), CUT, look)
    n = len(particles(0)[1].above(THRESHOLD))
    assert len(read_picks(job.coordinates[2])) == -(-n // 2)
    assert len(read_picks(job.coordinates[3])) == 0


def test_log_only_grows_and_keeps_what_was_there(job: Job) -> None:
    first = Picks(np.array([5.0]), np.array([6.0]), np.array([-1.0]))
    save(job, Changes({0: first}), CUT, no_look)
    save(job, Changes({0: None}), CUT, no_look)
    save(job, Changes(selection=Selection(0.6)), CUT, no_look)
    log = read_edits(job.folder)
    assert [entry["what"] for entry in log] == ["edit", "automatic", "selection"]
    assert log[0]["old"]["x"] == particles(0)[1].above(THRESHOLD).x.tolist()
    assert log[1]["old"] == {"x": [5], "y": [6], "score": [-1]}
    assert (log[2]["old"]["threshold"], log[2]["new"]["threshold"]) == (THRESHOLD, 0.6)
    assert all(entry["time"].endswith("+00:00") for entry in log)


def test_running_job_is_not_disturbed(job: Job) -> None:
    before = job.coordinates[0].read_text()
    with (job.folder / ".ganpick" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(GanpickError, match="the job is running; save when it has ended"):
            save(job, Changes({0: Picks.none()}), CUT, no_look)
    assert job.coordinates[0].read_text() == before
    assert not (job.folder / "edits.json").exists()


def test_killed_at_any_moment_every_file_is_whole(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    class KilledError(BaseException):
        pass

    real = Path.replace
    for moment in range(4):
        count = iter(range(100))

        def replace(self: Path, target: Path, moment: int = moment, count: Any = count) -> Path:
            if next(count) == moment:
                raise KilledError
            return real(self, target)

        monkeypatch.setattr(Path, "replace", replace)
        new = Picks(np.array([9.0]), np.array([8.0]), np.array([-1.0]))
        with pytest.raises(KilledError):
            save(job, Changes({0: new, 1: new, 2: new, 3: new}), CUT, no_look)
        monkeypatch.undo()
        sizes = [len(read_picks(path)) for path in job.coordinates[:4]]
        assert sizes[: max(moment - 1, 0)] == [1] * max(moment - 1, 0)
        assert all(size in (1, len(particles(k)[1].above(THRESHOLD))) for k, size in enumerate(sizes))
        json.loads((job.folder / "edits.json").read_text()) if moment else None
        assert not list(job.folder.rglob(".ganpick-tmp-*"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content.pop("edits"),
        lambda content: content["edits"].append({"index": 99, "list": None}),
        lambda content: content["edits"].append({"index": 0, "list": {"x": [1], "y": [], "score": [1]}}),
        lambda content: content["edits"].append({"index": 0, "list": {"x": ["nan"], "y": [1], "score": [1]}}),
        lambda content: content["selection"].update(threshold=2),
        lambda content: content["selection"].update(best=0),
        lambda content: content["selection"].update(most=0),
        lambda content: content["selection"].pop("most"),
    ],
)
def test_what_no_page_sends_is_refused(job: Job, spoil: Callable[[Any], Any]) -> None:
    selection = {"threshold": 0.5, "best": 1, "most": 300, "power_low": 0, "power_high": None, "dropped_classes": []}
    content: dict[str, Any] = {"edits": [{"index": 1, "list": {"x": [1.2], "y": [3], "score": [-1]}}], "selection": selection}
    changes = read_changes(content, job)
    assert changes.selection == Selection(0.5, most=300)
    assert changes.edits[1] is not None
    assert changes.edits[1].x.tolist() == [1]  # RELION cuts fractions off
    spoil(content)
    with pytest.raises(GanpickError):
        read_changes(content, job)


def test_micrograph_that_cannot_be_written_does_not_stop_the_others(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    job.scores[2].unlink()
    saved = saving.save(job, Changes(selection=Selection(0.9)), CUT, no_look)
    assert saved.cut == N - 1
    assert len(saved.problems) == 1
    assert "mic002" in saved.text
