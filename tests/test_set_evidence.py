"""What is known of a set: gathered once, kept in evidence.json, and used for every micrograph alike."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch
from evidence_views import lattice, view_with

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.evidence.assess import gather_evidence, judged
from relion_ganpick.evidence.record import EVIDENCE_FILE, Evidence, read_evidence, write_evidence
from relion_ganpick.model.judge import SetJudge
from relion_ganpick.model.networks import UNetGenerator
from relion_ganpick.model.weights import Card, Model, load_model, save_model
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.set_evidence import MOST_LOOKED_AT, evenly, with_set_evidence
from relion_ganpick.picking.stream import Task, stream

STRAIGHT: dict[str, list[float]] = {"raw": [0.0, 1.0], "score": [0.0, 1.0]}
NETWORK = {"kind": "unet", "width": 4, "levels": 2, "outputs": 2}
CARD = Card("m", "default", NETWORK, {}, "", 0, {}, 0.5, STRAIGHT, judge_curve=STRAIGHT, strict=0.6)
PIXEL_SIZE, DIAMETER = 8.0, 137.0


@pytest.fixture(scope="module")
def model() -> Model:
    """A model whose networks know nothing; the judge goes by the height of the peak."""
    torch.manual_seed(1)
    judge = SetJudge(2)
    for member in judge.members:
        last = member.decide[-1]  # type: ignore[index, union-attr]
        torch.nn.init.normal_(last.weight, std=1.0)
    generator = UNetGenerator(4, 2, 2).eval().requires_grad_(False)
    return Model(generator, CARD, None, judge.eval().requires_grad_(False))


@pytest.fixture(scope="module")
def evidence(model: Model) -> Evidence:
    return gather_evidence(model, [view_with(lattice(), seed=k) for k in range(3)], ["a/one.mrc", "a/two.mrc", "three.mrc"])


@pytest.fixture
def files(tmp_path: Path) -> list[Task]:
    tasks = []
    for k in range(3):
        path = tmp_path / f"mic{k}.mrc"
        picture = np.kron(view_with(lattice(), seed=k).picture, np.ones((2, 2), np.float32))
        with mrcfile.new(path) as held:
            held.set_data(picture)
            held.voxel_size = PIXEL_SIZE
        tasks.append(Task(path.name, path))
    return tasks


def picker_with(model: Model, **more: object) -> Picker:
    return Picker(PickSettings(diameter=DIAMETER * 2, **more), "cpu", model)  # type: ignore[arg-type]


def test_micrographs_belong_to_halves_in_turn(evidence: Evidence) -> None:
    assert evidence.halves == {"one.mrc": 0, "two.mrc": 1, "three.mrc": 0}
    assert sum(evidence.histogram) > 0


def test_a_single_micrograph_is_a_set_of_one(model: Model) -> None:
    view = view_with(lattice())
    alone = gather_evidence(model, [view], ["one.mrc"])
    assert alone.halves == {"one.mrc": None}
    picks = judged(model, view, "one.mrc", alone)
    assert alone.point.picks == len(picks.above(alone.point.cut))


def test_figures_of_merit_depend_on_the_set_only_by_its_evidence(model: Model, evidence: Evidence) -> None:
    view = view_with(lattice(), seed=0)
    again = judged(model, view, "elsewhere/one.mrc", evidence)
    np.testing.assert_array_equal(judged(model, view, "one.mrc", evidence).score, again.score)
    later = judged(model, view_with(lattice(), seed=9), "later.mrc", evidence)
    assert len(later) > 0
    assert later.score.min() >= 0.01


def test_looking_at_nothing_or_without_a_judge_is_an_error(model: Model) -> None:
    with pytest.raises(ValueError, match="no micrograph"):
        gather_evidence(model, [], [])
    with pytest.raises(ValueError, match="no judge"):
        gather_evidence(replace(model, judge=None), [view_with(lattice())], ["one.mrc"])


def test_what_is_read_again_is_what_was_written(evidence: Evidence, model: Model, tmp_path: Path) -> None:
    path, facts = tmp_path / EVIDENCE_FILE, {"version": "1", "diameter": 100.0}
    write_evidence(path, evidence, facts)
    back = read_evidence(path, facts)
    assert back is not None
    assert back.fingerprint == evidence.fingerprint
    assert back.point == evidence.point
    assert back.halves == evidence.halves
    view = view_with(lattice(), seed=4)
    np.testing.assert_array_equal(judged(model, view, "x", back).score, judged(model, view, "x", evidence).score)
    assert json.loads(path.read_text())["says"] == evidence.point.words()


def test_another_cut_is_another_fingerprint(evidence: Evidence) -> None:
    point = replace(evidence.point, cut=evidence.point.cut / 2)
    assert replace(evidence, point=point).fingerprint != evidence.fingerprint


def test_other_facts_make_it_invalid_and_damage_is_named(evidence: Evidence, tmp_path: Path) -> None:
    path = tmp_path / EVIDENCE_FILE
    assert read_evidence(path, {}) is None
    write_evidence(path, evidence, {"diameter": 100.0})
    assert read_evidence(path, {"diameter": 120.0}) is None
    for text in ("{", '{"diameter": 100.0}', '{"diameter": 100.0, "filters": 3}'):
        path.write_text(text)
        with pytest.raises(GanpickError, match=r"evidence\.json: damaged; delete it"):
            read_evidence(path, {"diameter": 100.0})


def test_micrographs_that_are_looked_at_are_spread_over_the_job() -> None:
    order = evenly(100)
    assert order[:3] == [2, 6, 10]
    assert len([k for k in order[:MOST_LOOKED_AT] if k >= 50]) == MOST_LOOKED_AT / 2
    assert sorted(order) == list(range(100))
    assert evenly(3) == [0, 1, 2]
    assert evenly(0) == []


def test_picks_of_a_run_do_not_depend_on_order_or_threads(model: Model, files: list[Task], tmp_path: Path) -> None:
    picker = with_set_evidence(picker_with(model), files, tmp_path)
    assert picker.evidence is not None
    assert picker.threshold == picker.evidence.point.cut
    found = {result.task.name: result.picks for result in stream(files, picker)}
    others = {result.task.name: result.picks for result in stream(files[::-1], picker, 3)}
    for name, picks in found.items():
        other = others[name]
        assert picks is not None
        assert other is not None
        np.testing.assert_array_equal(picks.xy, other.xy)
        np.testing.assert_array_equal(picks.score, other.score)
        assert len(picks) > 10


def test_a_run_that_goes_on_uses_what_was_found(
    model: Model, files: list[Task], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = with_set_evidence(picker_with(model), files, tmp_path)
    with caplog.at_level("INFO"):
        second = with_set_evidence(picker_with(model), iter(()), tmp_path)
    assert "as found before" in caplog.text
    assert first.evidence is not None
    assert second.evidence is not None
    assert second.evidence.fingerprint == first.evidence.fingerprint
    other = with_set_evidence(picker_with(model, contrast="bright"), iter(()), tmp_path)
    assert other.evidence is None
    with_set_evidence(picker_with(model), iter(()), tmp_path, reuse=False)
    assert not (tmp_path / EVIDENCE_FILE).exists()


def test_a_threshold_that_was_given_holds(
    model: Model, files: list[Task], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        picker = with_set_evidence(picker_with(model, threshold=0.25), files, tmp_path)
    assert picker.threshold == 0.25
    assert "`threshold` of 0.25 is used" in caplog.text


def test_unusable_files_are_left_out(model: Model, files: list[Task], tmp_path: Path) -> None:
    gone = Task("gone.mrc", tmp_path / "gone.mrc")
    picker = with_set_evidence(picker_with(model), [gone, *files])
    assert picker.evidence is not None
    assert list(picker.evidence.halves) == ["mic0.mrc", "mic1.mrc", "mic2.mrc"]
    assert with_set_evidence(picker_with(model), [gone]).evidence is None


def test_an_older_model_judges_each_micrograph_alone(model: Model, files: list[Task], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        picker = with_set_evidence(picker_with(replace(model, judge=None)), files)
    assert picker.evidence is None
    assert picker.threshold == 0.5
    assert "no judge of sets" in caplog.text


def test_hardly_any_evidence_is_a_warning_that_names_the_way_out(
    model: Model, files: list[Task], caplog: pytest.LogCaptureFixture
) -> None:
    hopeless = replace(model, card=replace(CARD, judge_curve={"raw": [0.0, 1.0], "score": [0.0, 0.05]}))
    with caplog.at_level("INFO"):
        picker = with_set_evidence(picker_with(hopeless), files)
    assert picker.threshold == pytest.approx(0.6, abs=1e-3)
    warning = next(each.message for each in caplog.records if each.levelname == "WARNING")
    assert "hardly anything speaks for particles in 3 micrographs" in warning
    assert "`threshold` 0.05" in warning


def test_faint_particles_that_are_certain_are_a_warning_with_two_ways_out(
    model: Model, files: list[Task], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with_set_evidence(picker_with(model), files, tmp_path)
    record = tmp_path / EVIDENCE_FILE
    content = json.loads(record.read_text())
    for trust, expected, warns in ((1.0, 0.5, True), (1.0, 0.8, False), (0.9, 0.5, False), (1.0, 0.1, False)):
        content["trust"], content["operating_point"]["expected_f"] = trust, expected
        record.write_text(json.dumps(content))
        caplog.clear()
        with_set_evidence(picker_with(model), files, tmp_path)
        assert ("too faint to be told from noise" in caplog.text) == warns
        assert ("`approved`" in caplog.text) == warns
    content["operating_point"]["expected_f"] = 0.5
    record.write_text(json.dumps(content))
    caplog.clear()
    with_set_evidence(picker_with(model, threshold=0.1), files, tmp_path)  # somebody has decided
    assert "too faint" not in caplog.text


def test_the_judge_goes_into_the_models_file_and_back(model: Model, tmp_path: Path) -> None:
    back = load_model(str(save_model(model, tmp_path)))
    assert back.judge is not None
    assert model.judge is not None
    for name, value in model.judge.state_dict().items():
        torch.testing.assert_close(back.judge.state_dict()[name], value)
    assert back.card.strict == 0.6
    assert back.by_heights().judge is back.judge  # a card without heights stays as it is
    heights = replace(back, card=replace(back.card, heights=STRAIGHT))
    assert heights.by_heights().judge is None
