"""The benchmarks that need no data, in one table and one JSON file: `make bench`, some minutes on two cores.

    python benchmarks/bench.py --json bench.json

Speed: simulated micrographs of 2048 x 2048, 4 and 12 of them; `throughput.py` has those of 4096 x 4096. Accuracy: drawn discs and
molecules at four contrasts, with RELION's LoG beside it, and simulated molecules with contamination at three; `accuracy.py` has
more of both. Topaz takes part in the speed if it is installed (`make topaz`), LoG where RELION is.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from drawn import at_contrasts
from every_set import OURS, Pickers
from measure import machine
from programs import Kept
from scoring import figures
from simulated import simulated_picker, sweep
from throughput import PROGRAMS, compare, make_files, measures

from relion_ganpick.version import __version__

NUMBERS = (4, 12)
SIDE = 2048
TOPAZ_MOST = 4
DRAWN_KINDS = ("disc", "dihedral")
DRAWN_CONTRASTS = (0.5, 1.0, 4.0, 16.0)
DIRTY_CONTRASTS = (0.5, 1.0, 2.0)
COLUMNS = (OURS, "LoG", "Topaz", "DoG")


@dataclass(frozen=True)
class Line:
    """A line of the table: what was measured, and what each program reached."""

    what: str
    values: Mapping[str, float]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="file for the figures (default: bench.json)")
    parser.add_argument("--j", type=int, default=2, help="threads (default: 2)")
    parser.add_argument("--device", default="cpu", help="where our networks run (default: cpu)")
    parser.add_argument("--topaz", type=Path, help="Topaz's executable (default: that of `make topaz`)")
    args = parser.parse_args()
    args.programs = PROGRAMS
    lines = [*speed(args), *drawn_particles(args), *simulated_molecules(args)]
    print(f"\nversion {__version__}, {machine()}, --j {args.j}\n\n{table(lines)}")
    found = {"version": __version__, "machine": machine(), "lines": [{"what": each.what, **each.values} for each in lines]}
    args.json.write_text(json.dumps(found, indent=1) + "\n")
    print(f"\nalso in {args.json}")


def speed(args: argparse.Namespace, numbers: Sequence[int] = NUMBERS, side: int = SIDE) -> list[Line]:
    """Measure the seconds of the processor for each micrograph."""
    with tempfile.TemporaryDirectory() as folder:
        paths = make_files(Path(folder), max(numbers), side)
        found = compare(paths, numbers, measures(args), TOPAZ_MOST)
    return [
        Line(
            f"CPU seconds each, {n} micrographs of {side} x {side}",
            {each.program: each.cost.cpu / n for each in found if each.n == n},
        )
        for n in numbers
    ]


def drawn_particles(
    args: argparse.Namespace, kinds: Sequence[str] = DRAWN_KINDS, contrasts: Sequence[float] = DRAWN_CONTRASTS
) -> list[Line]:
    """Find F1 on drawn particles."""
    pickers = Pickers(Kept(None), None, shutil.which("relion_autopick") is not None, ["--device", args.device], args.j)
    found = {name: at_contrasts(find, kinds, contrasts) for name, find in pickers.all.items()}
    return [
        Line(
            f"F1, drawn {ours.kind}, {ours.contrast:g} sigma",
            {name: each[k].default.f1 for name, each in found.items()},
        )
        for k, ours in enumerate(found[OURS])
    ]


def simulated_molecules(args: argparse.Namespace, contrasts: Sequence[float] = DIRTY_CONTRASTS) -> list[Line]:
    """Find F1 on held-out molecules among contamination."""
    picker = simulated_picker("default", args.device)
    return [
        Line(f"F1, simulated, {contrast:g} sigma", {row.picker: figures(row)["F1"] for row in sweep(picker, contrast)})
        for contrast in contrasts
    ]


def table(lines: Sequence[Line]) -> str:
    """Format the table."""
    cells = [["", *COLUMNS], ["---"] * (len(COLUMNS) + 1)]
    cells += [[each.what, *(_cell(each, name) for name in COLUMNS)] for each in lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _cell(line: Line, name: str) -> str:
    return f"{line.values[name]:.3g}" if name in line.values else ""


if __name__ == "__main__":
    main()
