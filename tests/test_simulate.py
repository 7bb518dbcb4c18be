"""Synthetic RELION projects: what is in the folder, and that it is true."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import cv2
import mrcfile
import numpy as np
import pytest
import starfile

from relion_ganpick.cli import main
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.relion.project import ProjectSettings, make_scenes, write_project

SMALL = ["--width", "300", "--height", "200", "--angpix", "6", "--clean"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulate") / "new" / "p"
    assert main(["simulate", "--out", str(folder), *SMALL, "--particles", "12", "--seed", "5", "--empty", "0.34"]) == 0
    return folder


def truth(project: Path, name: str) -> np.ndarray:
    with open(project / "truth" / f"{name}.csv") as lines:
        return np.array([(float(row["x"]), float(row["y"])) for row in csv.DictReader(lines)]).reshape(-1, 2)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_project_holds_what_relion_and_people_need(project: Path) -> None:
    names = {f"{name}.{end}" for name in ("mic001", "mic002", "mic003") for end in ("mrc", "star", "csv")}
    names = {f"{'Micrographs' if name.endswith('mrc') else 'truth'}/{name}" for name in names}
    assert set(contents(project)) == names | {"micrographs.star", "project.json", "default_pipeline.star"}
    content = json.loads((project / "project.json").read_text())
    assert (content["diameter"], content["angpix"], content["seed"], content["settings"]["particles"]) == (180, 6, 5, 12)


def test_real_structure_is_imaged_at_its_own_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--n", "1", "--width", "400", "--height", "300", "--angpix", "6", "--clean"]
    assert main(["simulate", "--out", str(tmp_path / "p"), *small, "--kind", "6zu5"]) == 0
    said = capsys.readouterr().out
    assert "Structure of the Paranosema locustae ribosome" in said
    diameter = json.loads((tmp_path / "p/project.json").read_text())["diameter"]
    assert f"--diameter {diameter:g}" in said
    assert 260 < diameter < 320
    assert len(truth(tmp_path / "p", "mic001")) > 3


def test_micrographs_are_float32_with_their_pixel_size(project: Path) -> None:
    with mrcfile.open(project / "Micrographs/mic001.mrc") as mrc:
        assert (mrc.data.shape, mrc.data.dtype) == ((200, 300), np.float32)
        assert float(mrc.voxel_size.x) == pytest.approx(6)
        assert np.isfinite(mrc.data).all()


def test_star_file_has_relion_31_blocks(project: Path) -> None:
    text = (project / "micrographs.star").read_text()
    assert text.split("\n")[1] == "# version 30001"
    assert "starfile" not in text
    blocks = starfile.read(project / "micrographs.star", always_dict=True)
    assert list(blocks) == ["optics", "micrographs"]
    assert list(blocks["micrographs"].rlnMicrographName) == [f"Micrographs/mic00{k}.mrc" for k in (1, 2, 3)]
    assert set(blocks["micrographs"].rlnOpticsGroup) == set(blocks["optics"].rlnOpticsGroup)
    assert (blocks["optics"].rlnMicrographPixelSize == 6).all()
    assert set(blocks["optics"].rlnVoltage) <= {200.0, 300.0}


def test_pipeline_starts_at_job_one(project: Path) -> None:
    pipeline = starfile.read(project / "default_pipeline.star", always_dict=True)
    assert pipeline == {"pipeline_general": {"rlnPipeLineJobCounter": 1}}


def test_star_and_csv_hold_the_same_truth(project: Path) -> None:
    table = starfile.read(project / "truth/mic001.star", always_dict=True)[""]
    np.testing.assert_allclose(table[["rlnCoordinateX", "rlnCoordinateY"]], truth(project, "mic001"), atol=0.001)
    assert (table.rlnAutopickFigureOfMerit == 1).all()


def test_particles_are_as_many_as_asked_for_and_the_last_micrograph_is_empty(project: Path) -> None:
    counts = [len(truth(project, f"mic00{k}")) for k in (1, 2, 3)]
    assert all(6 <= count <= 12 for count in counts[:2])
    assert counts[2] == 0


def test_particles_are_dark_at_the_true_coordinates_and_not_at_mirrored_ones() -> None:
    scene = next(make_scenes(ProjectSettings(n=1, width=300, height=200, angpix=6, kind="globule", clean=True)))
    assert len(scene.centres) > 8
    flat = cv2.GaussianBlur(scene.pixels, (0, 0), 4) - cv2.GaussianBlur(scene.pixels, (0, 0), 20)

    def depth(x: np.ndarray, y: np.ndarray) -> float:
        columns, rows = np.rint(x).astype(int), np.rint(y).astype(int)
        inside = (columns > 20) & (columns < 280) & (rows > 20) & (rows < 180)
        return float(flat[rows[inside], columns[inside]].mean() / flat.std())

    x, y = scene.centres.T
    assert depth(x, y) < -2
    assert depth(299 - x, y) > -0.5
    assert depth(x, 199 - y) > -0.5


def test_first_micrographs_have_areas_without_image_and_no_particles_in_them(tmp_path: Path, project: Path) -> None:
    words = [*SMALL, "--n", "8", "--particles", "12", "--seed", "5", "--blank", "0.75"]
    assert main(["simulate", "--out", str(tmp_path / "p"), *words]) == 0
    masks = {path.name: cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted((tmp_path / "p/truth").glob("*.png"))}
    assert [name[:6] for name in masks] == [f"mic00{k}" for k in range(1, 7)]
    shares = [np.mean(mask > 0) for mask in masks.values()]
    assert 0.05 <= min(shares) < 0.25 < max(shares) <= 0.6
    for name, mask in masks.items():
        pixels = mrcfile.read(tmp_path / "p/Micrographs" / f"{name[:6]}.mrc")
        assert mask.shape == pixels.shape
        x, y = np.rint(truth(tmp_path / "p", name[:6])).astype(int).T
        within = mask[np.clip(y, 0, 199), np.clip(x, 0, 299)] > 0
        assert within.mean() < 0.2  # those on the edge that are seen for the most part
        grain = np.abs(pixels - cv2.blur(pixels, (3, 3)))
        assert np.median(grain[mask > 0]) < 0.6 * np.median(grain[mask == 0])
    last = {end: (tmp_path / "p/truth" / f"mic008.{end}").is_file() for end in ("csv", "star")}
    assert all(last.values())
    without = next(make_scenes(ProjectSettings(n=1, width=300, height=200, angpix=6, clean=True, particles=12, seed=5)))
    np.testing.assert_array_equal(without.pixels, mrcfile.read(project / "Micrographs/mic001.mrc"))


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(project: Path, tmp_path: Path) -> None:
    words = [*SMALL, "--particles", "12", "--empty", "0.34"]
    assert main(["simulate", "--out", str(tmp_path / "same"), *words, "--seed", "5"]) == 0
    assert main(["simulate", "--out", str(tmp_path / "other"), *words, "--seed", "6"]) == 0
    assert contents(tmp_path / "same") == contents(project)
    assert contents(tmp_path / "other")["Micrographs/mic001.mrc"] != contents(project)["Micrographs/mic001.mrc"]


def test_more_micrographs_do_not_change_the_first_ones() -> None:
    few, many = (list(make_scenes(ProjectSettings(n=n, width=128, height=96, angpix=6))) for n in (1, 3))
    np.testing.assert_array_equal(few[0].pixels, many[0].pixels)
    assert not np.array_equal(many[0].pixels, many[1].pixels)


def test_full_folder_is_refused_and_left_alone(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(project)
    assert main(["simulate", "--out", str(project), *SMALL]) == 1
    assert capsys.readouterr().err.startswith(f"ganpick: {project}: exists and is not an empty folder; give another --out")
    assert contents(project) == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n": 0}, "--n 0: give at least 1"),
        ({"kind": "banana"}, "--kind banana: no such molecule; give a kind (globule"),
        ({"particles": 0}, "--particles 0: give at least 1"),
        ({"empty": 1.5}, "--empty 1.5: give a share"),
        ({"blank": -0.5}, "--blank -0.5: give a share"),
        ({"angpix": 0.0}, "--angpix 0: give a positive number"),
        ({"diameter": 5000.0}, "--diameter 5000 at --angpix 3 is 1666.7 pixels"),
        ({"diameter": float("nan")}, "--diameter nan"),
    ],
)
def test_senseless_settings_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(GanpickError) as error:
        ProjectSettings(**settings)  # type: ignore[arg-type]
    assert str(error.value).startswith(message)


def test_random_kind_and_contamination_make_a_project(tmp_path: Path) -> None:
    settings = ProjectSettings(n=1, width=200, height=161, angpix=6, kind="random", seed=3)
    made = list(write_project(settings, tmp_path / "p"))
    assert [path.name for path, _ in made] == ["mic001.mrc"]
    assert made[0][1] == len(truth(tmp_path / "p", "mic001")) > 0
    assert mrcfile.read(made[0][0]).shape == (161, 200)


@pytest.mark.relion
def test_relion_extracts_centred_particles_and_takes_the_folder_for_a_project(tmp_path: Path) -> None:
    root = tmp_path / "p"
    assert main(["simulate", "--out", str(root), "--n", "2", *SMALL, "--kind", "globule"]) == 0
    (root / "picks/Micrographs").mkdir(parents=True)
    for name in ("mic001", "mic002"):
        (root / f"truth/{name}.star").rename(root / f"picks/Micrographs/{name}_truth.star")
    where = ["--i", "micrographs.star", "--coord_dir", "picks/", "--coord_suffix", "_truth.star"]
    what = ["--part_star", "particles.star", "--part_dir", "x/", "--extract", "--extract_size", "48"]
    subprocess.run(["relion_preprocess", *where, *what], cwd=root, check=True, capture_output=True)
    particles = np.concatenate([mrcfile.read(root / f"x/Micrographs/{name}.mrcs") for name in ("mic001", "mic002")])
    assert len(particles) == len(truth(root, "mic001")) + len(truth(root, "mic002"))
    mean = cv2.GaussianBlur(particles.mean(axis=0), (0, 0), 2)
    np.testing.assert_allclose(np.unravel_index(mean.argmin(), mean.shape), (24, 24), atol=2)
    add = ["--addJob", "Import", "--addJobOptions", "do_raw == Yes;fn_in_raw == Micrographs/*.mrc"]
    subprocess.run(["relion_pipeliner", *add], cwd=root, check=True, capture_output=True)
    assert (root / "Import/job001/job.star").is_file()
