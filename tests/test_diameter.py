"""The particle diameter is found from the micrographs where the user gives none, and asked for where it cannot be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
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
    Ended,
    arguments,
    make_project,
    markers,
    picks_of,
    run_here,
    snapshot,
    write_mrc,
    write_star,
)

from relion_ganpick.cli import main
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.lines import listening
from relion_ganpick.core.micrograph import Micrograph
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.core.settings import PickRequest, PickSettings
from relion_ganpick.model.weights import load_model
from relion_ganpick.picking.auto_diameter import preferred, resolve_diameter
from relion_ganpick.picking.diameter import (
    SHAPE_ERROR,
    STEP,
    SURE,
    assumed_diameters,
    estimate_diameter,
    from_counts,
    make_pickers,
)
from relion_ganpick.picking.diameter_record import DIAMETER_FILE, read_record
from relion_ganpick.picking.stream import Task
from relion_ganpick.synthesis.scene import CLEAN, make_scene

AUTO = PickRequest(diameter="auto")
FIRST, ADDED = ["Micrographs/mic00.mrc", "Micrographs/mic01.mrc"], "Micrographs/mic02.mrc"


def hill(true: float, n_blocks: int = 4, height: float = 0.4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Candidates with counts that are densest at the true diameter, and areas of 100 square diameters in each block."""
    assumed = assumed_diameters()
    areas = np.full((n_blocks, len(assumed)), 100 * true**2)
    counts = np.round(100 * height * np.exp(-0.5 * (np.log(assumed / true) / 0.3) ** 2)) * np.ones((n_blocks, 1))
    return assumed, counts, areas


def at_all(counts: np.ndarray) -> np.ndarray:
    """The same counts at every figure of merit."""
    return np.repeat(counts[:, None], len(SURE), axis=1)


def micrographs(diameter: float, pixel_size: float, n: int = 2, across: int = 14) -> Iterator[Micrograph]:
    """Simulated micrographs of compact and hollow particles, as clear at the working scale whatever the pixel size."""
    side = int(across * diameter / pixel_size)
    contrast = 2.5 * PARTICLE_PX * pixel_size / diameter
    for number, kind in zip(range(n), ("dihedral", "globule", "shell"), strict=False):
        bounds: dict[str, Any] = {"diameter": (diameter, diameter), "contrast": (contrast, contrast), "area_density": (0.3, 0.3)}
        rng = np.random.default_rng((7, number))
        scene = make_scene((side, side), diameter / pixel_size, rng, replace(CLEAN, molecule=kind, **bounds))
        yield Micrograph(scene.pixels, pixel_size, f"mic{number}")


@pytest.mark.parametrize("true", [75.0, 130.0, 191.0, 400.0])
def test_densest_candidate_is_refined_between_the_steps(true: float) -> None:
    assumed, counts, areas = hill(true)
    found = from_counts(assumed, at_all(counts), areas)
    assert found.angstrom == pytest.approx(true, rel=0.03)
    assert found.spread == pytest.approx(SHAPE_ERROR, abs=1e-6)
    assert found.n_sure == pytest.approx(160, abs=8)
    assert found.assumed[int(np.argmax(found.density))] == pytest.approx(true, rel=STEP - 1)


def test_candidates_that_could_not_be_tried_do_not_count() -> None:
    assumed, counts, areas = hill(191.0)
    untried = assumed < 100
    counts[:, untried], areas[:, untried] = 0, 0
    found = from_counts(assumed, at_all(counts), areas)
    assert found.angstrom == pytest.approx(191, rel=0.03)
    assert min(found.assumed) >= 100


def test_subunits_that_are_picked_one_by_one_do_not_make_the_particle_small() -> None:
    assumed, counts, areas = hill(240.0)
    with_subunits = counts + 1.8 * np.roll(counts, -6, axis=1)
    assert with_subunits.sum(axis=0).argmax() == counts.sum(axis=0).argmax() - 6
    assert from_counts(assumed, at_all(with_subunits), areas).angstrom == pytest.approx(240, rel=0.05)


