"""Does a micrograph hold particles: what its fine texture says (`evidence.texture`), on real and on simulated sets.

    python benchmarks/texture.py --sets FOLDER                every real set, see benchmarks/sets.py
    python benchmarks/texture.py --simulated 100              and simulated sets, as judges are trained on

For every set, in standard deviations: the least, the median and the most that one of its micrographs says, all together, and
how far the set is trusted, from 0 to 1. For simulated sets each row is one kind, and the numbers are those of all its sets.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
from measure import machine
from sets import real_sets

from relion_ganpick.core.micrograph import read_micrograph
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.evidence.texture import agreement, trust_in
from relion_ganpick.evidence.view import view_of
from relion_ganpick.picking.picker import Picker
from relion_ganpick.training.sets import make_set

SEED = 11


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=Path, default=os.environ.get("GANPICK_BENCHMARK"), help="folder of real sets")
    parser.add_argument("--simulated", type=int, default=0, metavar="N", help="simulated sets (default: none)")
    args = parser.parse_args()
    if not args.sets and not args.simulated:
        parser.error("give --sets or --simulated")
    print(machine())
    print(f"{'set':28} {'sets':>5} {'mics':>5} {'least':>7} {'median':>7} {'most':>7} {'all':>7} {'trust':>6}")
    for each in real_sets(args.sets):
        picker = each.tuned(Picker(PickSettings(diameter=each.diameter), "cpu"))
        said = []
        for path in each.paths:
            prepared = picker.prepare(read_micrograph(path, each.pixel_size))
            said.append(agreement(view_of(prepared.picture, picker.mark(prepared.picture), prepared.blank)))
        show(each.name, [said])
    kinds: dict[str, list[list[float]]] = defaultdict(list)
    picker = Picker(PickSettings(diameter=180.0), "cpu")
    for index in range(args.simulated):
        made = make_set(SEED, index)
        views = [view_of(one.picture, picker.mark(one.picture), one.blank) for one in made.micrographs]
        full = any(len(one.centres) for one in made.micrographs)
        kinds[f"simulated, {made.kind if full else 'no particles'}"].append([agreement(view) for view in views])
    for kind, sets in sorted(kinds.items()):
        show(kind, sets)


def show(name: str, sets: list[list[float]]) -> None:
    """Print the row of one set, or of many: of what all their micrographs say, and the medians of the sums and the trust."""
    every = [figure for said in sets for figure in said if not np.isnan(figure)]
    if not every:
        print(f"{name:28} {len(sets):5d}     0  too small to say anything", flush=True)
        return
    together = np.nanmedian([sum(said) / np.sqrt(len(said)) for said in sets])
    trust = np.median([trust_in(said) for said in sets])
    middle = f"{min(every):7.1f} {np.median(every):7.1f} {max(every):7.1f} {together:7.1f} {trust:6.2f}"
    print(f"{name:28} {len(sets):5d} {len(every):5d} {middle}", flush=True)


if __name__ == "__main__":
    main()
