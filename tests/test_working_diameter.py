"""The diameter that the network assumes is chosen by how many particles are expected to be found with it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from job_project import (
    DIAMETER,
    FAILED,
    JOB,
    MICROGRAPHS_STAR,
    SUCCEEDED,
    Ended,
    arguments,
    make_project,
    markers,
    picks_of,
    run_here,
    snapshot,
    write_star,
)

from relion_ganpick import Picker, tuned
from relion_ganpick.cli import main
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.evaluate import evaluate
from relion_ganpick.core.lines import listening
from relion_ganpick.core.micrograph import Micrograph
from relion_ganpick.core.settings import PickRequest, PickSettings
from relion_ganpick.model.weights import load_model
from relion_ganpick.picking import working_diameter
from relion_ganpick.picking.diameter_record import WORKING_DIAMETER_FILE
from relion_ganpick.picking.stream import Task
from relion_ganpick.picking.working_diameter import (
    FEWEST_EXPECTED,
    LEAST_GAIN,
    assumed_factors,
    choose,
    expected_particles,
    small_part,
    with_working_diameter,
)
from relion_ganpick.synthesis.scene import CLEAN, Scene, make_scene

TRUE, PIXEL_SIZE, SIDE = 160.0, 8.0, 360
GIVEN = 1.65 * DIAMETER
ASSUMED = 100 * assumed_factors()
NAMES = ["Micrographs/mic00.mrc", "Micrographs/mic01.mrc", "Micrographs/mic02.mrc"]


@pytest.fixture(scope="module")
def scene() -> Scene:
    """Faint particles of one kind, close to each other."""
    settings = replace(CLEAN, diameter=(TRUE, TRUE), molecule="chain", area_density=(0.5, 0.5), spacing=(0.9, 1.0))
    settings = replace(settings, contrast=(0.5, 0.5), phase_plate=0.0)
    return make_scene((SIDE, SIDE), TRUE / PIXEL_SIZE, np.random.default_rng(5), settings)


@pytest.fixture(scope="module")
def micrograph(scene: Scene) -> Micrograph:
    return Micrograph(scene.pixels, PIXEL_SIZE, "scene")


def picker(diameter: float, **more: object) -> Picker:
    """The default model as it judges one micrograph alone, which is what the working diameter is chosen by."""
    alone = replace(load_model("default"), judge=None)
    return Picker(PickSettings(diameter=diameter, edge_margin=0.0, **more), "cpu", alone)  # type: ignore[arg-type]


def expected(**at: float) -> np.ndarray:
    """Expected particles in one micrograph: 100 at the given diameter, and what is said at the others."""
    values = np.linspace(90, 90 + len(ASSUMED) - 1, len(ASSUMED))[None].copy()
    values[0, len(ASSUMED) // 2] = 100
    for place, value in at.items():
        values[0, int(place.removeprefix("at"))] = value
    return values


def test_factors_lie_evenly_around_one() -> None:
    factors = assumed_factors()
    assert factors[len(factors) // 2] == 1
    np.testing.assert_allclose(factors * factors[::-1], 1)
    assert 1.3 < factors[-1] < 1.35


def test_where_most_are_expected_is_chosen() -> None:
    found = choose(ASSUMED, np.concatenate([expected(at2=130), expected(at3=140, at2=120)]))
    assert found.angstrom == round(ASSUMED[2], 1)
    assert found.expected[2] == 250
    assert found.expected[3] == 140 + 93


def test_subunits_beyond_a_valley_are_not_counted() -> None:
    counts = np.array([[395.0, 287, 201, 132, 130, 260, 314, 325, 330]])  # of a dihedral molecule that falls apart
    assert choose(ASSUMED, counts).angstrom == round(ASSUMED[8], 1)
    assert choose(ASSUMED, counts[:, ::-1]).angstrom == round(ASSUMED[0], 1)
    assert choose(ASSUMED, np.array([[395.0, 287, 150, 200, 300, 310, 290, 280, 250]])).angstrom == round(ASSUMED[5], 1)


def test_given_diameter_is_kept_without_a_real_gain() -> None:
    assert choose(ASSUMED, expected(at2=100 * (1 + LEAST_GAIN) - 0.1)).angstrom == 100
    assert choose(ASSUMED, expected(at2=100 * (1 + LEAST_GAIN) + 0.1)).angstrom == round(ASSUMED[2], 1)


def test_given_diameter_is_kept_where_there_is_next_to_nothing() -> None:
    few = expected(at2=300) * (FEWEST_EXPECTED - 1) / 300
    assert choose(ASSUMED, few).angstrom == 100
    assert choose(ASSUMED, np.zeros((3, len(ASSUMED)))).angstrom == 100


def test_a_diameter_that_one_micrograph_could_not_be_tried_at_is_not_chosen() -> None:
    assert choose(ASSUMED, np.concatenate([expected(at8=500), expected(at8=np.nan, at2=160)])).angstrom == round(ASSUMED[2], 1)


def test_expected_particles_are_the_sum_of_the_figures_of_merit_above_the_threshold(micrograph: Micrograph) -> None:
    here = picker(TRUE)
    assumed = np.array([0.9 * TRUE, TRUE, 1.1 * TRUE])
    by_hand = [picker(TRUE, working_diameter=angstrom).pick(micrograph).score.sum() for angstrom in assumed]
    np.testing.assert_allclose(expected_particles(here, micrograph, assumed), by_hand)
    assert min(by_hand) > FEWEST_EXPECTED
    tuned_threshold = picker(TRUE, threshold=0.99)
    np.testing.assert_allclose(expected_particles(tuned_threshold, micrograph, assumed), by_hand)


def test_diameters_that_leave_too_little_of_a_micrograph_are_passed_over(micrograph: Micrograph) -> None:
    small = Micrograph(micrograph.pixels[:150, :150], PIXEL_SIZE, "small.mrc")
    found = expected_particles(picker(250.0), small, np.array([150.0, 250.0, 900.0]))
    assert np.isfinite(found[:2]).all()
    assert np.isnan(found[2])
    with pytest.raises(GanpickError, match=r"small.mrc: a working diameter of 900 A .* leaves only 1.3 diameters across"):
        expected_particles(picker(600.0), small, np.array([500.0, 900.0, 950.0]))


def test_full_micrographs_decide_sooner(micrograph: Micrograph, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"mic{k}" for k in range(9)]
    for each, looked_at in ((250.0, 3), (130.0, 5), (20.0, 6)):
        seen: list[str] = []

        def expect(_: Picker, one: Micrograph, assumed: np.ndarray, seen: list[str] = seen, each: float = each) -> np.ndarray:
            seen.append(one.name)
            return each * (assumed / ASSUMED[6]) ** 0.1

        monkeypatch.setattr(working_diameter, "expected_particles", expect)
        found = tuned(picker(100.0), [replace(micrograph, name=name) for name in names])
        assert sorted(set(seen)) == names[:looked_at]
        assert found.settings.working_diameter_angstrom == round(ASSUMED[-1], 1)


@pytest.mark.parametrize(("full", "looked_at"), [(7, 8), (4, 6), (30, 12)])
def test_where_six_hold_next_to_nothing_others_decide(
    micrograph: Micrograph, monkeypatch: pytest.MonkeyPatch, full: int, looked_at: int
) -> None:
    seen: set[str] = set()

    def expect(_: Picker, one: Micrograph, assumed: np.ndarray) -> np.ndarray:
        seen.add(one.name)
        return (100.0 if one.name == f"mic{full}" else 0.5) * (assumed / ASSUMED[6]) ** 0.1

    monkeypatch.setattr(working_diameter, "expected_particles", expect)
    found = tuned(picker(100.0), [replace(micrograph, name=f"mic{k}") for k in range(20)])
    assert seen == {f"mic{k}" for k in range(looked_at)}
    assert found.settings.working_diameter_angstrom == (100.0 if full == 30 else round(ASSUMED[-1], 1))


@pytest.mark.parametrize(
    ("counts", "tried"),
    [
        (
            [39.5, 28.7, 20.1, 13.2, 13.0, 12.0, 9.0, 6.0, 3.0],
            7,
        ),  # up to one side from 4 to 2, where 0 and 1 are tried, and on to 0
        ([10, 20, 30, 40, 50, 40, 30, 20, 10], 5),
        ([10, 20, 30, 40, 50, 52, 60, 55, 40], 7),
    ],
)
@pytest.mark.parametrize("threads", [1, 3])
def test_only_diameters_on_the_way_are_tried(
    micrograph: Micrograph, monkeypatch: pytest.MonkeyPatch, counts: list[float], tried: int, threads: int
) -> None:
    seen: list[float] = []

    def expect(_: Picker, __: Micrograph, assumed: np.ndarray) -> np.ndarray:
        seen.extend(assumed)
        return np.array([counts[int(np.abs(ASSUMED - each).argmin())] for each in assumed], float)

    monkeypatch.setattr(working_diameter, "expected_particles", expect)
    found = tuned(picker(100.0), [micrograph] * 6, threads)
    assert found.settings.working_diameter_angstrom == choose(ASSUMED, np.array([counts] * 6, float)).angstrom
    assert len(seen) == 6 * tried == 6 * len(set(seen))


def test_of_a_large_fine_micrograph_the_middle_is_looked_at_coarsely() -> None:
    pixels = np.random.default_rng(1).normal(0, 1, (1600, 1200)).astype(np.float32)
    part = small_part(picker(200.0), Micrograph(pixels, 2.0, "fine"))
    assert (part.pixels.shape, part.pixel_size) == ((800, 600), 4.0)
    np.testing.assert_allclose(part.pixels[0, 0], pixels[:2, :2].mean(), atol=1e-5)
    part = small_part(picker(200.0), Micrograph(pixels, 20.0, "coarse"))
    assert (part.pixels.shape, part.pixel_size) == ((280, 280), 20.0)
    np.testing.assert_array_equal(part.pixels, pixels[660:940, 460:740])
    with pytest.raises(GanpickError, match="its pixel size is not known"):
        small_part(picker(200.0), Micrograph(pixels, None, "bare"))


@pytest.mark.parametrize("wrong", [0.75, 1.33])
def test_a_wrong_diameter_is_made_up_for(scene: Scene, micrograph: Micrograph, wrong: float) -> None:
    given = picker(wrong * TRUE, min_distance=TRUE / 2)
    better = tuned(given, [micrograph])
    assert 0.75 < better.settings.working_diameter_angstrom / given.settings.diameter * wrong < 1.3
    f1 = [evaluate([(each.pick(micrograph), scene.centres, TRUE / PIXEL_SIZE / 4)]).f1 for each in (given, better)]
    assert f1[1] > f1[0] + 0.05
    assert f1[1] > 0.6


def test_distances_and_margins_follow_the_diameter_that_was_given(micrograph: Micrograph) -> None:
    better = tuned(Picker(PickSettings(diameter=1.3 * TRUE), "cpu"), [micrograph])
    assert better.settings.working_diameter_angstrom < 1.25 * TRUE
    assert better.settings.diameter == 1.3 * TRUE
    assert better.settings.min_distance_angstrom == 0.65 * TRUE
    picks, margin = better.pick(micrograph), 1.3 * TRUE / 8 / PIXEL_SIZE
    assert len(picks) > 20
    assert min(picks.x.min(), picks.y.min()) >= margin


def test_picker_without_a_choice_assumes_the_diameter_given(micrograph: Micrograph) -> None:
    alike = [picker(TRUE, working_diameter=value).pick(micrograph) for value in (None, TRUE)]
    np.testing.assert_array_equal(alike[0].xy, alike[1].xy)
    other = picker(TRUE, working_diameter=0.8 * TRUE).pick(micrograph)
    assert len(other) != len(alike[0]) or not np.array_equal(other.xy, alike[0].xy)


def test_a_number_and_the_papers_model_are_left_alone(micrograph: Micrograph) -> None:
    fixed = picker(TRUE, working_diameter=150.0)
    assert tuned(fixed, [micrograph]) is fixed
    assert with_working_diameter(fixed, []) is fixed
    paper = Picker(PickSettings(diameter=TRUE, model="paper"), "cpu")
    assert tuned(paper, [micrograph]) is paper
    assert with_working_diameter(paper, []) is paper


@pytest.mark.parametrize(
    ("value", "message"),
    [("wide", "'wide': give a number or auto"), (0.0, "0: give a positive"), (-3.0, "-3: give a positive")],
)
def test_what_is_no_diameter_is_refused(value: float | str, message: str) -> None:
    with pytest.raises(GanpickError, match=f"`working_diameter` {message}"):
        PickRequest(diameter=TRUE, working_diameter=value)


def test_micrographs_that_cannot_be_used_are_passed_over(tmp_path: Path) -> None:
    project = make_project(tmp_path, 1)
    (tmp_path / "broken.mrc").write_bytes(b"no micrograph")
    tasks = [Task(name, tmp_path / name) for name in ("broken.mrc", "gone.mrc")]
    good = Task(NAMES[0], project / NAMES[0])
    lines: list[str] = []
    given = picker(DIAMETER)
    with listening(lines.append, lines.append):
        assert with_working_diameter(given, tasks, tmp_path) is given
    assert lines == []
    assert not (tmp_path / WORKING_DIAMETER_FILE).exists()
    with listening(lines.append, lines.append):
        chosen = [with_working_diameter(given, each).settings for each in ([*tasks, good], [good])]
    assert chosen[0] == chosen[1]
    assert chosen[0].working_diameter is not None
    assert len(set(lines)) == 1
    assert " in 1 micrographs" in lines[0]


def test_where_there_is_nothing_yet_nothing_is_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(tmp_path, 1)
    task = Task(NAMES[0], project / NAMES[0])
    monkeypatch.setattr(working_diameter, "expected_particles", lambda _, __, assumed: np.full(len(assumed), 2.0))
    lines: list[str] = []
    with listening(lines.append, lines.append):
        assert with_working_diameter(picker(DIAMETER), [task], tmp_path).settings.working_diameter == DIAMETER
    assert lines == [f"working diameter {DIAMETER:g} A as given: 2 particles expected in 1 micrographs"]
    assert not (tmp_path / WORKING_DIAMETER_FILE).exists()


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """Project of three micrographs after a job on two of them that was given a diameter two thirds too large."""
    project = make_project(tmp_path_factory.mktemp("project"), 3)
    write_star(project / MICROGRAPHS_STAR, NAMES[:2])
    return project, run_here(project, *words())


def words(*more: str, diameter: float = GIVEN) -> list[str]:
    return arguments("--device", "cpu", *more, diameter=diameter)


def record(project: Path) -> dict[str, object]:
    content = json.loads((project / JOB / WORKING_DIAMETER_FILE).read_text())
    assert isinstance(content, dict)
    return content


def test_job_says_and_records_what_it_assumes(job: tuple[Path, Ended]) -> None:
    project, ended = job
    assert (ended.status, markers(project), ended.err) == (0, SUCCEEDED, "")
    found = record(project)
    assert found["diameter"] == pytest.approx(GIVEN)
    assert found["angstrom"] < 0.9 * GIVEN
    assert found["micrographs"] == NAMES[:2]
    assert len(found["assumed"]) == len(found["expected"]) == len(assumed_factors())
    said = re.search(
        rf"working diameter {found['angstrom']:g} A: (\d+) particles expected in 2 micrographs, (\d+) at ", ended.out
    )
    assert said is not None
    tried = [each for each in found["expected"] if each is not None]
    assert [int(each) for each in said.groups()] == pytest.approx([max(tried), found["expected"][4]], abs=1)
    picked = len((project / picks_of(NAMES[0])).read_text().splitlines())
    assert picked > 20


def test_job_picks_as_with_the_same_number_given(job: tuple[Path, Ended], tmp_path: Path) -> None:
    found = record(job[0])["angstrom"]
    project = make_project(tmp_path, 2)
    ended = run_here(project, *words("--working_diameter", f"{found:g}"))
    assert (ended.status, "working diameter" in ended.out) == (0, False)
    assert not (project / JOB / WORKING_DIAMETER_FILE).exists()
    for name in NAMES[:2]:
        picks = [(root / picks_of(name)).read_text().splitlines()[5:] for root in (project, job[0])]
        assert picks[0] == picks[1]


def test_continue_keeps_the_choice(job: tuple[Path, Ended]) -> None:
    project, _ = job
    before, found = snapshot(project), record(project)
    write_star(project / MICROGRAPHS_STAR, NAMES)
    ended = run_here(project, *words())
    assert (ended.status, markers(project)) == (0, SUCCEEDED)
    kept = f"working diameter {found['angstrom']:g} A, as chosen before (delete {JOB}{WORKING_DIAMETER_FILE} to choose it again)"
    assert kept in ended.out
    assert re.findall(r"^\[\d/3\] (\S+):", ended.out, re.MULTILINE) == [NAMES[2]]
    after = snapshot(project)
    same = [name for name in before if "mic00" in name or "mic01" in name or name.endswith(WORKING_DIAMETER_FILE)]
    assert len(same) >= 5
    assert {name: after[name] for name in same} == {name: before[name] for name in same}


def test_another_diameter_needs_another_choice(job: tuple[Path, Ended]) -> None:
    project, _ = job
    ended = run_here(project, *words(diameter=0.9 * DIAMETER))
    assert ended.status == 0
    assert "as chosen before" not in ended.out
    assert record(project)["diameter"] == 0.9 * DIAMETER


def test_another_pixel_size_needs_another_choice(tmp_path: Path) -> None:
    project = make_project(tmp_path, 1)
    tasks, lines = [Task(NAMES[0], project / NAMES[0])], []
    with listening(lines.append, lines.append):
        first = with_working_diameter(picker(GIVEN), tasks, tmp_path, pixel_size=2.0)
        again = with_working_diameter(picker(GIVEN), [], tmp_path, pixel_size=2.0)
    assert again.settings == first.settings
    assert "as chosen before" in lines[-1]
    other = with_working_diameter(picker(GIVEN), [], tmp_path, pixel_size=1.0)
    assert other.settings.working_diameter is None


def test_pick_command_leaves_no_choice_of_an_earlier_run(tmp_path: Path) -> None:
    project, out = make_project(tmp_path, 1), tmp_path / "picks"
    out.mkdir()
    (out / WORKING_DIAMETER_FILE).write_text('{"angstrom": 50}')
    given = ["--diameter", f"{DIAMETER:g}", "--working_diameter", f"{DIAMETER:g}", "--overlays", "0"]
    assert main(["pick", str(project / NAMES[0]), "--out", str(out), *given]) == 0
    assert not (out / WORKING_DIAMETER_FILE).exists()


def test_damaged_record_is_named(job: tuple[Path, Ended], tmp_path: Path) -> None:
    project = make_project(tmp_path, 1)
    for content in ("{", "[1]", '{"angstrom": 3}', '{"angstrom": "wide"}'):
        (project / JOB / WORKING_DIAMETER_FILE).write_text(content)
        ended = run_here(project, *words())
        assert (ended.status, markers(project)) == (1, FAILED)
        assert f"{JOB}{WORKING_DIAMETER_FILE}: damaged; delete it to choose the working diameter again" in ended.err
