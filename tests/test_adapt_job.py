"""The External job with --adapt: which model picks in the end, and what a job that goes on makes of the decision."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapt_project import (
    BETTER,
    CARD,
    NAMES,
    PLAIN,
    RECORD,
    WEIGHTS,
    WORDS,
    WORSE,
    decision,
    forbid_learning,
    judge,
    picks_file,
    picks_on_disk,
    rows,
    run_judged,
)
from job_project import (
    DIAMETER,
    FAILED,
    JOB,
    MICROGRAPHS_STAR,
    PIXEL_SIZE,
    SUCCEEDED,
    WAS_ABORTED,
    Ended,
    arguments,
    end_of,
    log,
    make_project,
    markers,
    prepare_job,
    run_here,
    started_job,
    states,
    times,
    wait_for,
    write_star,
)
from machine import patience
from scipy.spatial import cKDTree

from relion_ganpick.adaptation.choice import spread
from relion_ganpick.adaptation.lessons import AdaptSettings
from relion_ganpick.adaptation.options import AdaptOptions
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.micrograph import read_micrograph
from relion_ganpick.core.options import options_of
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.evidence.record import EVIDENCE_FILE, read_evidence
from relion_ganpick.formats.pick_files import read_picks
from relion_ganpick.model.weights import load_model
from relion_ganpick.picking.diameter_record import WORKING_DIAMETER_FILE
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.set_evidence import facts_of
from relion_ganpick.relion.markers import ABORT_NOW
from relion_ganpick.relion.options import parse


@dataclass(frozen=True)
class Adapted:
    """A finished job, and how it ended."""

    project: Path
    ended: Ended


@pytest.fixture(scope="module")
def better(tmp_path_factory: pytest.TempPathFactory) -> Adapted:
    project = make_project(tmp_path_factory.mktemp("better"), 3)
    return Adapted(project, run_judged(project, BETTER))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Picks and scores of a job without --adapt on the same micrographs."""
    project = make_project(tmp_path_factory.mktemp("plain"), 3)
    assert run_here(project, *PLAIN).status == 0
    return rows(project)


@pytest.fixture
def project(better: Adapted, tmp_path: Path) -> Path:
    """A copy of the finished job, times and all, made ready for Continue."""
    copy = tmp_path / "project"
    shutil.copytree(better.project, copy)
    prepare_job(copy)
    return copy


def test_better_model_is_kept_in_the_jobs_folder_and_named(better: Adapted) -> None:
    assert (better.ended.status, better.ended.err, markers(better.project)) == (0, "", SUCCEEDED)
    card = json.loads((better.project / JOB / CARD).read_text())
    assert card["name"] == "default-adapted"
    assert (card["training"]["adapted"]["rounds"], card["training"]["adapted"]["steps"]) == (1, 2)
    lines = better.ended.out.splitlines()
    assert "model default " in lines[0]
    assert lines[1].startswith("working diameter ")
    assert lines[2] == "adapt: model default learns from 3 of 3 micrographs; this takes some minutes"
    assert any(line == f"adapt: the adapted model is better, and picks: {JOB}{WEIGHTS}" for line in lines)
    assert card["threshold"] != load_model("default").card.threshold
    assert f"picking with model default-adapted {card['sha256'][:12]}" in lines
    assert " of model default-adapted, " in lines[-1]
    assert decision(better.project)["outcome"] == "adapted"
    assert decision(better.project)["micrographs"] == NAMES


def test_picks_are_those_of_the_adapted_model(better: Adapted, plain: dict[str, bytes]) -> None:
    chosen = json.loads((better.project / JOB / WORKING_DIAMETER_FILE).read_text())["angstrom"]
    assert decision(better.project)["request"]["working_diameter"] == chosen
    settings = PickSettings(diameter=DIAMETER, working_diameter=chosen, model=str(better.project / JOB / WEIGHTS))
    one = Picker(settings, "cpu")
    facts = facts_of(one, PIXEL_SIZE)
    evidence = read_evidence(better.project / JOB / EVIDENCE_FILE, facts)
    assert evidence is not None
    assert sorted(evidence.halves) == [Path(name).name for name in NAMES]
    picker = one.with_evidence(evidence)
    for name in NAMES:
        expected = picker.pick(read_micrograph(better.project / name, PIXEL_SIZE))
        found = read_picks(better.project / JOB / picks_file(name))
        np.testing.assert_array_equal(found.xy, expected.xy)
        np.testing.assert_allclose(found.score, expected.score, atol=1e-6)
    assert all(rows(better.project)[name] != plain[name] for name in plain)


def test_continue_neither_adapts_nor_picks_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = times(project)
    forbid_learning(monkeypatch)
    ended = run_here(project, *WORDS)
    assert (ended.status, ended.err) == (0, "")
    assert "adapt: decided in an earlier run" in ended.out
    assert " of model default-adapted, " in ended.out.splitlines()[-1]
    after = times(project)
    assert [name for name in before if "Micrographs/" in name or "adapted/" in name if after[name] != before[name]] == []


