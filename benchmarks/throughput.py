"""How fast is it: seconds per stage, micrographs per second and peak memory on 4096 x 4096 float32 micrographs.

    python benchmarks/throughput.py                 100 micrographs, two threads
    python benchmarks/throughput.py --n 20 --log    and RELION's Laplacian-of-Gaussian picker on the same files

Four micrographs are simulated, the others are links to them. The stages are timed inside one process (they overlap, so that
their sum is more than the whole); the whole and the memory are those of the External executable, started as RELION starts it.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from relion_ganpick.core.settings import PickSettings
from relion_ganpick.formats.pick_files import write_picks
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Task, stream
from relion_ganpick.relion.project import ProjectSettings, write_project

DISTINCT = 4
DIAMETER = 190.0
PIXEL = 1.77
STAGES = ("read", "scale", "network", "localise", "write")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=100, help="number of micrographs")
    parser.add_argument("--side", type=int, default=4096, help="side of the micrographs in pixels")
    parser.add_argument("--j", type=int, default=2, help="threads")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--log", action="store_true", help="run relion_autopick --LoG on four of the same files, too")
    parser.add_argument("--folder", type=Path, help="where to put the files; a temporary folder by default")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=args.folder))
    try:
        names = make_files(folder, args.n, args.side)
        print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, --j {args.j}")
        in_process(folder, names, args.j, args.device)
        seconds = as_relion(folder, args)
        if args.log:
            log_seconds = laplacian(folder)
            print(f"relion_autopick --LoG: {log_seconds:.3f} s each, {log_seconds / seconds:.1f} times as long")
    finally:
        shutil.rmtree(folder)


def make_files(folder: Path, n: int, side: int) -> list[str]:
    """Simulate a few micrographs and link them to n names; returns the names."""
    list(write_project(ProjectSettings(n=DISTINCT, width=side, height=side, angpix=PIXEL, diameter=DIAMETER), folder))
    names = [f"Micrographs/m{k:05d}.mrc" for k in range(n)]
    sources = sorted((folder / "Micrographs").glob("mic*.mrc"))
    for k, name in enumerate(names):
        os.link(sources[k % DISTINCT], folder / name)
    head = (folder / "micrographs.star").read_text().split("data_micrographs")[0]
    rows = "\n".join(f"{name} 1" for name in names)
    (folder / "many.star").write_text(f"{head}data_micrographs\n\nloop_\n_rlnMicrographName #1\n_rlnOpticsGroup #2\n{rows}\n\n")
    return names


def in_process(folder: Path, names: list[str], threads: int, device: str) -> None:
    """Time the stages."""
    torch.set_num_threads(threads)
    picker = Picker(PickSettings(diameter=DIAMETER), device)
    totals = dict.fromkeys(STAGES, 0.0)
    tasks = [Task(name, folder / name, PIXEL) for name in names]
    for result in stream(tasks[:2], picker, threads):
        assert result.picks is not None, result.error
    began = time.perf_counter()
    for result in stream(tasks, picker, threads):
        assert result.picks is not None, result.error
        writing = time.perf_counter()
        write_picks(folder / f"{result.task.name}.star", result.picks.above(picker.threshold), scored=result.picks)
        for stage in STAGES[:-1]:
            totals[stage] += result.seconds[stage]
        totals["write"] += time.perf_counter() - writing
    seconds = time.perf_counter() - began
    for stage in STAGES:
        print(f"  {stage:9s} {totals[stage] / len(names):.3f} s")
    print(f"picking on {picker.device}: {seconds / len(names):.3f} s each, {len(names) / seconds:.2f} micrographs per second")


def as_relion(folder: Path, args: argparse.Namespace) -> float:
    """Run the executable as RELION would, with its start and its pictures; returns seconds per micrograph."""
    command = [sys.executable, "-c", "import sys; from relion_ganpick.relion.main import main; sys.exit(main())"]
    command += ["--o", "External/job001/", "--in_mics", "many.star", "--diameter", str(DIAMETER), "--j", str(args.j)]
    began = time.perf_counter()
    subprocess.run([*command, "--device", args.device], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"External job of {args.n}: {seconds:.1f} s in all, {seconds / args.n:.3f} s each, peak memory {peak:.2f} GiB")
    return seconds / args.n


def laplacian(folder: Path) -> float:
    """Run RELION's own picker on the distinct micrographs; returns seconds per micrograph."""
    command = ["relion_autopick", "--i", "micrographs.star", "--odir", "LoG/", "--pickname", "autopick", "--LoG"]
    command += ["--LoG_diam_min", str(0.85 * DIAMETER), "--LoG_diam_max", str(1.15 * DIAMETER), "--angpix", str(PIXEL)]
    (folder / "LoG").mkdir()
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (time.perf_counter() - began) / DISTINCT


if __name__ == "__main__":
    main()
