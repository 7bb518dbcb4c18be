"""The External job with --adapt: which model picks in the end, and what a job that goes on makes of the decision."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from job_project import (
    DIAMETER,
    FAILED,
    JOB,
    MICROGRAPHS_STAR,
    PIXEL_SIZE,
    SHAPE,
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
    snapshot,
    started_job,
    states,
    times,
    wait_for,
    write_mrc,
    write_star,
)

from relion_ganpick.core import adaptation
from relion_ganpick.core.adapt_options import AdaptOptions
from relion_ganpick.core.adaptation import settings_of, spread
from relion_ganpick.core.diameter_record import WORKING_DIAMETER_FILE
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.micrograph import read_micrograph
from relion_ganpick.core.options import options_of
from relion_ganpick.core.picker import Picker
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.model import adapt as adapt_module
from relion_ganpick.model.lessons import AdaptSettings
from relion_ganpick.model.weights import load_model
from relion_ganpick.relion.coordinates import read_picks
from relion_ganpick.relion.markers import ABORT_NOW
from relion_ganpick.relion.options import parse

NAMES = [f"Micrographs/mic{k:02d}.mrc" for k in range(3)]
PLAIN = arguments("--overlays", "0")
WORDS = arguments("--overlays", "0", "--adapt_rounds", "1", "--adapt_steps", "2", "--adapt")
WEIGHTS, CARD, RECORD = (f"adapted/{name}" for name in ("default-adapted.safetensors", "default-adapted.json", "decision.json"))
BETTER, WORSE = (0.2, 0.9), (0.9, 0.2)


@dataclass(frozen=True)
class Adapted:
    """A finished job, and how it ended."""

    project: Path
    ended: Ended


def judge(monkeypatch: pytest.MonkeyPatch, verdict: tuple[float, float]) -> None:
    """Let the held-back micrographs say so before and after: which model they would prefer is not the matter here.

    Few scenes calibrate, to be quick.
    """
    answers = iter(verdict)
    monkeypatch.setattr(adapt_module, "agreement", lambda *_: next(answers))
    monkeypatch.setattr(adapt_module, "FEWEST_SURE", 20)  # on small pictures
    monkeypatch.setattr(adaptation, "settings_of", lambda *given: replace(settings_of(*given), calibration_scenes=3))


def forbid_learning(monkeypatch: pytest.MonkeyPatch) -> None:
    def learn(*_: object) -> None:
        raise AssertionError("adapted again")

    monkeypatch.setattr(adaptation, "adapt", learn)


def run_judged(project: Path, verdict: tuple[float, float], *words: str) -> Ended:
    with pytest.MonkeyPatch.context() as patch:
        judge(patch, verdict)
        return run_here(project, *(words or WORDS))


def picks_file(name: str) -> str:
    return name.replace(".mrc", "_autopick.star")


def picks_on_disk(project: Path) -> dict[str, bytes]:
    return {name: content for name, content in snapshot(project).items() if "Micrographs/" in name}


def decision(project: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project / JOB / RECORD).read_text())
    return found


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


def rows(project: Path) -> dict[str, bytes]:
    """Picks and scores without their stamps, which hold the micrographs' times."""
    return {name: content[content.index(b"data_") :] for name, content in picks_on_disk(project).items()}


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
    assert lines[2] == "adapt: model default learns from 3 of 3 micrographs, some minutes"
    assert any(line == f"adapt: the adapted model is better by its own measure and picks: {JOB}{WEIGHTS}" for line in lines)
    assert card["threshold"] != load_model("default").card.threshold
    assert f"picking with model default-adapted {card['sha256'][:12]}, threshold {card['threshold']:g}" in lines
    assert " of model default-adapted, " in lines[-1]
    assert decision(better.project)["outcome"] == "adapted"
    assert decision(better.project)["micrographs"] == NAMES


def test_picks_are_those_of_the_adapted_model(better: Adapted, plain: dict[str, bytes]) -> None:
    chosen = json.loads((better.project / JOB / WORKING_DIAMETER_FILE).read_text())["angstrom"]
    assert decision(better.project)["request"]["working_diameter"] == chosen
    settings = PickSettings(diameter=DIAMETER, working_diameter=chosen, model=str(better.project / JOB / WEIGHTS))
    picker = Picker(settings, "cpu")
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
    found = rows(project)
    assert found[picks_file(more)] == found[picks_file(NAMES[1])]


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
    assert "the model is adapted once more" in ended.err
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
    assert "adapt: the adapted model is no better by its own measure: model default picks as it is" in ended.out
    assert " of model default, " in ended.out.splitlines()[-1]
    assert sorted(path.name for path in (project / JOB / "adapted").iterdir()) == ["decision.json"]
    assert rows(project) == plain
    forbid_learning(monkeypatch)
    before = picks_on_disk(project)
    prepare_job(project)
    assert run_here(project, *WORDS).status == 0
    assert picks_on_disk(project) == before


