"""One file of coordinates that cannot be read costs the commands one line; the others go on, and at the end is the count."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from relion_ganpick.cli import main
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.pick_files import digest, read_picks, write_picks
from relion_ganpick.formats.pick_lists import Listed, write_lists

DAMAGE: dict[str, Callable[[Path], object]] = {
    "half a row": lambda path: os.truncate(path, path.stat().st_size - 20),
    "last number cut": lambda path: os.truncate(path, path.stat().st_size - 5),
    "NUL bytes": lambda path: path.write_bytes(b"\0" * 900),
    "no table": lambda path: path.write_text("hello\n"),
    "no number": lambda path: path.write_text(path.read_text().replace("30.000000", "None")),
    "binary": lambda path: path.write_bytes(os.urandom(3000)),
}
N = 4


def places(k: int) -> Picks:
    """Five picks of micrograph k."""
    along = np.arange(5.0) * 50 + 30
    return Picks(along, along + k, np.full(5, 0.75))


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A folder with coordinate files of four micrographs, and their list."""
    folder = tmp_path / "job"
    rows = []
    for k in range(N):
        path = folder / f"mic{k}_autopick.star"
        write_picks(path, places(k), digest("s"))
        rows.append(Listed(f"Micrographs/mic{k}.mrc", str(path), 5, 0.75))
    write_lists(folder, rows)
    return folder


def damaged(job: Path, kind: str, k: int = 2) -> Path:
    path = job / f"mic{k}_autopick.star"
    DAMAGE[kind](path)
    return path


