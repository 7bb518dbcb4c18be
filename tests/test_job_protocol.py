"""What one run of the External job leaves for RELION: logs, coordinates, lists and the marker."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from finished_job import FILES, FOR_PIPELINES, LINE, NAMES, SCORES, finished_job
from job_project import JOB, SUCCEEDED, Ended, markers, snapshot, states, times

from relion_ganpick.evidence.record import EVIDENCE_FILE
from relion_ganpick.formats.pick_files import read_picks
from relion_ganpick.picking.diameter_record import WORKING_DIAMETER_FILE
from relion_ganpick.relion.markers import SUCCESS


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """Project of three micrographs after its job."""
    return finished_job(tmp_path_factory.mktemp("project"))


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
