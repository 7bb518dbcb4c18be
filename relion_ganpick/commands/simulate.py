"""``ganpick simulate``: a RELION project of synthetic micrographs with known particles."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path


def add_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its arguments."""
    parser = subparsers.add_parser(
        "simulate",
        help="make a RELION project of synthetic micrographs with known particles",
        description="Make a RELION project of synthetic micrographs of one molecule, with the true coordinates in DIR/truth.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    absent = argparse.SUPPRESS
    add("--out", type=Path, required=True, metavar="DIR", help="new or empty folder for the project")
    add("--n", type=int, default=absent, help="number of micrographs (default: 3)")
    add("--width", type=int, default=absent, help="width in pixels (default: 1024)")
    add("--height", type=int, default=absent, help="height in pixels (default: 1024)")
    add("--angpix", type=float, default=absent, help="Angstrom per pixel (default: 3)")
    add("--diameter", type=float, default=absent, help="longest extent of the particle in Angstrom (default: 180)")
    add("--seed", type=int, default=absent, help="the same seed gives the same project (default: 1)")
    add("--kind", default=absent, help="kind of molecule, such as globule, rod, membrane or random (default: dihedral)")
    add("--particles", type=int, default=absent, help="particles per micrograph, about (default: a fifth of the area)")
    add("--empty", type=float, default=absent, help="share of the micrographs without particles, 0 to 1 (default: 0)")
    add("--clean", action="store_true", default=absent, help="leave ice, carbon, debris and other contamination out")
    parser.set_defaults(run=run)


def run(namespace: argparse.Namespace) -> int:
    """Simulate and say how to pick the result."""
    from relion_ganpick.synthesis.project import ProjectSettings, write_project

    given = vars(namespace)
    settings = ProjectSettings(**{each.name: given[each.name] for each in fields(ProjectSettings) if each.name in given})
    out = namespace.out
    for path, n_particles in write_project(settings, out):
        print(f"{path}: {n_particles} particles", flush=True)
    scale = f"--diameter {settings.diameter:g} --angpix {settings.angpix:g}"
    print(f"pick:     ganpick pick {out}/Micrographs/*.mrc {scale} --out {out}/picks")
    print(f"evaluate: ganpick evaluate --picks {out}/picks --truth {out}/truth {scale}")
    return 0
