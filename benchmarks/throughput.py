"""How fast is it: seconds of the processor and on the clock for large micrographs, beside RELION's LoG and Topaz in the same run.

    python benchmarks/throughput.py                               12 and 100 micrographs of 4096 x 4096, two threads
    python benchmarks/throughput.py --n 12 --programs ganpick LoG --stages
    python benchmarks/throughput.py --n 4 --side 1024 --json speed.json

Each program runs as a user runs it, from its start to its end: our External job with the choice of the working diameter and
its pictures; `relion_autopick --LoG` with the options of RELION's window; `topaz preprocess` and `topaz extract` with Topaz's
own trained model at about 8 Angstrom per pixel (see benchmarks/programs.py).

Seconds of the processor are the measure: user and system time of a program with all its children. Seconds on the clock mean
something only if nothing else runs. LoG has one process; the others may use --j threads. Four micrographs are simulated, and
the others are links to them. Topaz is slow, so it gets at most --topaz_most micrographs. Its seconds for more follow from the
line through a run with two and that run, and are marked with "~".
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from jobs import run_job
from measure import Cost, machine
from programs import LoG, Program, Topaz, topaz_executable
from stage import stage

from relion_ganpick.core.settings import PickSettings, RunSettings
from relion_ganpick.formats.pick_files import write_picks
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Task, stream
from relion_ganpick.relion.project import ProjectSettings, write_project

DISTINCT = 4
DIAMETER = 190.0
PIXEL = 1.77
STAGES = ("read", "scale", "network", "localise", "write")
PROGRAMS = ("ganpick", "LoG", "Topaz")
FEW = 2
HEADER = (
    f"{'program':9s} {'micrographs':>11s} {'CPU s':>9s} {'clock s':>9s} {'CPU s each':>11s} {'clock s each':>13s} {'GiB':>6s}"
)

Measure = Callable[[Sequence[Path]], Cost]


@dataclass(frozen=True)
class Speed:
    """What a program took.

    Attributes
    ----------
    program
        Its name.
    n
        Number of micrographs.
    cost
        What they took in all.
    scaled
        Whether that follows from runs with fewer micrographs.
    """

    program: str
    n: int
    cost: Cost
    scaled: bool = False

    def line(self) -> str:
        """Format a line of the table."""
        mark, cost = "~" if self.scaled else " ", self.cost
        return (
            f"{self.program:9s} {self.n:11d} {mark}{cost.cpu:8.1f} {mark}{cost.wall:8.1f} {mark}{cost.cpu / self.n:10.2f} "
            f"{mark}{cost.wall / self.n:12.2f} {cost.peak:6.2f}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[12, 100], help="numbers of micrographs (default: 12 100)")
    parser.add_argument("--side", type=int, default=4096, help="side of the micrographs in pixels (default: 4096)")
    parser.add_argument("--j", type=int, default=2, help="threads (default: 2)")
    parser.add_argument("--device", default="cpu", help="where our networks run (default: cpu, as the others)")
    parser.add_argument("--gpu", help="numbers of GPUs, as for our job: 0, 0:1 or all; in place of --device")
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=PROGRAMS, help="which of them (default: all)")
    parser.add_argument("--topaz", type=Path, help="Topaz's executable (default: that of `make topaz`)")
    parser.add_argument("--topaz_most", type=int, default=12, help="most micrographs that Topaz gets (default: 12)")
    parser.add_argument("--stages", action="store_true", help="also the seconds of our picker's stages, within one process")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--folder", type=Path, help="where to put the files (default: a temporary folder)")
    args = parser.parse_args()
    if args.gpu is not None:
        args.device = RunSettings(gpu=args.gpu).device_name
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        paths = make_files(Path(folder), max(args.n), args.side)
        print(f"{machine()}, torch {torch.__version__}, {args.side} x {args.side} pixels, --j {args.j}")
        found = compare(paths, args.n, measures(args), args.topaz_most)
        if args.stages:
            stages(paths, args.j, args.device)
    if args.json:
        args.json.write_text(json.dumps(as_json(found, args), indent=1) + "\n")


def measures(args: argparse.Namespace) -> dict[str, Measure]:
    """Find the programs to measure; one that is not there is left out with a line."""
    ways: dict[str, Measure] = {"ganpick": partial(ganpick, threads=args.j, device=args.device)}
    ways["LoG"] = partial(other, LoG(DIAMETER))
    executable = topaz_executable(args.topaz)
    if executable:
        ways["Topaz"] = partial(other, Topaz(DIAMETER, executable, threads=args.j))
    elif "Topaz" in args.programs:
        print("Topaz is left out: it is not installed; `make topaz` does that")
    return {name: way for name, way in ways.items() if name in args.programs}


def compare(paths: Sequence[Path], numbers: Sequence[int], ways: dict[str, Measure], topaz_most: int) -> list[Speed]:
    """Measure every program with every number of micrographs, and print the lines."""
    print(HEADER)
    found = []
    for name, way in ways.items():
        most = topaz_most if name == "Topaz" else max(numbers)
        for speed in measured(name, way, paths, numbers, most):
            print(speed.line(), flush=True)
            found.append(speed)
    return found


def measured(name: str, way: Measure, paths: Sequence[Path], numbers: Sequence[int], most: int) -> list[Speed]:
    """Measure a program with each number of micrographs; beyond ``most``, follow the line through two smaller runs."""
    known: dict[int, Cost] = {}

    def cost(n: int) -> Cost:
        if n not in known:
            known[n] = way(paths[:n])
        return known[n]

    return [Speed(name, n, cost(n)) if n <= most else Speed(name, n, extrapolated(cost, n, most), scaled=True) for n in numbers]


def extrapolated(cost: Callable[[int], Cost], n: int, most: int) -> Cost:
    """Follow the line through the runs with few and with most micrographs to n of them."""
    few = min(FEW, most - 1)
    less, more = cost(few), cost(most)
    steps = (n - most) / (most - few)
    return Cost(more.cpu + steps * (more.cpu - less.cpu), more.wall + steps * (more.wall - less.wall), more.peak)


def ganpick(paths: Sequence[Path], threads: int, device: str) -> Cost:
    """Run our External job."""
    with tempfile.TemporaryDirectory() as folder:
        names = stage(Path(folder), paths, PIXEL)
        return run_job(Path(folder), names, DIAMETER, threads, ["--device", device]).cost


def other(program: Program, paths: Sequence[Path]) -> Cost:
    """Run another program."""
    with tempfile.TemporaryDirectory() as folder:
        return program.pick(paths, PIXEL, Path(folder))[1]


def make_files(folder: Path, n: int, side: int) -> list[Path]:
    """Simulate a few micrographs and link them to n names."""
    project = folder / "project"
    settings = ProjectSettings(n=min(DISTINCT, n), width=side, height=side, angpix=PIXEL, diameter=DIAMETER)
    sources = [path for path, _ in write_project(settings, project)]
    paths = [folder / f"m{k:05d}.mrc" for k in range(n)]
    for k, path in enumerate(paths):
        os.link(sources[k % len(sources)], path)
    return paths


def stages(paths: Sequence[Path], threads: int, device: str) -> None:
    """Time the stages of our picker inside one process; they overlap, so that their sum is more than the whole."""
    torch.set_num_threads(threads)
    picker = Picker(PickSettings(diameter=DIAMETER), device)
    totals = dict.fromkeys(STAGES, 0.0)
    tasks = [Task(path.name, path, PIXEL) for path in paths]
    for result in stream(tasks[:2], picker, threads):
        assert result.picks is not None, result.error
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        for result in stream(tasks, picker, threads):
            assert result.picks is not None, result.error
            writing = time.perf_counter()
            picks = result.picks.above(picker.threshold)
            write_picks(Path(folder) / f"{result.task.name}.star", picks, scored=result.picks)
            for name in STAGES[:-1]:
                totals[name] += result.seconds[name]
            totals["write"] += time.perf_counter() - writing
        seconds = time.perf_counter() - began
    print("\nour picker inside one process, seconds on the clock for each micrograph")
    for name in STAGES:
        print(f"  {name:9s} {totals[name] / len(tasks):.3f}")
    print(f"  {'together':9s} {seconds / len(tasks):.3f} on {picker.device}")


def as_json(found: Sequence[Speed], args: argparse.Namespace) -> dict[str, object]:
    """Gather the figures."""
    rows = [{"program": each.program, "micrographs": each.n, "scaled": each.scaled, **asdict(each.cost)} for each in found]
    return {"machine": machine(), "side": args.side, "threads": args.j, "rows": rows}


if __name__ == "__main__":
    main()
