"""What other programs make of our files, and what we make of theirs: RELION 3.1, Topaz, CryoSPARC's client."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from relion_ganpick.cli import main
from relion_ganpick.formats.exchange import read_picks_of

PLACES = [(100, 50), (300, 200), (41, 257)]
HEIGHT, WIDTH, BOX = 300, 400, 32
STAR = """
# version 30001

data_optics

loop_
_rlnOpticsGroupName #1
_rlnOpticsGroup #2
_rlnMicrographPixelSize #3
_rlnMicrographOriginalPixelSize #4
_rlnVoltage #5
_rlnSphericalAberration #6
_rlnAmplitudeContrast #7
opticsGroup1 1 2.5 2.5 300 2.7 0.1


# version 30001

data_micrographs

loop_
_rlnMicrographName #1
_rlnOpticsGroup #2
mic1.mrc 1

"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one micrograph, black but for one bright pixel at each place, and the places as CSV."""
    monkeypatch.chdir(tmp_path)
    pixels = np.zeros((HEIGHT, WIDTH), np.float32)
    for x, y in PLACES:
        pixels[y, x] = 1
    with mrcfile.new("mic1.mrc") as file:
        file.set_data(pixels)
        file.voxel_size = 2.5
    Path("micrographs.star").write_text(STAR)
    Path("csv").mkdir()
    Path("csv/mic1.csv").write_text("x,y,score\n" + "".join(f"{x},{y},{0.9 - k / 10}\n" for k, (x, y) in enumerate(PLACES)))
    return tmp_path


def convert(form: str, out: str, *words: str, source: str = "csv") -> None:
    known = ("--micrographs", "micrographs.star", "--diameter", "80")
    assert main(["convert", source, "--to", form, "--out", out, *known, *words]) == 0


@pytest.fixture(scope="session")
def topaz() -> Path:
    """The executable of Topaz: that of `make topaz`, or one on the path."""
    made = Path(__file__).parents[1] / ".venv-topaz/bin/topaz"
    found = str(made) if made.is_file() else shutil.which("topaz")
    if found is None:
        pytest.skip("Topaz is not installed (make topaz)")
    return Path(found)


@pytest.mark.relion
@pytest.mark.parametrize(("form", "suffix"), [("box", ".box"), ("star", "_autopick.star")])
def test_relion_cuts_out_what_lies_at_our_coordinates(project: Path, form: str, suffix: str) -> None:
    convert(form, "picks", "--relion_version", "3.1", *(("--box_px", str(BOX)) if form == "box" else ()))
    where = ["--i", "micrographs.star", "--coord_dir", "picks/", "--coord_suffix", suffix]
    what = ["--part_star", "particles.star", "--part_dir", "out/", "--extract", "--extract_size", str(BOX)]
    subprocess.run(["relion_preprocess", *where, *what], check=True, capture_output=True, timeout=120)
    with mrcfile.open("out/mic1.mrcs") as file:
        assert file.data.shape == (len(PLACES), BOX, BOX)
        for particle in file.data:
            assert np.unravel_index(particle.argmax(), particle.shape) == (BOX // 2, BOX // 2)
    (read,) = read_picks_of([Path("particles.star")])
    assert sorted(map(tuple, read.picks.xy.tolist())) == sorted(PLACES)


@pytest.mark.slow
def test_topaz_converts_our_files_and_we_read_what_it_makes(project: Path, topaz: Path) -> None:
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def run(*words: str) -> None:
        subprocess.run([topaz, "convert", *words], check=True, capture_output=True, timeout=300, env=env)

    convert("topaz", "ours.txt")
    run("ours.txt", "-o", "theirs.star")
    (found,) = read_picks_of([Path("theirs.star")])
    assert found.name == "mic1.mrc"
    assert found.picks.xy.tolist() == [list(map(float, each)) for each in PLACES]
    assert 1 / (1 + np.exp(-found.picks.score)) == pytest.approx([0.9, 0.8, 0.7], abs=1e-4)  # Topaz keeps its odds in STAR files
    for form, words in (("box", ("--boxsize", "60")), ("json", ())):
        Path(form).mkdir()
        run("ours.txt", "-o", f"{form}/", "--to", form, *words)
        (each,) = read_picks_of([Path(form)])
        assert each.stem == "mic1"
        assert each.picks.xy.tolist() == [list(map(float, place)) for place in PLACES]
    convert("box", "boxes", "--box_px", "60")
    run("boxes/mic1.box", "-o", "again.txt")
    (again,) = read_picks_of([Path("again.txt")])
    assert again.picks.xy.tolist() == found.picks.xy.tolist()
    assert not again.scored


def test_cryosparc_client_reads_our_dataset_and_we_read_what_it_saves(project: Path) -> None:
    dataset = pytest.importorskip("cryosparc.dataset").Dataset
    convert("cs", "ours.cs")
    table = dataset.load("ours.cs")
    assert list(table["location/micrograph_path"]) == ["mic1.mrc"] * len(PLACES)
    assert len(set(table["uid"])) == len(PLACES)
    x, y = np.array(PLACES).T
    np.testing.assert_allclose(table["location/center_x_frac"] * WIDTH, x, atol=1e-3)
    np.testing.assert_allclose(table["location/center_y_frac"] * HEIGHT, y, atol=1e-3)
    np.testing.assert_allclose(table["pick_stats/ncc_score"], [0.9, 0.8, 0.7], atol=1e-6)
    table.save("theirs.cs")
    (found,) = read_picks_of([Path("theirs.cs")])
    assert found.picks.xy.tolist() == [list(map(float, each)) for each in PLACES]
    assert found.picks.score.tolist() == [0.9, 0.8, 0.7]
    assert found.pixel_size == 2.5


def test_converted_picks_can_be_inspected_exported_and_evaluated(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from relion_ganpick.inspect.job import find_job
    from relion_ganpick.inspect.scores import read_scores, scored_picks

    convert("cbox", "cbox")
    convert("star", "picks", source="cbox")
    job = find_job(Path("picks"))
    assert job.names == ("mic1.mrc",)
    assert job.diameter == 80
    assert job.pixel_sizes == {"mic1.mrc": 2.5}
    assert len(scored_picks(job, 0)) == len(PLACES)
    assert read_scores(job).n_file.tolist() == [len(PLACES)]
    assert main(["export", "picks", "--to", "csv", "--out", "strict.csv", "--threshold", "0.75"]) == 0
    assert Path("strict.csv").read_text() == "micrograph,x,y,score\nmic1.mrc,100.0,50.0,0.9\nmic1.mrc,300.0,200.0,0.8\n"
    assert main(["evaluate", "--picks", "cbox", "--truth", "csv", "--diameter", "80", "--angpix", "2.5"]) == 0
    assert "best F1 1.000" in capsys.readouterr().out
    assert main(["export", "csv", "--to", "csv", "--out", "a.csv"]) == 1
    assert "take ganpick convert" in capsys.readouterr().err


def test_export_keeps_corrections_whatever_the_threshold(project: Path) -> None:
    convert("star", "picks")
    path = Path("picks/mic1_autopick.star")
    path.write_text(path.read_text().replace("0.700000", "0.710000"))  # somebody edits it
    assert main(["export", "picks", "--to", "csv", "--out", "a.csv", "--threshold", "0.75"]) == 0
    assert len(Path("a.csv").read_text().splitlines()) == 3
    lines = [line for line in path.read_text().splitlines() if not line.startswith("300")]
    path.write_text("\n".join(lines) + "\n")
    assert main(["export", "picks", "--to", "csv", "--out", "a.csv"]) == 0
    assert len(Path("a.csv").read_text().splitlines()) == 3