def test_spread_tells_how_far_the_blocks_are_apart() -> None:
    assumed, small, areas = hill(150.0)
    large = hill(190.0)[1]
    found = from_counts(assumed, at_all(np.vstack([small[:2], large[:2]])), areas)
    assert 150 < found.angstrom < 190
    assert SHAPE_ERROR + 0.01 < found.spread < 0.2


def test_the_surest_of_which_there_are_enough_decide() -> None:
    assumed, sure, areas = hill(240.0)
    unsure = hill(150.0)[1]
    counts = at_all(unsure)
    counts[:, 0] = sure
    assert from_counts(assumed, counts, areas).angstrom == pytest.approx(240, rel=0.03)
    assert from_counts(assumed, counts, areas).merit == SURE[0]
    at_the_end = hill(1000.0)[1]
    for useless in (0.2 * sure, at_the_end, np.vstack([hill(150.0)[1][:3], 1.5 * hill(500.0)[1][:1]])):
        counts[:, 0] = useless
        found = from_counts(assumed, counts, areas)
        assert found.angstrom == pytest.approx(150, rel=0.03)
        assert found.merit == SURE[1]


def test_a_level_that_just_has_enough_does_not_depend_on_one_block() -> None:
    assumed, counts, areas = hill(191.0, n_blocks=24)
    share = np.array([0.2] + [0.8 / 23] * 23)[:, None]
    nearest = assumed[counts[0].argmax()]
    just_enough = 101 * (191 / nearest) ** 2 * share * counts / counts.max()  # one for each hundred squares of that diameter
    assert from_counts(assumed, at_all(just_enough), 4 * areas).spread < 0.2


def test_an_estimate_is_by_heights() -> None:
    pickers = make_pickers(assumed_diameters(), AUTO, "cpu", None)
    assert pickers[0].model.rescorer is None
    assert pickers[0].model.card.calibration == load_model("default").card.heights != {}


def refused(assumed: np.ndarray, counts: np.ndarray, areas: np.ndarray) -> str:
    with pytest.raises(GanpickError, match="give `diameter` a number in Angstrom") as caught:
        from_counts(assumed, at_all(counts), areas)
    return str(caught.value)


def test_doubt_is_an_error_that_asks_for_a_number() -> None:
    assumed, counts, areas = hill(191.0)
    assert "too few particles stand out" in refused(assumed, 0.2 * counts, areas)
    assert "too few particles stand out" in refused(assumed, counts, 100 * areas)
    assert "the smallest fit best, so the true one may lie beyond" in refused(assumed[9:], counts[:, 9:], areas[:, 9:])
    assert "the largest fit best, so the true one may lie beyond" in refused(assumed[:9], counts[:, :9], areas[:, :9])
    assert "too small, or their pixels too large" in refused(assumed[8:12], counts[:, 8:12], areas[:, 8:12])
    apart = np.vstack([hill(150.0)[1][:3], 1.5 * hill(500.0)[1][:1]])
    assert "the micrographs disagree" in refused(assumed, apart, areas)


@pytest.mark.parametrize(("diameter", "pixel_size"), [(120.0, 5.0), (350.0, 17.5)])
def test_simulated_particles_are_measured(diameter: float, pixel_size: float) -> None:
    found = estimate_diameter(micrographs(diameter, pixel_size), AUTO, "cpu")
    assert found.angstrom == pytest.approx(diameter, rel=0.25)


def test_bright_particles_are_measured_when_contrast_says_so() -> None:
    dark = estimate_diameter(micrographs(120.0, 6.0), AUTO, "cpu")
    inverted = [Micrograph(-each.pixels, each.pixel_size, each.name) for each in micrographs(120.0, 6.0)]
    assert estimate_diameter(inverted, replace(AUTO, contrast="bright"), "cpu") == dark
    with pytest.raises(GanpickError, match=r"diameter auto: .*give `diameter` a number"):
        estimate_diameter(inverted, AUTO, "cpu")


