"""The External job with --adapt where that is impossible: the given model picks, and it is tried again when that can help."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from adapt_project import (
    BETTER,
    NAMES,
    PLAIN,
    RECORD,
    WORDS,
    decision,
    forbid_learning,
    rows,
    run_judged,
)
from job_project import (
    FAILED,
    JOB,
    MICROGRAPHS_STAR,
    SHAPE,
    SUCCEEDED,
    make_project,
    markers,
    run_here,
    states,
    write_mrc,
    write_star,
)

from relion_ganpick.adaptation import choice


def test_too_few_micrographs_are_picked_with_the_given_model(tmp_path: Path) -> None:
    project, other = make_project(tmp_path / "few", 1), make_project(tmp_path / "plain", 1)
    assert run_here(other, *PLAIN).status == 0
    ended = run_here(project, *WORDS)
    assert (ended.status, markers(project)) == (0, SUCCEEDED)
    (line,) = ended.err.splitlines()
    assert line.startswith("WARNING: not adapted: ")
    assert "give at least two" in line
    assert line.endswith("Give more micrographs and press Continue, or leave out --adapt")
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
    assert "WARNING: not adapted: too few particles to learn from" in ended.err
    assert " of model default, " in ended.out.splitlines()[-1]


def test_after_files_that_were_not_there_it_is_tried_again(tmp_path: Path) -> None:
    project = make_project(tmp_path, 3)
    kept = {name: (project / name).read_bytes() for name in NAMES[1:]}
    for name in kept:
        (project / name).unlink()
    ended = run_here(project, *WORDS, "--max_failed", "1")
    assert (ended.status, "give at least two" in ended.err) == (0, True)
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
        patch.setattr(choice, "adapt", fail)
        ended = run_here(project, *WORDS)
    assert (ended.status, markers(project)) == (0, SUCCEEDED)
    assert "WARNING: not adapted: there is not enough memory; model default picks instead. Give the job more memory" in ended.err
    assert not (project / JOB / RECORD).exists()


def test_other_errors_of_torch_are_not_taken_for_a_lack_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(tmp_path, 2)

    def fail(*_: object) -> None:
        raise RuntimeError("sizes do not match")

    monkeypatch.setattr(choice, "adapt", fail)
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
    assert "model paper cannot be adapted, as it is one of the paper's kind: leave out --adapt" in ended.err
    assert not (project / JOB / "adapted").exists()
