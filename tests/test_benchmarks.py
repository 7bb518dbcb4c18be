"""How the benchmarks call other programs, measure, mix sets, draw particles, and gather tables."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import mrcfile
import numpy as np
import pytest

from relion_ganpick.core.evaluate import Figures
from relion_ganpick.core.picks import Picks

Load = Callable[[str], ModuleType]


def some_picks(*rows: tuple[float, float, float]) -> Picks:
    x, y, score = np.array(rows, float).reshape(-1, 3).T
    return Picks(x, y, score)


class Counting:
    """A program that finds one particle on each micrograph, and counts the micrographs that it gets."""

    def __init__(self, word: str = "a") -> None:
        self.word, self.seen = word, 0

    def options(self, pixel_size: float) -> list[str]:
        return [self.word]

    def pick(self, paths: Sequence[Path], pixel_size: float, folder: Path) -> tuple[dict[Path, Picks], Any]:
        self.seen += len(paths)
        return {path: some_picks((1.0, 2.0, -0.5)) for path in paths}, None


def make_set(folder: Path, truth: Sequence[tuple[float, float]], micrographs: int = 2) -> None:
    """Write a small set of equal micrographs."""
    (folder / "Micrographs").mkdir(parents=True)
    (folder / "truth").mkdir()
    for k in range(micrographs):
        mrcfile.write(folder / "Micrographs" / f"{folder.name}{k}.mrc", np.full((40, 60), k, np.float32))
        rows = "".join(f"{x},{y}\n" for x, y in truth)
        (folder / "truth" / f"{folder.name}{k}.csv").write_text(f"x,y\n{rows}")
    (folder / "set.json").write_text(json.dumps({"name": folder.name, "diameter": 40.0, "angpix": 4.0}))


def test_seconds_of_the_processor_are_those_of_the_whole_family(load: Load, tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    family = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); print('done')"
    cost, said = load("measure").run([sys.executable, "-c", family], tmp_path)
    assert said == "done\n"
    assert 0.3 <= cost.cpu < 3
    assert cost.wall > 0.3
    assert 0.003 < cost.peak < 1


def test_memory_is_the_programs_own_and_not_that_of_the_benchmark(load: Load, tmp_path: Path) -> None:
    held = np.ones(2**25)  # 0.25 GiB
    small, _ = load("measure").run([sys.executable, "-c", "pass"], tmp_path)
    grows = "import os; os.wait() if os.fork() else b'a' * 2**27"
    family, _ = load("measure").run([sys.executable, "-c", grows], tmp_path)
    assert small.peak < held.nbytes / 2**30 / 4
    assert 0.125 < family.peak < 0.2


def test_a_program_that_a_signal_ends_is_reported(load: Load, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="ended with -9"):
        load("measure").run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], tmp_path)


def test_a_program_that_fails_is_reported_with_its_last_words(load: Load, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"ended with 3 .*\n.*no such lens"):
        load("measure").run([sys.executable, "-c", "print('no such lens'); raise SystemExit(3)"], tmp_path)
    with pytest.raises(SystemExit, match="there is no such program"):
        load("measure").run(["ganpick-nonesuch"], tmp_path)


@pytest.mark.relion
def test_log_is_called_with_the_words_of_relions_window(load: Load, tmp_path: Path) -> None:
    (tmp_path / "default_pipeline.star").write_text("\n# version 30001\n\ndata_pipeline_general\n\n_rlnPipeLineJobCounter 1\n \n")
    load("stage").write_list(tmp_path / "micrographs.star", ["none.mrc"], 2.0, load("stage").Optics())
    options = "fn_input_autopick == micrographs.star;do_log == Yes;log_diam_min == 170;log_diam_max == 230;nr_mpi == 1"
    for words in (["--addJob", "AutoPick", "--addJobOptions", options], ["--RunJobs", "AutoPick/job001/", "--schedule", "s"]):
        subprocess.run(["relion_pipeliner", *words], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    window = (tmp_path / "AutoPick" / "job001" / "note.txt").read_text()
    window = next(line for line in window.splitlines() if "--LoG" in line)
    ours = load("programs").LoG(200.0, below=0.85, above=1.15).command()
    assert window.split()[2:] == ours[1:]


@pytest.mark.parametrize(
    ("pixel_size", "scale", "radius"), [(1.77, 5, 11), (1.5, 5, 13), (3.32, 2, 15), (5.36, 2, 9), (8.0, 1, 12), (18.5, 1, 5)]
)
def test_topaz_gets_the_pixel_that_it_advises(load: Load, pixel_size: float, scale: int, radius: int) -> None:
    topaz = load("programs").Topaz(200.0 if pixel_size != 1.5 else 195.0, "topaz")
    assert (topaz.scale(pixel_size), topaz.radius(pixel_size)) == (scale, radius)
    preprocess, extract = topaz.commands(pixel_size, ["Micrographs/a.mrc"])
    assert preprocess[:4] == ["topaz", "preprocess", "-s", str(scale)]
    assert preprocess[-1] == "Micrographs/a.mrc"
    assert extract[1:8] == ["extract", "-m", "resnet16", "-r", str(radius), "-x", str(scale)]
    assert extract[-1] == "small/a.mrc"


def test_topaz_picks_are_read_by_micrograph_best_first(load: Load, tmp_path: Path) -> None:
    table = "image_name\tx_coord\ty_coord\tscore\n007\t10\t20\t-1.5\n007\t30\t40\t2.5\nb\t5\t6\t0.0\n"
    (tmp_path / "picks.txt").write_text(table)
    found = load("programs").read_topaz(tmp_path / "picks.txt")
    assert sorted(found) == ["007", "b"]
    assert found["007"].xy.tolist() == [[30, 40], [10, 20]]
    assert found["007"].score.tolist() == [2.5, -1.5]


def test_what_another_program_found_is_kept_by_content_and_options(load: Load, tmp_path: Path) -> None:
    kept = load("programs").Kept(tmp_path / "kept")
    paths = [tmp_path / "a.mrc", tmp_path / "b.mrc"]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]))
    program = Counting()
    first = kept.pick(program, paths, 2.0)
    again = kept.pick(program, paths, 2.0)
    assert program.seen == 2
    assert again[paths[1]].xy.tolist() == first[paths[1]].xy.tolist() == [[1.0, 2.0]]
    assert again[paths[1]].score.tolist() == [-0.5]
    paths[1].write_bytes(b"other")
    kept.pick(program, paths, 2.0)
    assert program.seen == 3
    kept.pick(program, paths, 2.5)
    assert program.seen == 5
    other = Counting("b")
    kept.pick(other, paths, 2.0)
    assert other.seen == 2


def test_seconds_beyond_the_most_follow_a_line(load: Load) -> None:
    throughput, cost = load("throughput"), load("measure").Cost
    runs: list[int] = []

    def way(paths: Sequence[Path]) -> Any:
        runs.append(len(paths))
        return cost(10 + 3.0 * len(paths), 20 + 4.0 * len(paths), 1.5)

    found = throughput.measured("Topaz", way, [Path()] * 100, [4, 100], most=8)
    assert runs == [4, 2, 8]
    assert [(each.n, each.scaled) for each in found] == [(4, False), (100, True)]
    assert found[1].cost == cost(pytest.approx(310), pytest.approx(420), 1.5)
    assert found[1].line().split()[2:] == ["~", "310.0", "~", "420.0", "~", "3.10", "~", "4.20", "1.50"]


def test_a_mixed_job_counts_picks_on_negatives_as_false(load: Load, tmp_path: Path) -> None:
    every_set, sets = load("every_set"), load("sets")
    make_set(tmp_path / "full", [(10.0, 10.0), (40.0, 20.0)])
    make_set(tmp_path / "none", [], micrographs=3)
    none, full = sorted(sets.real_sets(tmp_path), key=lambda each: len(each.truth["full0"].picks) if each.name == "full" else 0)
    negatives = every_set.resampled([none], full.pixel_size, tmp_path / "resampled")
    shown: list[Any] = []

    def find(given: Any) -> Any:
        shown.append(given)
        found = {path: some_picks((10, 10, 0.9), (41, 20, 0.8)) for path in given.paths}
        return found, found

    mixed = every_set.mixed(full, negatives, "ganpick", find)
    assert mixed.negatives == 2
    assert mixed.expected == pytest.approx(3.4)
    assert mixed.f1 == pytest.approx(2 * 0.4 * 1 / 1.4)
    assert len(shown[0].paths) == 5
    assert list(shown[0].paths) != [*full.paths, *negatives]
    alone = every_set.alone(full, "ganpick", find)
    assert load("scoring").figures(alone)["F1"] == 1


def test_resampled_micrographs_keep_their_size_in_angstrom_and_their_mean(load: Load, tmp_path: Path) -> None:
    make_set(tmp_path / "sets" / "none", [], micrographs=2)
    real = load("sets").real_sets(tmp_path / "sets")
    for pixel_size, shape in ((2.0, (80, 120)), (8.0, (20, 30))):
        written = load("every_set").resampled(real, pixel_size, tmp_path / f"{pixel_size}")
        with mrcfile.open(written[1]) as mrc:
            assert mrc.data.shape == shape
            assert mrc.data.mean() == pytest.approx(1)
            assert float(mrc.voxel_size.x) == pixel_size


def test_the_table_of_all_sets_has_a_line_for_each(load: Load) -> None:
    every_set = load("every_set")
    values = {"F1": 0.5, "best": 0.625, "truth": 20, "exp": 12.4, "/mic": 3.0}
    full = every_set.Entry("full", 2, {"ganpick": values, "LoG": values}, {"ganpick": every_set.Mixed(0.25, 1.5, 10.0)})
    empty = every_set.Entry("empty", 4, {"ganpick": values | {"truth": 0}})
    lines = every_set.table([full, empty]).splitlines()
    assert lines[0] == (
        "| set | micrographs | particles | expected | ganpick | LoG | mixed: ganpick | on each negative: ganpick |"
    )
    assert lines[2] == "| full | 2 | 20 | 12 | 0.500 (0.625) | 0.500 (0.625) | 0.250 | 1.5 |"
    assert lines[3] == "| empty | 4 | 0 | 12 | 3.0 picks |  |  |  |"


@pytest.mark.parametrize("kind", ["disc", "globule"])
def test_drawn_particles_have_the_contrast_that_is_asked_for(load: Load, kind: str) -> None:
    drawn = load("drawn")
    faint, strong = (drawn.draw(kind, contrast, 0, side=512) for contrast in (1.0, 11.0))
    np.testing.assert_array_equal(faint.centres, strong.centres)
    assert len(faint.centres) > 10
    depth = (faint.pixels - strong.pixels) / 10
    assert depth.min() >= -1e-4
    assert np.sqrt(np.mean(depth[depth > 0.3] ** 2)) == pytest.approx(1, abs=0.1)
    noise = (faint.pixels + depth)[: 512 // 3 * 3, : 512 // 3 * 3].reshape(170, 3, 170, 3).mean(axis=(1, 3))
    assert noise.std() == pytest.approx(1, abs=0.03)


def test_places_keep_their_distance_and_the_first_of_two_stays(load: Load) -> None:
    tried = np.array([[0.0, 0.0], [3.0, 0.0], [4.0, 0.0], [9.0, 0.0], [0.0, 4.0], [4.0, 4.0]])
    apart = load("particles").apart
    assert apart(tried, 4.0, most=9).tolist() == [[0, 0], [4, 0], [9, 0], [0, 4], [4, 4]]
    assert apart(tried, 4.0, most=2).tolist() == [[0, 0], [4, 0]]
    assert apart(tried[:0], 4.0, most=2).shape == (0, 2)


def test_drawn_particles_are_scored_at_each_contrast(load: Load) -> None:
    drawn = load("drawn")

    def find(shown: Any) -> Any:
        scored = {
            path: some_picks(*((x, y, 0.2) for x, y in drawn.draw("disc", 1.0, k).centres)) for k, path in enumerate(shown.paths)
        }
        return {path: Picks.none() for path in scored}, scored

    found = drawn.at_contrasts(find, ["disc"], [1.0])
    assert [(each.kind, each.contrast, each.default.f1, each.best) for each in found] == [("disc", 1.0, 0.0, 1.0)]
    assert drawn.table(found).splitlines()[2:] == ["| disc | 0.000 (1.000) |", "| all | 0.000 |"]
    assert drawn.pooled_f1([Figures(1, 2, 2), Figures(3, 3, 4)]) == pytest.approx(8 / 11)


def test_our_job_is_run_and_read_as_relion_does(load: Load, tmp_path: Path) -> None:
    drawn, jobs, stage = load("drawn"), load("jobs"), load("stage")
    made = drawn.draw("globule", 8.0, 0, side=512)
    path = tmp_path / "a" / "m.mrc"
    stage.write_mrc(path, made.pixels, drawn.DIAMETER / drawn.DIAMETER_PX)
    first = path.read_bytes()
    stage.write_mrc(path, made.pixels, drawn.DIAMETER / drawn.DIAMETER_PX)
    assert path.read_bytes() == first
    names = stage.stage(tmp_path / "project", [path], drawn.DIAMETER / drawn.DIAMETER_PX)
    job = jobs.run_job(tmp_path / "project", names, drawn.DIAMETER, threads=1, options=["--overlays", "0"])
    assert names == ["Micrographs/m.mrc"]
    assert len(job.scored[names[0]]) >= len(job.picks[names[0]]) > 5
    assert job.cost.cpu > 0.5
    speed = partial(load("throughput").ganpick, threads=1, device="cpu")
    assert load("throughput").measured("ganpick", speed, [path], [1], most=1)[0].cost.cpu > 0.5


def test_the_table_without_data_has_a_column_for_each_program(load: Load) -> None:
    bench = load("bench")
    lines = [bench.Line("F1, drawn disc, 1 sigma", {"ganpick": 0.98765, "LoG": 0.5})]
    assert bench.table(lines).splitlines() == [
        "|  | ganpick | LoG | Topaz | DoG |",
        "| --- | --- | --- | --- | --- |",
        "| F1, drawn disc, 1 sigma | 0.988 | 0.5 |  |  |",
    ]
    arguments = Namespace(device="cpu", j=1, programs=("ganpick", "LoG"), topaz=None)
    assert list(load("throughput").measures(arguments)) == ["ganpick", "LoG"]