def test_finer_pixels_change_nothing_but_the_time() -> None:
    coarse = list(micrographs(120.0, 6.0))
    fine = [Micrograph(np.kron(each.pixels, np.ones((4, 4), np.float32)), 1.5, each.name) for each in coarse]
    found, again = (estimate_diameter(each, AUTO, "cpu") for each in (coarse, fine))
    assert again.angstrom == pytest.approx(found.angstrom, rel=0.1)


def test_papers_model_cannot_tell() -> None:
    with pytest.raises(GanpickError, match=r"model paper is one of the paper's kind.*give `diameter` a number"):
        estimate_diameter([], PickRequest(diameter="auto", model="paper"), "cpu")


def test_unusable_micrographs_are_replaced_by_the_next(tmp_path: Path) -> None:
    lines: list[str] = []
    for each in micrographs(120.0, 6.0):
        write_mrc(tmp_path / f"{each.name}.mrc", each.pixels, 6.0)
    (tmp_path / "mic9.mrc").write_bytes(b"damaged")
    tasks = [Task(name, tmp_path / f"{name}.mrc") for name in ("mic9", "mic0", "mic1")]
    with listening(lines.append, lines.append):
        found = resolve_diameter(AUTO, tasks, "cpu", tmp_path)
    assert found.diameter == pytest.approx(120, rel=0.25)
    assert found == PickSettings(found.diameter)
    record = json.loads((tmp_path / DIAMETER_FILE).read_text())
    assert record["angstrom"] == found.diameter
    assert record["micrographs"] == ["mic0", "mic1"]
    assert "mic9.mrc: not an MRC file" in lines[0]
    said = r"give or take \d+ %, estimated from \d+ particles with a figure of merit above 0\.\d in 2 "
    assert re.match(rf"diameter {found.diameter:g} A, {said}", lines[1])
    with pytest.raises(GanpickError, match="no micrograph could be used: give `diameter` a number"):
        resolve_diameter(AUTO, tasks[:1], "cpu")
    assert resolve_diameter(AUTO, [], "cpu", tmp_path) == found
    with pytest.raises(GanpickError, match="no micrograph could be used"):  # at another pixel size it was another diameter
        resolve_diameter(AUTO, [], "cpu", tmp_path, pixel_size=3.0)


def test_pixels_far_too_fine_for_any_candidate_are_refused() -> None:
    noise = np.random.default_rng(4).normal(size=SHAPE).astype(np.float32)
    with pytest.raises(GanpickError, match="too small, or their pixels too large"):
        estimate_diameter([Micrograph(noise, 3e-4, "mic")], AUTO, "cpu")


def test_number_is_left_alone() -> None:
    request = PickRequest(diameter=150, threshold=0.3, working_diameter=140)
    assert resolve_diameter(request, [], "no such device") == PickSettings(150, 140, threshold=0.3)


def test_micrographs_are_chosen_evenly_and_all_of_them_in_the_end() -> None:
    assert preferred(0) == []
    assert preferred(2) == [0, 1]
    assert preferred(60)[:6] == [5, 15, 25, 35, 45, 55]
    assert preferred(60)[6:18] == [2, 7, 12, 17, 22, 27, 32, 37, 42, 47, 52, 57]
    assert sorted(preferred(60)) == list(range(60))


def test_a_picker_needs_a_number() -> None:
    with pytest.raises(GanpickError, match="`diameter` 'auto': give a positive number in Angstrom"):
        PickSettings("auto")  # type: ignore[arg-type]
    with pytest.raises(GanpickError, match="`diameter` 'large': give a number or auto"):
        PickRequest(diameter="large")


@pytest.fixture(scope="module")
def auto_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """Project of three micrographs after a job on the first two, with --diameter auto."""
    project = make_project(tmp_path_factory.mktemp("project"), 3)
    write_star(project / MICROGRAPHS_STAR, FIRST)
    return project, run_here(project, *auto())


def auto(*words: str) -> list[str]:
    return arguments("--diameter", "auto", "--device", "cpu", *words, diameter=None)


