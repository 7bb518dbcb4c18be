"""How the cost grows: seconds of the processor of our External job by the side of a micrograph, their number, and threads.

    python benchmarks/growth.py                       512 to 11520 pixels, 10 to 10,000 micrographs, one and two threads
    python benchmarks/growth.py --sides 1024 2048 --numbers 10 100

For each side and number of threads two jobs are run, one with --few and one with --more micrographs. A line through them gives
what starting costs and what each further micrograph costs; larger numbers follow from that line, and are marked with "~". Both
jobs have as many as are looked at before any is picked (24), as from then on one more costs less. A number below --few gets a
job of its own. The particle is 190 Angstrom, a pixel 1.77, so that the picture that the network sees grows with the side.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from measure import Cost, machine
from throughput import ganpick, make_files

SIDES = (512, 1024, 2048, 4096, 8192, 11520)
NUMBERS = (10, 100, 1000, 10000)


@dataclass(frozen=True)
class Line:
    """What a job costs.

    Attributes
    ----------
    few, more
        What so many micrographs cost.
    n_few, n_more
        Their numbers.
    """

    few: Cost
    more: Cost
    n_few: int
    n_more: int

    @property
    def each(self) -> Cost:
        """What one further micrograph costs."""
        steps = self.n_more - self.n_few
        return Cost((self.more.cpu - self.few.cpu) / steps, (self.more.wall - self.few.wall) / steps, self.more.peak)

    def at(self, n: int) -> float:
        """Seconds of the processor for n micrographs."""
        return self.more.cpu + (n - self.n_more) * self.each.cpu


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES, help="sides in pixels (default: 512 to 11520)")
    parser.add_argument("--numbers", type=int, nargs="+", default=NUMBERS, help="numbers of micrographs (default: 10 to 10000)")
    parser.add_argument("--few", type=int, default=24, help="micrographs of the smaller job (default: 24)")
    parser.add_argument("--more", type=int, default=34, help="micrographs of the larger job (default: 34)")
    parser.add_argument("--j", type=int, nargs="+", default=(1, 2), help="numbers of threads (default: 1 2)")
    parser.add_argument("--folder", type=Path, help="where to put the files (default: a temporary folder)")
    args = parser.parse_args()
    print(f"{machine()}; seconds of the processor\n\n{header(args.numbers)}", flush=True)
    for side in args.sides:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            paths = make_files(Path(folder), args.more, side)
            for threads in args.j:
                numbers = sorted({*(n for n in args.numbers if n < args.few), args.few, args.more})
                run = {n: ganpick(paths[:n], threads, "cpu") for n in numbers}
                print(row(side, threads, run, Line(run[args.few], run[args.more], args.few, args.more), args.numbers), flush=True)


def header(numbers: Sequence[int]) -> str:
    """Format the table's head."""
    cells = ["side", "threads", *(f"{n}" for n in numbers), "each further one", "on the clock", "GiB"]
    return f"| {' | '.join(cells)} |\n|{'---|' * len(cells)}"


def row(side: int, threads: int, run: Mapping[int, Cost], line: Line, numbers: Sequence[int]) -> str:
    """Format a line of the table; what has been run is given as it came."""
    costs = [f"{run[n].cpu:.0f}" if n in run else f"~{line.at(n):.0f}" for n in numbers]
    cells = [f"{side}", f"{threads}", *costs, f"{line.each.cpu:.2f}", f"{line.each.wall:.2f}", f"{line.more.peak:.2f}"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
