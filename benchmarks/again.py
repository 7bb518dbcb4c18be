"""What *Continue* costs, again and again, as a RELION schedule does it while the microscope runs.

    python benchmarks/again.py                    50 micrographs of 1024 x 1024, then three times two new ones
    python benchmarks/again.py --n 200 --side 4096 --rounds 5

Four micrographs are simulated, and the others are links to them. The first job picks --n of them. Then the job is continued
without a new micrograph, and --rounds times with --new more. A last line says what the cost is without the new ones: that of
*Continue* with new ones, less what a micrograph takes within the first job beyond its start (from a job with half of them).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from jobs import JOB, command
from measure import Cost, machine, run
from stage import STAR_FILE, Optics, stage, write_list
from throughput import DIAMETER, PIXEL, make_files

HEADER = f"{'job':34s} {'micrographs':>11s} {'CPU s':>7s} {'clock s':>8s}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=50, help="micrographs of the first job (default: 50)")
    parser.add_argument("--new", type=int, default=2, help="new ones of each further job (default: 2)")
    parser.add_argument("--rounds", type=int, default=3, help="jobs with new ones (default: 3)")
    parser.add_argument("--side", type=int, default=1024, help="side of the micrographs in pixels (default: 1024)")
    parser.add_argument("--j", type=int, default=1, help="threads (default: 1)")
    parser.add_argument("--folder", type=Path, help="where to put the files (default: a temporary folder)")
    args = parser.parse_args()
    print(f"{machine()}, {args.side} x {args.side} pixels, --j {args.j}\n{HEADER}")
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        paths = make_files(Path(folder), args.n + args.new * args.rounds, args.side)
        names = stage(Path(folder) / "job", paths, PIXEL)
        half = measured(
            Path(folder) / "half", stage(Path(folder) / "half", paths[: args.n // 2], PIXEL), args.j, "half of the first job"
        )
        first = measured(Path(folder) / "job", names[: args.n], args.j, "first job")
        measured(Path(folder) / "job", names[: args.n], args.j, "Continue, nothing new")
        each = (first.cpu - half.cpu) / (args.n - args.n // 2)
        for k in range(1, args.rounds + 1):
            cost = measured(Path(folder) / "job", names[: args.n + k * args.new], args.j, f"Continue, {args.new} new")
            print(f"{'  without the new ones':34s} {'':11s} {cost.cpu - args.new * each:7.1f}", flush=True)


def measured(project: Path, names: list[str], threads: int, title: str) -> Cost:
    """Carry out or continue the job with these micrographs, and print a line."""
    write_list(project / STAR_FILE, names, PIXEL, Optics())
    (project / JOB).mkdir(parents=True, exist_ok=True)
    cost, _ = run(command(DIAMETER, threads), project)
    print(f"{title:34s} {len(names):11d} {cost.cpu:7.1f} {cost.wall:8.1f}", flush=True)
    return cost


if __name__ == "__main__":
    main()