def test_external_job_estimates_prints_and_records_the_diameter(auto_run: tuple[Path, Ended]) -> None:
    project, ended = auto_run
    assert (ended.status, markers(project), ended.err) == (0, SUCCEEDED, "")
    found = read_record(project / JOB / DIAMETER_FILE)
    assert found == pytest.approx(DIAMETER, rel=0.25)
    assert f"diameter {found:g} A, give or take" in ended.out
    assert f", diameter {found:g} A\n" in ended.out
    circles = re.search(r"^diameter\s+(\S+)", (project / ".gui_manualpickjob.star").read_text(), re.MULTILINE)
    assert circles is not None
    assert float(circles[1]) == found


def test_estimate_is_as_good_as_the_same_number_given(auto_run: tuple[Path, Ended], tmp_path: Path) -> None:
    found = read_record(auto_run[0] / JOB / DIAMETER_FILE)
    project = make_project(tmp_path, 2)
    assert run_here(project, *arguments("--device", "cpu", diameter=found)).status == 0
    for name in FIRST:
        picks = [(root / picks_of(name)).read_text().splitlines()[5:] for root in (project, auto_run[0])]
        assert len(picks[0]) > 20
        assert picks[0] == picks[1]


def test_continue_keeps_the_diameter_for_new_micrographs(auto_run: tuple[Path, Ended]) -> None:
    project, _ = auto_run
    before, found = snapshot(project), read_record(project / JOB / DIAMETER_FILE)
    write_mrc(project / ADDED, np.zeros(SHAPE, np.float32) + np.random.default_rng(1).normal(size=SHAPE).astype(np.float32))
    write_star(project / MICROGRAPHS_STAR, [*FIRST, ADDED])
    ended = run_here(project, *auto())
    assert (ended.status, markers(project)) == (0, SUCCEEDED)
    assert f"diameter {found:g} A, as estimated before (delete {JOB}{DIAMETER_FILE} to estimate it again)" in ended.out
    assert re.findall(r"^\[\d/3\] (\S+):", ended.out, re.MULTILINE) == [ADDED]
    after = snapshot(project)
    kept = [name for name in before if "mic0" in name or name == DIAMETER_FILE]
    assert len(kept) >= 5
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def test_job_without_particles_asks_for_a_number(tmp_path: Path) -> None:
    project = make_project(tmp_path, 2)
    for number, name in enumerate(FIRST):
        write_mrc(project / name, np.random.default_rng(number).normal(size=SHAPE).astype(np.float32))
    ended = run_here(project, *auto())
    assert (ended.status, markers(project)) == (1, FAILED)
    assert "diameter auto: too few particles stand out at any diameter" in ended.err
    assert "give --diameter a number in Angstrom" in ended.err
    assert not (project / JOB / DIAMETER_FILE).exists()
    assert not (project / ".gui_manualpickjob.star").exists()


def test_damaged_record_is_named(tmp_path: Path) -> None:
    project = make_project(tmp_path, 2)
    for content in ("{", "[1]", '{"angstrom": -3}'):
        (project / JOB / DIAMETER_FILE).write_text(content)
        ended = run_here(project, *auto())
        assert (ended.status, markers(project)) == (1, FAILED)
        assert f"{JOB}{DIAMETER_FILE}: " in ended.err
        assert "delete it to estimate" in ended.err


def test_pick_command_estimates_anew_every_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make_project(tmp_path, 2)
    out = tmp_path / "picks"
    out.mkdir()
    (out / DIAMETER_FILE).write_text('{"angstrom": 50}')
    words = [str(project / name) for name in FIRST]
    assert main(["pick", *words, "--angpix", f"{PIXEL_SIZE:g}", "--out", str(out), "--diameter", "auto", "--overlays", "0"]) == 0
    found = read_record(out / DIAMETER_FILE)
    assert found == pytest.approx(DIAMETER, rel=0.25)
    assert re.search(rf"model default \w+, diameter {found:g} A", capsys.readouterr().out)
