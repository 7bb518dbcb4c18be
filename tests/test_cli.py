"""The command ``ganpick``, called as a user calls it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import starfile

from relion_ganpick.cli import main
from relion_ganpick.version import __version__

SCALE = ["--diameter", "180", "--angpix", "6"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project") / "p"
    size = ["--width", "640", "--height", "480", "--angpix", "6"]
    assert main(["simulate", "--out", str(folder), "--n", "3", "--clean", "--empty", "0.3", *size]) == 0
    return folder


@pytest.fixture(scope="module")
def picked(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("picked")
    assert main(["pick", *micrographs(project), *SCALE, "--out", str(folder), "--device", "cpu", "--overlays", "2"]) == 0
    return folder


def micrographs(project: Path) -> list[str]:
    return sorted(map(str, (project / "Micrographs").glob("*.mrc")))


def coordinates(path: Path) -> np.ndarray:
    table = starfile.read(path, always_dict=True)[""]
    return table[["rlnCoordinateX", "rlnCoordinateY", "rlnAutopickFigureOfMerit"]].to_numpy(float).reshape(-1, 3)


@pytest.mark.parametrize(
    "words", [["--version"], ["--help"], *([name, "--help"] for name in ("pick", "simulate", "evaluate", "train", "models"))]
)
def test_version_and_help_answer_without_torch(words: list[str]) -> None:
    code = f"import sys\nfrom relion_ganpick.cli import main\ntry: main({words})\nfinally: assert 'torch' not in sys.modules"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.startswith(f"ganpick {__version__}\n" if words == ["--version"] else "usage: ganpick")


def test_shortened_options_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["pick", "a.mrc", "--out", "x", "--diam", "180"])
    assert "--diam" in capsys.readouterr().err


def test_missing_diameter_is_one_line_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pick", "a.mrc", "--out", str(tmp_path / "x")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("ganpick: the particle diameter is missing: give --diameter")
    assert error.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_picks_of_simulated_micrographs_are_right(project: Path, picked: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    words = ["evaluate", "--picks", str(picked), "--truth", str(project / "truth"), *SCALE, "--json", str(report)]
    assert main(words) == 0
    figures = json.loads(report.read_text())
    assert list(figures["micrographs"]) == ["mic001", "mic002", "mic003"]
    assert figures["pooled"]["truth"] > 100
    assert figures["pooled"]["f1"] > 0.8
    assert figures["pooled"]["average_precision"] > 0.7


def test_pick_writes_relion_columns_and_some_overlays(picked: Path) -> None:
    names = {path.name for path in picked.iterdir()}
    each = {f"mic00{k}_{ending}" for k in (1, 2, 3) for ending in ("autopick.star", "picks.json")}
    lists = {"autopick.star", "summary.star", "report.html", "logfile.pdf", "working_diameter.json", "evidence.json"}
    assert names == {*each, *lists, "overlays", ".ganpick"}
    table = starfile.read(picked / "mic001_autopick.star", always_dict=True)[""]
    columns = ["CoordinateX", "CoordinateY", "AutopickFigureOfMerit", "ClassNumber", "AnglePsi"]
    assert list(table) == [f"rln{name}" for name in columns]
    assert table.rlnCoordinateX.between(0, 639).all()
    assert table.rlnCoordinateY.between(0, 479).all()
    assert sorted(path.name for path in (picked / "overlays").iterdir()) == ["mic001.png", "mic003.png"]


def test_pick_prints_device_a_line_per_micrograph_and_the_summary(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = micrographs(project)
    assert main(["pick", *files, *SCALE, "--out", str(tmp_path), "--device", "cpu", "--overlays", "0", "--page", "no"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines.pop(0) == "pixel size 6 A, as given"
    assert re.fullmatch(r"ganpick \S+ on cpu \(\w+\), 1 threads, model default \w+, diameter 180 A", lines[0])
    assert re.fullmatch(r"working diameter \S+ A.*: \d+ particles expected in 3 micrographs.*", lines.pop(1))
    assert re.fullmatch(r"evidence of 3 micrographs: cut at 0\.\d+: \d+ candidates above it, .*", lines.pop(1))
    counts = [len(coordinates(path)) for path in sorted(tmp_path.glob("*_autopick.star"))]
    wanted = [f"[{k}/3] {f}: {n} picks" for k, (f, n) in enumerate(zip(files, counts, strict=True), 1)]
    assert [line.rpartition(" (")[0] for line in lines[1:4]] == wanted
    assert lines[4].startswith("picks left at a threshold of")
    assert lines[-1].startswith(f"{sum(counts)} picks at threshold ")
    assert not (tmp_path / "overlays").exists()


def test_threshold_only_filters(project: Path, picked: Path, tmp_path: Path) -> None:
    words = ["pick", micrographs(project)[0], *SCALE, "--device", "cpu", "--overlays", "0", "--page", "no"]
    assert main([*words, "--threshold", "0", "--out", str(tmp_path / "all")]) == 0
    every = coordinates(tmp_path / "all" / "mic001_autopick.star")
    middle = float(np.median(every[:, 2]))
    assert main([*words, "--threshold", str(middle), "--out", str(tmp_path / "few")]) == 0
    few = coordinates(tmp_path / "few" / "mic001_autopick.star")
    assert 0 < len(few) < len(every)
    np.testing.assert_array_equal(few, every[every[:, 2] >= middle])
    assert main([*words, "--threshold", "0", "--best", "40%", "--out", str(tmp_path / "best")]) == 0
    np.testing.assert_array_equal(coordinates(tmp_path / "best" / "mic001_autopick.star"), every[: -(-4 * len(every) // 10)])


def test_inverted_micrograph_gives_the_same_picks_as_bright(project: Path, picked: Path, tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "mic001.mrc") as mrc:
        mrc.set_data(-mrcfile.read(micrographs(project)[0]))
    chosen = json.loads((picked / "working_diameter.json").read_text())["angstrom"]
    words = [*SCALE, "--device", "cpu", "--overlays", "1", "--working_diameter", f"{chosen:g}"]
    bright = [str(tmp_path / "mic001.mrc"), "--contrast", "bright"]
    assert main(["pick", *bright, *words, "--out", str(tmp_path / "inverted")]) == 0
    assert main(["pick", micrographs(project)[0], *words, "--out", str(tmp_path / "dark")]) == 0
    inverted, dark = (coordinates(tmp_path / name / "mic001_autopick.star") for name in ("inverted", "dark"))
    assert len(dark) > 50
    np.testing.assert_array_equal(inverted, dark)


def test_equal_stems_are_refused_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pick", "a/mic1.mrc", "b/mic1.mrc", *SCALE, "--out", str(tmp_path / "x")]) == 1
    error = capsys.readouterr().err
    assert "a/mic1.mrc and b/mic1.mrc would both write" in error
    assert not (tmp_path / "x").exists()


def test_bad_micrograph_is_named_and_the_others_are_picked(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.mrc"
    bad.write_bytes(b"nothing")
    out = tmp_path / "out"
    assert main(["pick", str(bad), micrographs(project)[0], *SCALE, "--out", str(out), "--device", "cpu"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert str(bad) in errors[0]
    assert errors[-1] == "ganpick: 1 of 2 micrographs could not be used (see above)"
    assert [path.name for path in out.glob("*_autopick.star")] == ["mic001_autopick.star"]


def test_model_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pick", "a.mrc", *SCALE, "--out", str(tmp_path), "--model", "nonesuch"]) == 3
    assert capsys.readouterr().err.startswith("ganpick: no model 'nonesuch'")


def evaluate(folder: Path, *more: str) -> dict[str, dict[str, float]]:
    report = folder / "report.json"
    words = ["--diameter", "100", "--angpix", "2", "--json", str(report), *more]
    assert main(["evaluate", "--picks", str(folder / "picks"), "--truth", str(folder / "truth"), *words]) == 0
    content: dict[str, dict[str, float]] = json.loads(report.read_text())
    return content


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Two micrographs, tolerance 12.5 pixels: a has 2 right picks and 1 wrong one, b has no picks at all."""
    for name, text in {
        "picks/a.csv": "x,y,score\n10,10,0.9\n102,100,0.6\n300,300,0.3\n",
        "truth/a.csv": "x,y,kind\n10,20,particle\n100,100,particle\n320,310,ignore\n",
        "truth/b.csv": "x,y\n50,50\n60,200\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_evaluate_pools_counts_and_skips_ignored_places(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = evaluate(tables)
    assert report["pooled"] == {
        "hits": 2, "picks": 2, "truth": 4, "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "average_precision": 0.5,
    }  # fmt: skip
    assert capsys.readouterr().out.splitlines()[3].split() == ["pooled", "4", "2", "1.000", "0.500", "0.667"]


def test_evaluate_counts_all_picks_where_nothing_is_ignored(tables: Path) -> None:
    (tables / "truth/a.csv").write_text("x,y\n10,20\n100,100\n")
    assert evaluate(tables)["pooled"]["precision"] == pytest.approx(2 / 3)
    assert evaluate(tables)["best"]["precision"] == 1.0
    assert evaluate(tables, "--threshold", "0.7")["pooled"]["picks"] == 1
    assert evaluate(tables, "--tolerance", "0.1")["pooled"]["hits"] == 1


def test_evaluate_names_picks_without_reference(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tables / "picks/c_autopick.csv").write_text("x,y\n1,2\n")
    words = ["evaluate", "--picks", str(tables / "picks"), "--truth", str(tables / "truth"), "--diameter", "100", "--angpix", "2"]
    assert main(words) == 1
    assert capsys.readouterr().err.startswith(f"ganpick: {tables}/picks/c_autopick.csv: no reference for micrograph c;")


def test_evaluate_refuses_a_negative_tolerance(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--truth", str(tables), "--picks", str(tables), "--diameter", "100", "--angpix", "2", "--tolerance", "-1"]
    assert main(["evaluate", *words]) == 1
    assert capsys.readouterr().err == "ganpick: --tolerance -1: give a positive number\n"


@pytest.mark.parametrize("command", ["pick", "watch"])
@pytest.mark.parametrize("option", ["--approved", "--approved=particles.star", "--adapt"])
def test_who_wants_to_learn_is_sent_to_adapt(command: str, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "mic.mrc", "--out", "picks", "--diameter", "100", option])
    assert ended.value.code == 2
    name = option.partition("=")[0]
    assert f"{name} is not an option of this command: learn first, with ganpick adapt" in capsys.readouterr().err