def test_too_few_micrographs_are_picked_with_the_given_model(tmp_path: Path) -> None:
    project, other = make_project(tmp_path / "few", 1), make_project(tmp_path / "plain", 1)
    assert run_here(other, *PLAIN).status == 0
    ended = run_here(project, *WORDS)
    assert (ended.status, markers(project)) == (0, SUCCEEDED)
    (line,) = ended.err.splitlines()
    assert line.startswith("WARNING: not adapted: ")
    assert "at least two are needed" in line
    assert line.endswith("Give more micrographs and Continue, or leave --adapt away")
    assert rows(project) == rows(other)


def test_after_too_few_micrographs_it_is_tried_again_only_with_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(tmp_path, 3)
    write_star(project / MICROGRAPHS_STAR, NAMES[:1])
    assert run_here(project, *WORDS).status == 0
    with monkeypatch.context() as patch:
        forbid_learning(patch)
        assert run_here(project, *WORDS).status == 0
    write_star(project / MICROGRAPHS_STAR, NAMES)
    ended = run_judged(project, BETTER)
    assert (ended.status, decision(project)["outcome"]) == (0, "adapted")
    assert len(states(project)) == 3


def test_micrographs_without_sure_particles_are_picked_with_the_given_model(tmp_path: Path) -> None:
    project = make_project(tmp_path, 2)
    for seed, name in enumerate(NAMES[:2]):
        write_mrc(project / name, np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32))
    ended = run_here(project, *WORDS)
    assert (ended.status, markers(project), decision(project)["outcome"]) == (0, SUCCEEDED, "impossible")
    assert "WARNING: not adapted: only " in ended.err
    assert " of model default, " in ended.out.splitlines()[-1]


def test_after_files_that_were_not_there_it_is_tried_again(tmp_path: Path) -> None:
    project = make_project(tmp_path, 3)
    kept = {name: (project / name).read_bytes() for name in NAMES[1:]}
    for name in kept:
        (project / name).unlink()
    ended = run_here(project, *WORDS)
    assert (ended.status, "at least two are needed" in ended.err) == (0, True)
    for name, content in kept.items():
        (project / name).write_bytes(content)
    ended = run_judged(project, BETTER)
    assert (ended.status, decision(project)["outcome"]) == (0, "adapted")


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried ...")]
)
def test_without_the_memory_the_given_model_picks_and_it_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    project = make_project(tmp_path, 2)

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(adaptation, "adapt", fail)
        ended = run_here(project, *WORDS)
    assert (ended.status, markers(project)) == (0, SUCCEEDED)
    assert "WARNING: not adapted: the memory is not enough for it; model default picks as it is. Continue with more" in ended.err
    assert not (project / JOB / RECORD).exists()


def test_other_errors_of_torch_are_not_taken_for_a_lack_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(tmp_path, 2)

    def fail(*_: object) -> None:
        raise RuntimeError("sizes do not match")

    monkeypatch.setattr(adaptation, "adapt", fail)
    ended = run_here(project, *WORDS)
    assert (ended.status, markers(project)) == (1, FAILED)
    assert "sizes do not match" in ended.err


def test_micrograph_that_cannot_be_read_is_left_out_and_mentioned_once(tmp_path: Path) -> None:
    project = make_project(tmp_path, 4)
    (project / NAMES[0]).write_bytes(b"no micrograph")
    ended = run_judged(project, BETTER)
    assert (ended.status, decision(project)["outcome"]) == (0, "adapted")
    assert len([line for line in ended.err.splitlines() if NAMES[0] in line]) == 1


def test_the_papers_model_is_refused_before_anything_is_picked(tmp_path: Path) -> None:
    project = make_project(tmp_path, 2)
    ended = run_here(project, *WORDS, "--model", "paper")
    assert (ended.status, markers(project), states(project)) == (1, FAILED, {})
    assert "model paper is of the paper's kind, which cannot be adapted: use it without --adapt" in ended.err
    assert not (project / JOB / "adapted").exists()


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
    assert time.monotonic() - began < 5
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
        (["--adapt_most", "1"], "--adapt_most 1: give at least 2"),
        (["--adapt_rounds", "0"], "--adapt_rounds 0: give at least 1"),
        (["--adapt_steps", "-3"], "--adapt_steps -3: give at least 1"),
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
