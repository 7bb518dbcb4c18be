"""What picks are worth: RELION's own 2D classification and reconstruction of what each picker finds.

    python benchmarks/downstream.py --out runs/downstream --sets FOLDER       all of it: hours
    python benchmarks/downstream.py --out runs/downstream                     simulated set only
    python benchmarks/downstream.py --out runs/downstream --sets FOLDER --real_only --only classes
    python benchmarks/downstream.py --out runs/try --particles 300 --classes 5 --iterations 3 --seeds 1 --micrographs 4

**Classes.** The same number of picks of ours, Topaz, RELION's LoG, random places and the reference goes through `relion_refine`
as RELION's window calls it for 2D classes: 20 classes, 15 iterations, three seeds. Picks are drawn at random from those that
each picker gives by default. A class is good if it holds at least half an even share of the particles, and its estimated
resolution is better than an eighth of the diameter. Printed: the share of the particles in good classes, how many of these
are right (within a quarter diameter of a reference centre, one to one), and how many of all reference centres that is.
CLASSES-SEED.png shows the
averages.

**Map.** On the simulated set, structure and orientations are known. All default picks of a picker are cut out. One that is
matched with a particle within half a diameter gets that particle's true angles, any other one random ones. `relion_reconstruct`
makes a map of each picker's particles, and of the true centres. Its Fourier shell correlation with the true structure falls with
wrong centres, missed particles and false picks.

Everything is kept in --out. A second call goes on where the first was stopped, so one call may be split into several.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from downstream_classes import all_classes
from downstream_map import all_maps
from downstream_sources import PHANTOM, Source, all_picks, simulated_set
from every_set import Pickers
from measure import machine
from phantom import PhantomSettings
from programs import Kept, topaz_executable
from sets import RealSet


def main() -> None:
    """Pick, classify, reconstruct, print."""
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    phantom = PhantomSettings(n=args.micrographs)
    sources = [] if args.real_only else [Source(simulated_set(phantom, args.out / PHANTOM), ctf=True)]
    if args.sets:
        facts = json.loads((args.sets / args.set / "set.json").read_text())
        sources.append(Source(RealSet(args.sets / args.set, float(facts["diameter"]), float(facts["angpix"])), ctf=False))
    log = shutil.which("relion_autopick") is not None
    pickers = Pickers(Kept(args.out / "kept"), topaz_executable(args.topaz), log, [], args.j)
    found: dict[str, Any] = {"machine": machine(), "settings": {k: str(v) for k, v in vars(args).items()}}
    for source in sources:
        picks = all_picks(source, pickers, args.out / source.real.name / "picks")
        if args.only != "map":
            found[f"classes {source.real.name}"] = all_classes(source, picks, args)
        if args.only != "classes" and source.ctf:
            found["map"] = all_maps(source, picks, phantom, args)
    (args.out / "downstream.json").write_text(json.dumps(found, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder that keeps everything")
    parser.add_argument("--sets", type=Path, help="folder of real sets")
    parser.add_argument("--set", default="bgal", help="which of them (default: bgal)")
    parser.add_argument("--real_only", action="store_true", help="leave the simulated set out")
    parser.add_argument("--only", choices=("classes", "map"), help="only one of the two parts")
    parser.add_argument("--micrographs", type=int, default=40, help="simulated micrographs (default: 40)")
    parser.add_argument("--particles", type=int, default=2500, help="most picks of each picker for classes (default: 2500)")
    parser.add_argument("--classes", type=int, default=20, help="2D classes (default: 20)")
    parser.add_argument("--iterations", type=int, default=15, help="of 2D classification (default: 15)")
    parser.add_argument("--seeds", type=int, default=3, help="classifications of each picker (default: 3)")
    parser.add_argument("--box", type=int, default=64, help="largest side of the particles for classes in pixels (default: 64)")
    parser.add_argument("--topaz", type=Path, help="Topaz's executable (default: that of `make topaz`)")
    parser.add_argument("--j", type=int, default=2, help="threads (default: 2)")
    args = parser.parse_args()
    if args.real_only and not args.sets:
        parser.error("--real_only: give --sets as well")
    return args


if __name__ == "__main__":
    main()
