"""Particles that a user has kept, measured on real sets: learned on one half of the micrographs, scored on the other.

    python benchmarks/approved.py --sets FOLDER --only bgal trpv1 spike
    python benchmarks/approved.py --sets FOLDER --share 0.5 --seeds 2

A share of the reference of every other micrograph stands for the particles that a user has kept, chosen by chance. Then the rest
of the micrographs is picked with the model as it is and with what it has learned, and then the halves change places. The network
looks at the given diameter. The columns are those of accuracy.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from measure import machine
from scoring import HEADER, Item, Row, figures, line
from sets import RealSet, real_sets

from relion_ganpick.adaptation.approved import learn_approved
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.micrograph import read_micrograph
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.formats.approved import Approved
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Task


def main() -> None:
    """Learn, pick, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=Path, required=True, help="folder of real sets, see benchmarks/sets.py")
    parser.add_argument("--only", nargs="+", default=[], help="names of sets (default: all with two micrographs and particles)")
    parser.add_argument("--share", type=float, default=0.1, help="share of the reference that counts as kept (default: 0.1)")
    parser.add_argument("--seeds", type=int, default=1, help="number of choices by chance")
    parser.add_argument("--model", default="default")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    print(f"{machine()}; model {args.model}; {args.share:.0%} of the reference\n\n{HEADER}")
    for real in real_sets(args.sets):
        if (
            len(real.paths) > 1
            and any(len(each.picks) for each in real.truth.values())
            and (not args.only or real.name in args.only)
        ):
            for seed in range(1, args.seeds + 1):
                measure(real, Picker(PickSettings(real.diameter, model=args.model), args.device), args.share, seed)


def measure(real: RealSet, picker: Picker, share: float, seed: int) -> None:
    """Score both halves of a set, each with what was learned on the other one."""
    rows: dict[str, tuple[list[Item], list[Item]]] = {"ganpick": ([], []), "approved": ([], [])}
    for half in range(2):
        learned, judged = real.paths[half::2], real.paths[1 - half :: 2]
        try:
            found = learn_approved(picker, tasks(real, learned), kept_by_chance(real, learned, share, (seed, half)))
            note, model = found.text, found.model
        except GanpickError as error:
            note, model = str(error), None
        print(f"# {real.name}, seed {seed}, half {half + 1}: {note}", flush=True)
        other = picker if model is None else Picker(picker.settings, str(picker.device), model)
        other = other.with_settings(PickSettings(real.diameter, model=picker.settings.model))
        for name, used in (("ganpick", picker), ("approved", other)):
            every, chosen = pick(real, used, judged)
            rows[name][0].extend(every)
            rows[name][1].extend(chosen)
    for name, (every, chosen) in rows.items():
        row = Row(real.name, name, every, [real.shape] * len(every), None, [picks for picks, _, _ in chosen])
        print(line(real.name, name, figures(row)), flush=True)


def kept_by_chance(real: RealSet, paths: Sequence[Path], share: float, seed: tuple[int, int]) -> Approved:
    """Choose a share of the reference of some micrographs."""
    rng = np.random.default_rng(seed)
    points = {path.stem: real.truth[path.stem].picks.xy for path in paths}
    points = {stem: xy[rng.random(len(xy)) < share] for stem, xy in points.items()}
    return Approved(real.root, points, {stem: np.zeros_like(xy) for stem, xy in points.items()})


def tasks(real: RealSet, paths: Sequence[Path]) -> list[Task]:
    """Micrographs to learn from."""
    return [Task(path.stem, path, real.pixel_size) for path in paths]


def pick(real: RealSet, picker: Picker, paths: Sequence[Path]) -> tuple[list[Item], list[Item]]:
    """Pick micrographs: with all figures of merit, and by default."""
    every, chosen = [], []
    for path in paths:
        found = picker.score(read_micrograph(path, real.pixel_size))
        every.append(real.item(path.stem, found))
        chosen.append(real.item(path.stem, picker.cut.keep(found)))
    return every, chosen


if __name__ == "__main__":
    main()
