"""``ganpick simulate``: a RELION project of synthetic micrographs with known particles, or the paper's training pairs."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from relion_ganpick.commands.pair_options import BACKGROUNDS, PAIR_TEXTS, add_setting, find_backgrounds
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.synthesis.pair_settings import PairSettings

PROJECT_ONLY = ("width", "height", "angpix", "diameter", "kind", "particles", "empty", "clean", "blank")


def add_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its arguments."""
    parser = subparsers.add_parser(
        "simulate",
        help="make a RELION project of simulated micrographs with known particles",
        description="Make a RELION project of simulated micrographs of one molecule. The true coordinates are in DIR/truth. "
        "With --preset paper: make the paper's training pairs, as PNG files in DIR/input and DIR/truth.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    absent = argparse.SUPPRESS
    add("--out", type=Path, required=True, metavar="DIR", help="new or empty folder for the project")
    add("--preset", choices=("project", "paper"), default="project", help="a project, or the paper's pairs (default: project)")
    add("--n", type=int, default=absent, help="number of micrographs or pairs (default: 3 or 100)")
    add("--width", type=int, default=absent, help="width in pixels (default: 1024)")
    add("--height", type=int, default=absent, help="height in pixels (default: 1024)")
    add("--angpix", type=float, default=absent, help="Angstrom per pixel (default: 3)")
    add(
        "--diameter",
        type=float,
        default=absent,
        help="longest extent of the particle in Angstrom (default: 180, or the structure's own)",
    )
    add("--seed", type=int, default=absent, help="number that random choices start from (default: 1)")
    add(
        "--kind",
        default=absent,
        help="molecule: a kind such as globule, rod, membrane or random, or a real structure such as 6zu5 (default: dihedral)",
    )
    add(
        "--particles", type=int, default=absent, help="about so many particles per micrograph (default: they cover a fifth of it)"
    )
    add("--empty", type=float, default=absent, help="share of the micrographs without particles, 0 to 1 (default: 0)")
    add("--clean", action="store_true", default=absent, help="no ice, carbon, debris or other contamination")
    add(
        "--blank",
        type=float,
        default=absent,
        help="share of the micrographs a part of which has no image, 0 to 1: a grid bar, the edge of the beam, a blanked or "
        "saturated area; DIR/truth/*_blank.png shows where (default: 0)",
    )
    pairs = parser.add_argument_group("preset paper")
    for name, text in PAIR_TEXTS.items():
        if name != "pairs":
            add_setting(pairs, name, text, {"default": getattr(PairSettings(), name)})
    pairs.add_argument("--backgrounds", default=absent, metavar="STAR", help=BACKGROUNDS)
    parser.set_defaults(run=run)


def run(namespace: argparse.Namespace) -> int:
    """Simulate and say how to pick the result."""
    given = vars(namespace)
    others = PROJECT_ONLY if namespace.preset == "paper" else (*PAIR_TEXTS, "backgrounds")
    strange = next((name for name in others if name in given), None)
    if strange is not None:
        raise GanpickError(f"--{strange} is no option of --preset {namespace.preset}: leave it out")
    return _pairs(namespace) if namespace.preset == "paper" else _project(namespace)


def _pairs(namespace: argparse.Namespace) -> int:
    from relion_ganpick.commands.pair_files import write_pairs

    given = vars(namespace)
    changes = {name: given[name] for name in (*PAIR_TEXTS, "seed") if name in given}
    settings = PairSettings(**(changes | ({"pairs": namespace.n} if "n" in given else {})))
    out: Path = namespace.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise GanpickError(f"{out}: exists and is not an empty folder; give another --out, or delete it first")
    areas = find_backgrounds(namespace.backgrounds, settings, out / "backgrounds.png") if "backgrounds" in given else []
    for path, n_shapes in write_pairs(settings, out, areas):
        print(f"{path}: {n_shapes} shapes", flush=True)
    return 0


def _project(namespace: argparse.Namespace) -> int:
    from relion_ganpick.relion.project import ProjectSettings, write_project
    from relion_ganpick.synthesis.structures import structure, structure_names

    given = dict(vars(namespace))
    if "diameter" not in given and given.get("kind") in structure_names():
        given["diameter"] = round(structure(given["kind"]).diameter)
    settings = ProjectSettings(**{each.name: given[each.name] for each in fields(ProjectSettings) if each.name in given})
    if settings.kind in structure_names():
        shown = structure(settings.kind)
        print(f"{settings.kind}: {shown.title} (Protein Data Bank, {shown.authors})", flush=True)
    out = namespace.out
    for path, n_particles in write_project(settings, out):
        print(f"{path}: {n_particles} particles", flush=True)
    scale = f"--diameter {settings.diameter:g} --angpix {settings.angpix:g}"
    print(f"pick:     ganpick pick {out}/Micrographs/*.mrc {scale} --out {out}/picks")
    print(f"evaluate: ganpick evaluate --picks {out}/picks --truth {out}/truth {scale}")
    return 0
