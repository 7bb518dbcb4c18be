"""cryosparc_ganpick --adapt against the stand-in server: which model picks, and what is kept of the decision."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapt_project import BETTER, WORSE, judge
from cryosparc_project import FIRST_UID, write_micrograph
from job_project import DIAMETER, PIXEL_SIZE, SHAPE, scene_pixels
from standin5 import Server5
from standin_world import PROJECT, SOURCE, World, exposure_dataset

from cryosparc_tool.main import main
from cryosparc_tool.options import JobSettings
from cryosparc_tool.plan import Plan
from relion_ganpick.adaptation.options import AdaptOptions
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.settings import RunSettings

pytestmark = pytest.mark.cryosparc(5)
ADAPT = ("--adapt", "--adapt_rounds", "1", "--adapt_steps", "2", "--overlays", "0")
DRY = f"cryosparc_ganpick/{PROJECT}_{SOURCE}_dry_run"


@pytest.fixture
def server(project_folder: Path, user: Path) -> Iterator[Server5]:
    world, rows = World(project_folder), []
    for index in range(3):
        name = f"J40/mic{index}.mrc"
        write_micrograph(project_folder / name, scene_pixels(index), PIXEL_SIZE)
        rows.append({"uid": FIRST_UID + index, "path": name, "shape": SHAPE, "psize_A": PIXEL_SIZE, "group": 1})
    world.add_source(exposure_dataset(rows))
    with Server5(world) as server:
        yield server


def words(server: Server5, *more: str) -> list[str]:
    job = ["--workspace", "W1", "--job", SOURCE, "--diameter", f"{DIAMETER:g}"]
    return ["--url", server.url, "--project", PROJECT, *job, *more]


def scores(folder: str) -> dict[str, Any]:
    return {path.name: np.load(path) for path in sorted(Path(folder, "scores").glob("*.npy"))}


def test_better_model_picks_and_a_second_run_takes_it_as_it_is(
    server: Server5, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(server, "--dry_run", "--overlays", "0")) == 0
    given = scores(DRY)
    judge(monkeypatch, BETTER)
    assert main(words(server, "--dry_run", *ADAPT)) == 0
    adapted = scores(DRY)
    assert list(adapted) == list(given)
    assert not any(np.array_equal(adapted[name], given[name]) for name in given)
    card = json.loads(Path(DRY, "adapted/default-adapted.json").read_text())
    said = capsys.readouterr().out
    assert f"picking with model default-adapted {card['sha256'][:12]}" in said
    assert re.search(r"\d+ picks at threshold 0\.\d+ of model default-adapted, ", said)
    Path(DRY, "scores", next(iter(adapted))).unlink()
    assert main(words(server, "--dry_run", *ADAPT)) == 0  # would run out of answers if it adapted again
    assert all(np.array_equal(again, adapted[name]) for name, again in scores(DRY).items())
    assert "adapt: decided in an earlier run" in capsys.readouterr().out


def test_other_exposures_need_an_adaptation_of_their_own(server: Server5, monkeypatch: pytest.MonkeyPatch) -> None:
    judge(monkeypatch, BETTER)
    assert main(words(server, "--dry_run", *ADAPT)) == 0
    run = Path(DRY, "run.json")
    run.write_text(json.dumps(json.loads(run.read_text()) | {"output": "another"}))
    judge(monkeypatch, WORSE)
    assert main(words(server, "--dry_run", *ADAPT)) == 0
    assert json.loads(Path(DRY, "adapted/decision.json").read_text())["outcome"] == "original"


def test_scores_of_another_adaptation_are_not_kept(server: Server5, monkeypatch: pytest.MonkeyPatch) -> None:
    judge(monkeypatch, BETTER)
    assert main(words(server, "--dry_run", *ADAPT)) == 0
    adapted = scores(DRY)
    Path(DRY, "adapted/decision.json").unlink()
    judge(monkeypatch, WORSE)
    assert main(words(server, "--dry_run", *ADAPT)) == 0
    given = scores(DRY)
    assert list(given) == list(adapted)
    assert not any(np.array_equal(adapted[name], given[name]) for name in given)


def test_job_names_the_model_that_picked_and_resume_keeps_to_it(server: Server5, monkeypatch: pytest.MonkeyPatch) -> None:
    judge(monkeypatch, WORSE)
    assert main(words(server, *ADAPT)) == 0
    (job,) = server.world.external_jobs()
    assert job.history == ["building", "running", "completed"]
    (table,) = [event["text"] for event in job.events if "micrographs picked" in event["text"]]
    assert "picked with model default" in table.splitlines()
    assert json.loads(Path(f"cryosparc_ganpick/{PROJECT}_{job.uid}/adapted/decision.json").read_text())["outcome"] == "original"
    resumed = JobSettings(PROJECT, resume=job.uid)
    expected = AdaptOptions(adapt=True, adapt_rounds=1, adapt_steps=2)
    assert Plan.of(resumed, RunSettings(), {}).adapt == expected
    with pytest.raises(GanpickError, match="`adapt` False: the run to resume has True"):
        Plan.of(resumed, RunSettings(), {"adapt": False})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--coordinates", "picks.csv"), "--adapt and --coordinates cannot be given together"),
        (("--model", "paper"), "model paper cannot be adapted, as it is one of the paper's kind"),
    ],
)
def test_what_does_not_go_together_is_refused_before_a_job_is_made(
    server: Server5, more: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(server, *ADAPT, *more)) == 1
    assert message in capsys.readouterr().err
    assert server.world.external_jobs() == []