def said_once(path: Path, text: str) -> None:
    """Assert that one line names the file and the way out, and that the last one has the count."""
    lines = text.splitlines()
    about = [line for line in lines if path.name in line]
    assert len(about) == 1, text
    assert about[0].startswith("ganpick: ")
    assert about[0].endswith("; left out: mend it, or delete it")
    assert lines[-1] == "ganpick: WARNING: 1 file left out, as it cannot be read (see above)"


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("given", ["folder", "list", "files", "copies"])
def test_convert_goes_on(kind: str, given: str, job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = damaged(job, kind)
    if given == "copies":  # a folder of files without a list
        (job / "autopick.star").unlink()
    words = {"folder": [job], "copies": [job], "list": [job / "autopick.star"], "files": sorted(job.glob("mic*.star"))}[given]
    out = tmp_path / "all.csv"
    assert main(["convert", *map(str, words), "--to", "csv", "--out", str(out)]) == 0
    said_once(path, capsys.readouterr().err)
    with out.open() as file:
        rows = [(Path(row["micrograph"]).stem, float(row["x"]), float(row["y"])) for row in csv.DictReader(file)]
    expected = [(f"mic{k}", *map(float, place)) for k in range(N) if k != 2 for place in places(k).xy]
    assert sorted(rows) == sorted(expected)


@pytest.mark.parametrize("kind", ["no table", "binary", "NUL bytes"])
def test_convert_of_nothing_that_can_be_read_fails(kind: str, job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for k in range(N):
        damaged(job, kind, k)
    assert main(["convert", str(job), "--to", "csv", "--out", str(job / "all.csv")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == N + 1
    assert lines[-1] == "ganpick: no file of coordinates could be used: the lines above say why"
    assert not (job / "all.csv").exists()


def test_micrograph_whose_header_cannot_be_read_is_left_out(
    job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Micrographs").mkdir()
    (tmp_path / "Micrographs" / "mic1.mrc").write_bytes(b"nothing")
    assert main(["convert", str(job), "--to", "csv", "--out", "all.csv"]) == 0
    said = capsys.readouterr()
    assert said.out == "15 picks of 3 micrographs written to all.csv (CSV)\n"
    assert said.err.startswith("ganpick: Micrographs/mic1.mrc: not an MRC file")
    assert len(said.err.splitlines()) == 2


def test_export_goes_on(job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = damaged(job, "no number")
    assert main(["export", str(job), "--to", "csv", "--out", str(tmp_path / "all.csv")]) == 0
    said = capsys.readouterr()
    said_once(path, said.err)
    assert said.out.startswith("15 picks of 3 micrographs written")


def evaluated(picks: Path, truth: Path, tmp_path: Path) -> tuple[int, dict[str, object]]:
    out = tmp_path / "figures.json"
    words = ["--picks", str(picks), "--truth", str(truth), "--diameter", "40", "--angpix", "2", "--json", str(out)]
    status = main(["evaluate", *words])
    return status, json.loads(out.read_text()) if out.exists() else {}


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    folder = tmp_path / "truth"
    for k in range(N):
        write_picks(folder / f"mic{k}.star", places(k))
    return folder


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("side", ["picks", "truth"])
def test_micrograph_that_cannot_be_read_is_not_compared(
    kind: str, side: str, job: Path, truth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (job / "autopick.star").unlink()
    write_picks(job / "mic3_autopick.star", Picks.none())  # no picks: all five are missed
    path = job / "mic2_autopick.star" if side == "picks" else truth / "mic2.star"
    DAMAGE[kind](path)
    status, figures = evaluated(job, truth, tmp_path)
    assert status == 0
    assert figures["micrographs"].keys() == {"mic0", "mic1", "mic3"}  # type: ignore[attr-defined]
    pooled = figures["pooled"]
    assert (pooled["hits"], pooled["picks"], pooled["truth"]) == (10, 10, 15)  # type: ignore[index]
    said = capsys.readouterr().err
    said_once(path, said)
    assert "WARNING: 1 micrograph not compared, as picks or reference cannot be read" in said


def test_file_of_picks_that_names_no_micrograph_may_be_of_any_that_is_missing(
    job: Path, truth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in [job / "autopick.star", job / "mic2_autopick.star"]:
        path.unlink()
    (job / "extra.star").write_bytes(b"\0" * 500)
    status, figures = evaluated(job, truth, tmp_path)
    assert status == 0
    assert figures["pooled"]["truth"] == 15  # type: ignore[index]
    said_once(job / "extra.star", capsys.readouterr().err)


def test_nothing_to_compare_fails(job: Path, truth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (job / "autopick.star").unlink()
    for k in range(N):
        damaged(job, "binary", k)
    assert evaluated(job, truth, tmp_path) == (1, {})
    assert capsys.readouterr().err.splitlines()[-1] == "ganpick: no file of coordinates could be used: the lines above say why"


@pytest.mark.parametrize("kind", ["half a row", "no table", "NUL bytes"])
def test_merge_goes_on(kind: str, job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other"
    for k in range(N):
        write_picks(other / f"mic{k}.star", places(k))
    (job / "autopick.star").unlink()
    path = damaged(job, kind)
    out = tmp_path / "merged.csv"
    words = ["merge", str(job), str(other), "--to", "csv", "--out", str(out), "--distance", "20", "--angpix", "2"]
    assert main(words) == 0
    said_once(path, capsys.readouterr().err)
    with (tmp_path / "merged_sources.csv").open() as file:
        counts = [(row["micrograph"][:4], int(row["count"])) for row in csv.DictReader(file)]
    assert sorted(counts) == sorted((f"mic{k}", 1 if k == 2 else 2) for k in range(N) for _ in range(5))


def test_without_somebody_who_takes_faults_down_the_first_is_raised(job: Path) -> None:
    from relion_ganpick.core.errors import GanpickError
    from relion_ganpick.formats.any_coordinates import read_any

    path = damaged(job, "last number cut")
    assert len(read_picks(path)) == 5  # looks whole
    (job / "autopick.star").unlink()
    with pytest.raises(GanpickError, match=r"mic2_autopick\.star: is cut off, as a crash leaves it"):
        read_any([job])


def test_check_orientation_goes_on(job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (job / "autopick.star").unlink()
    path = damaged(job, "binary")
    assert main(["check-orientation", str(tmp_path / "other.mrc"), "--coordinates", str(job), "--diameter", "40"]) == 1
    said = capsys.readouterr().err.splitlines()
    said_once(path, "\n".join(said[:-1]))
    assert said[-1].startswith("ganpick: none of the micrographs has coordinates")
