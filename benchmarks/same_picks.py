"""Do the picks stay the same: pick real sets now, and compare with what another version of the code picked.

    python benchmarks/same_picks.py --sets FOLDER --write before.json
    python benchmarks/same_picks.py --sets FOLDER --against before.json

For every set: F1 at the default threshold before and now, the share of picks that both have within an eighth of the diameter, and
the seconds of the processor that the job took. It fails if F1 on any set has moved by more than --tolerance, or the picks on
each micrograph of a set without particles by more than --picks.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jobs import run_job
from measure import machine
from numpy.typing import NDArray
from sets import RealSet, real_sets
from stage import stage

from relion_ganpick.core.evaluate import evaluate, match

Points = NDArray[np.float64]
HEADER = f"{'set':10s} {'F1 before':>9s} {'F1 now':>8s} {'picks before':>12s} {'picks now':>9s} {'in both':>8s} {'CPU s':>7s}"


@dataclass(frozen=True)
class Found:
    """What a job found on a set.

    Attributes
    ----------
    f1
        At the default threshold; 0 for a set without particles.
    particles
        Number of reference centres.
    picks
        Centres in pixels, by the micrograph's stem.
    cpu
        Seconds of the processor.
    """

    f1: float
    particles: int
    picks: Mapping[str, Sequence[tuple[float, float]]]
    cpu: float

    @property
    def n_picks(self) -> int:
        """Count the picks."""
        return sum(len(each) for each in self.picks.values())


def main() -> int:
    """Pick, compare, print; the exit status is 1 if something moved too far."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=Path, required=True, help="folder of real sets (see benchmarks/sets.py)")
    parser.add_argument("--only", nargs="+", help="names of some of them (default: all)")
    parser.add_argument("--write", type=Path, help="write what is found to this file")
    parser.add_argument("--against", type=Path, help="compare with what such a file holds")
    parser.add_argument("--tolerance", type=float, default=0.005, help="most that F1 may move (default: 0.005)")
    parser.add_argument("--picks", type=float, default=1.0, help="the same for picks on an empty micrograph (default: 1)")
    parser.add_argument("--model", default="default", help="name or path of the model (default: default)")
    parser.add_argument("--j", type=int, default=1, help="threads (default: 1)")
    args = parser.parse_args()
    before = {name: Found(**facts) for name, facts in _read(args.against).items()}
    print(f"{machine()}, --j {args.j}, model {args.model}\n{HEADER}")
    found, moved = {}, []
    for real in real_sets(args.sets):
        if args.only and real.name not in args.only:
            continue
        found[real.name] = now = pick(real, args.j, ["--model", args.model])
        then = before.get(real.name)
        print(line(real, then, now), flush=True)
        if then is not None and not is_same(then, now, args.tolerance, args.picks):
            moved.append(real.name)
    if args.write:
        args.write.write_text(json.dumps({name: vars(each) for name, each in found.items()}) + "\n")
    if moved:
        print(f"moved too far: {', '.join(moved)}", file=sys.stderr)
    return 1 if moved else 0


def pick(real: RealSet, threads: int, options: Sequence[str] = ()) -> Found:
    """Run our External job on a set."""
    with tempfile.TemporaryDirectory() as folder:
        names = stage(Path(folder), real.paths, real.pixel_size)
        job = run_job(Path(folder), names, real.diameter, threads, ["--overlays", "0", *options])
    picks = {path.stem: job.picks[name] for path, name in zip(real.paths, names, strict=True)}
    scores = evaluate([real.item(stem, each) for stem, each in picks.items()], -np.inf)
    places = {stem: [(float(x), float(y)) for x, y in each.xy] for stem, each in picks.items()}
    return Found(scores.f1 if scores.truth else 0.0, scores.truth, places, round(job.cost.cpu, 2))


def is_same(before: Found, now: Found, tolerance: float, picks: float) -> bool:
    """Tell whether F1, or where there are no particles the picks on each micrograph, moved by no more than that."""
    if now.particles:
        return abs(now.f1 - before.f1) <= tolerance
    return abs(now.n_picks - before.n_picks) <= picks * max(len(now.picks), 1)


def in_both(before: Found, now: Found, reach: float) -> float:
    """Share of all picks that have a partner within ``reach`` pixels in the other run, matched one to one."""
    pairs = sum(
        int(match(_points(places), _points(before.picks.get(stem, ())), reach).sum()) for stem, places in now.picks.items()
    )
    return 2 * pairs / max(before.n_picks + now.n_picks, 1)


def line(real: RealSet, before: Found | None, now: Found) -> str:
    """Format a line of the table."""
    if before is None:
        return f"{real.name:10s} {'-':>9s} {now.f1:8.4f} {'-':>12s} {now.n_picks:9d} {'-':>8s} {now.cpu:7.2f}"
    share = in_both(before, now, real.diameter_px / 8)
    return (
        f"{real.name:10s} {before.f1:9.4f} {now.f1:8.4f} {before.n_picks:12d} {now.n_picks:9d} {share:8.4f} "
        f"{now.cpu:7.2f} (before: {before.cpu:.2f})"
    )


def _points(places: Sequence[tuple[float, float]]) -> Points:
    return np.array(places, np.float64).reshape(-1, 2)


def _read(path: Path | None) -> dict[str, Any]:
    return {} if path is None else dict(json.loads(path.read_text()))


if __name__ == "__main__":
    sys.exit(main())