def test_threshold_given_by_hand_counts_more_than_the_adapted_models_own(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_learning(monkeypatch)
    ended = run_here(project, *WORDS, "--threshold", "0.8")
    assert (ended.status, ended.err) == (0, "")
    assert " picks at threshold 0.8 of model default-adapted, " in ended.out.splitlines()[-1]
    assert min(read_picks(project / JOB / picks_file(name)).score.min() for name in NAMES) >= 0.8


def test_continue_picks_new_micrographs_with_the_adapted_model(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_learning(monkeypatch)
    more = "Micrographs/mic03.mrc"
    shutil.copy(project / NAMES[1], project / more)
    write_star(project / MICROGRAPHS_STAR, [*NAMES, more])
    assert run_here(project, *WORDS).status == 0
    of_new, of_old = (read_picks(project / JOB / picks_file(name)) for name in (more, NAMES[1]))
    # The filter that it gets has learned from the same picture, which a looked-at micrograph's own has not.
    near = cKDTree(of_old.xy).query(of_new.xy)[0]
    assert abs(len(of_new) - len(of_old)) <= 0.15 * len(of_old)
    assert np.mean(near < 3) > 0.85


def test_without_adapt_the_job_picks_anew_and_with_it_again_as_before(
    project: Path, plain: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    adapted = picks_on_disk(project)
    forbid_learning(monkeypatch)
    assert run_here(project, *PLAIN).status == 0
    assert rows(project) == plain
    assert run_here(project, *WORDS).status == 0
    assert picks_on_disk(project) == adapted


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"no weights")])
def test_damaged_or_missing_adapted_model_is_made_again(
    project: Path, damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = project / JOB / WEIGHTS
    whole, picks = weights.read_bytes(), picks_on_disk(project)
    damage(weights)
    judge(monkeypatch, BETTER)
    ended = run_here(project, *WORDS)
    assert ended.status == 0
    assert "the model is adapted again" in ended.err
    assert weights.read_bytes() == whole
    assert picks_on_disk(project) == picks


def test_another_diameter_asks_for_another_decision(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge(monkeypatch, WORSE)
    words = [word if word != f"{DIAMETER:g}" else "170" for word in WORDS]
    assert run_here(project, *words).status == 0
    assert decision(project)["outcome"] == "original"
    assert decision(project)["request"]["diameter"] == 170.0


def test_worse_model_is_not_kept_and_the_given_one_picks(
    tmp_path: Path, plain: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path, 3)
    ended = run_judged(project, WORSE)
    assert (ended.status, ended.err, markers(project)) == (0, "", SUCCEEDED)
    assert "adapt: the adapted model is no better: model default picks as it is" in ended.out
    assert " of model default, " in ended.out.splitlines()[-1]
    assert sorted(path.name for path in (project / JOB / "adapted").iterdir()) == ["decision.json"]
    assert rows(project) == plain
    forbid_learning(monkeypatch)
    before = picks_on_disk(project)
    prepare_job(project)
    assert run_here(project, *WORDS).status == 0
    assert picks_on_disk(project) == before


def terminate(_: Path, process: Any) -> None:
    process.send_signal(signal.SIGTERM)


def abort(project: Path, _: Any) -> None:
    (project / JOB / ABORT_NOW).touch()


@pytest.mark.slow
@pytest.mark.parametrize(("stop", "marker"), [(terminate, FAILED), (abort, WAS_ABORTED)])
def test_job_ends_promptly_while_it_adapts(tmp_path: Path, stop: Callable[[Path, Any], None], marker: list[str]) -> None:
    project = make_project(tmp_path, 6)
    with started_job(project, arguments("--adapt", "yes", "--adapt_steps", "100000")) as process:
        wait_for(lambda: "learns from" in log(project, "run.out") or process.poll() is not None, "the adaptation")
        time.sleep(2)
        assert process.poll() is None
        stop(project, process)
        began = time.monotonic()
        ended = end_of(process, project, 30)
    assert time.monotonic() - began < patience(5)
    assert (ended.status, markers(project), states(project)) == (1, marker, {})
    assert "round 1" not in ended.out
    assert "Traceback" not in ended.err
    assert not (project / JOB / RECORD).exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], False),
        (["--adapt"], True),
        (["--adapt", "--j", "1"], True),
        (["--adapt", "yes"], True),
        (["--adapt", "True"], True),
        (["--adapt=1"], True),
        (["--adapt", "no"], False),
        (["--adapt", "False"], False),
    ],
)
def test_flag_needs_no_value_and_takes_one(words: list[str], expected: bool) -> None:
    options = parse(["--diameter", "180", *words], JOB, MICROGRAPHS_STAR)
    assert options.adapt == AdaptOptions(adapt=expected)
    assert options.notes == ()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--adapt", "perhaps"], "'perhaps': give yes or no"),
        (["--adapt_most", "1"], "`adapt_most` 1: give at least 2"),
        (["--adapt_rounds", "0"], "`adapt_rounds` 0: give at least 1"),
        (["--adapt_steps", "-3"], "`adapt_steps` -3: give at least 1"),
    ],
)
def test_impossible_values_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(GanpickError, match=message):
        parse(["--diameter", "180", *words], JOB, MICROGRAPHS_STAR)


def test_help_tells_the_defaults_that_apply() -> None:
    texts = {name: each.text for name, each in options_of(AdaptOptions).items()}
    assert texts["adapt_rounds"].endswith(f"(default: {AdaptSettings().rounds})")
    assert texts["adapt_steps"].endswith(f"(default: {AdaptSettings().steps})")
    assert texts["adapt_most"].endswith(f"(default: {AdaptOptions().adapt_most})")


def test_chosen_micrographs_are_spread_over_all() -> None:
    assert spread(range(10), 4) == [0, 2, 5, 7]
    assert spread("abc", 24) == ["a", "b", "c"]
