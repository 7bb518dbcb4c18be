"""Learning from particles that a user has kept: what is read, what is learned, and what a job and a command do with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from relion_ganpick.adaptation.approved import approved_once, learn_approved
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.evaluate import average_precision
from relion_ganpick.core.micrograph import read_micrograph
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.formats.approved import Approved, read_approved
from relion_ganpick.model.weights import load_model, save_model
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Task

DIAMETER, PIXEL, SIDE = 96.0, 3.0, 576


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A micrograph of dark rings, which the model likes best, and dark blobs; returns it with the centres of the blobs."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(size=(SIDE, SIDE)).astype(np.float32)
    reach = int(DIAMETER / PIXEL)
    yy, xx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    away = np.hypot(xx, yy) / (reach / 2)
    ring, blob = 1.2 * np.exp(-((away - 0.8) ** 2) / 0.02), 1.6 * np.exp(-(away**2) / 0.15)
    centres = []
    for x in range(reach + 10, SIDE - reach - 10, 2 * reach):
        for y in range(reach + 10, SIDE - reach - 10, 2 * reach):
            is_blob = rng.random() < 0.5
            pixels[y - reach : y + reach + 1, x - reach : x + reach + 1] -= (blob if is_blob else ring).astype(np.float32)
            if is_blob:
                centres.append((x, y))
    return pixels, np.array(centres, float)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    for number in range(3):
        pixels, centres = scene(number)
        with mrcfile.new(root / f"mic{number}.mrc") as file:
            file.set_data(pixels)
            file.voxel_size = PIXEL
        np.save(root / f"mic{number}.npy", centres)
    return root


@pytest.fixture(scope="module")
def picker() -> Picker:
    return Picker(PickSettings(DIAMETER), "cpu")


def tasks(project: Path, *numbers: int) -> list[Task]:
    return [Task(f"mic{k}.mrc", project / f"mic{k}.mrc", PIXEL) for k in numbers]


def approved(project: Path, share: float, *numbers: int) -> Approved:
    rng = np.random.default_rng(1)
    points = {f"mic{k}": np.load(project / f"mic{k}.npy") for k in numbers}
    points = {stem: xy[rng.random(len(xy)) < share] for stem, xy in points.items()}
    return Approved(project / "particles.star", points, {stem: np.zeros_like(xy) for stem, xy in points.items()})


def precision(picker: Picker, project: Path, number: int) -> float:
    found = picker.score(read_micrograph(project / f"mic{number}.mrc"))
    return average_precision([(found, np.load(project / f"mic{number}.npy"), DIAMETER / PIXEL / 4)])


def test_what_was_learned_on_some_micrographs_holds_on_another(project: Path, picker: Picker, tmp_path: Path) -> None:
    learned = learn_approved(picker, tasks(project, 0, 1), approved(project, 0.8, 0, 1))
    assert learned.model is not None
    assert "approved particles in 2 micrographs are found again" in learned.text
    path = save_model(learned.model, tmp_path)
    assert path.name == "default-approved.safetensors"
    other = Picker(PickSettings(DIAMETER, model=str(path)), "cpu")
    assert other.threshold == learned.model.card.threshold != picker.threshold
    assert other.model.card.sha256 != picker.model.card.sha256
    before, after = precision(picker, project, 2), precision(other, project, 2)
    assert after > before + 0.2
    kept = other.pick(read_micrograph(project / "mic2.mrc"))
    assert kept == Picker(replace(other.settings), "cpu", load_model(str(path))).pick(read_micrograph(project / "mic2.mrc"))
    assert (kept.score >= other.threshold).all()


def test_a_decision_holds_until_the_particles_change(project: Path, picker: Picker, tmp_path: Path) -> None:
    known = approved(project, 0.8, 0, 1)
    known.path.write_text("first")
    first = approved_once(picker, tasks(project, 0, 1), known, tmp_path, PIXEL)
    assert first is not picker.model
    again = approved_once(picker, [], known, tmp_path, PIXEL)
    assert again.card.sha256 == first.card.sha256
    known.path.write_text("second")
    with pytest.raises(GanpickError, match="none of its particles"):
        approved_once(picker, [], known, tmp_path, PIXEL)


def test_too_few_or_foreign_particles_are_refused(project: Path, picker: Picker) -> None:
    with pytest.raises(GanpickError, match="too few to learn from"):
        learn_approved(picker, tasks(project, 0), approved(project, 0.1, 0))
    foreign = Approved(Path("x.star"), {"else": np.ones((50, 2))}, {"else": np.zeros((50, 2))})
    with pytest.raises(GanpickError, match=r"x\.star: none of its particles"):
        learn_approved(picker, tasks(project, 0), foreign)


PARTICLES_STAR = """
data_optics

loop_
_rlnOpticsGroup #1
_rlnImagePixelSize #2
1 4.0

data_particles

loop_
_rlnCoordinateX #1
_rlnCoordinateY #2
_rlnMicrographName #3
_rlnOriginXAngst #4
_rlnOriginYAngst #5
100.5 200 MotionCorr/job002/mic_1.mrc 3.0 -6.0
10 20 MotionCorr/job002/mic_10.mrc 0 0

"""


def test_particles_of_relion_are_where_they_were_found_centred(tmp_path: Path) -> None:
    (tmp_path / "particles.star").write_text(PARTICLES_STAR)
    found = read_approved(tmp_path / "particles.star")
    assert len(found) == 2
    assert found.of("mic_1", 1.5).tolist() == [[98.5, 204.0]]
    assert found.of("mic_10", 1.5).tolist() == [[10, 20]]
    assert found.of("mic_2", 1.5).shape == (0, 2)


def test_particles_of_cryosparc_are_read(tmp_path: Path) -> None:
    kind = [("location/micrograph_path", "S40"), ("location/micrograph_shape", "<u4", (2,))]
    kind += [("location/center_x_frac", "<f4"), ("location/center_y_frac", "<f4")]  # type: ignore[list-item]
    table = np.array([("J1/m/0012_mic7_patch.mrc", (300, 400), 0.25, 0.5)], kind)
    with (tmp_path / "selected.cs").open("wb") as out:
        np.save(out, table)
    assert read_approved(tmp_path / "selected.cs").of("mic7", 1.0).tolist() == [[100, 150]]


def test_file_without_particles_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.star").write_text("data_\n\nloop_\n_rlnMicrographName #1\nmic.mrc\n\n")
    with pytest.raises(GanpickError, match="has no column rlnCoordinateX"):
        read_approved(tmp_path / "a.star")
    (tmp_path / "a.csv").write_text("x,y\n")
    with pytest.raises(GanpickError, match="holds no particles"):
        read_approved(tmp_path / "a.csv")
