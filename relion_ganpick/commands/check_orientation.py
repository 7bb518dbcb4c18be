"""``ganpick check-orientation``: which of the eight orientations of coordinates fits the pictures; see `core.orientation`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from relion_ganpick.commands.leaving_out import leaving_out
from relion_ganpick.core.errors import GanpickError, in_flags
from relion_ganpick.core.text import printable
from relion_ganpick.formats.names import find_points, match_names, name_stem

__all__ = ["add_command", "find_points", "run"]  # find_points is what scripts written for version 0.5 import from here

if TYPE_CHECKING:
    from relion_ganpick.core.orientation import Points


def add_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its arguments."""
    parser = subparsers.add_parser(
        "check-orientation",
        help="find out whether coordinates are flipped",
        description="Find out whether coordinates are flipped or turned against their micrographs. "
        "All eight orientations are tried. The exit status is 0 if the coordinates fit as they are, else 1.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help="micrographs")
    add(
        "--coordinates",
        nargs="+",
        type=Path,
        required=True,
        metavar="PATH",
        help="files of picks of any program, or folders of them",
    )
    add("--diameter", type=float, required=True, help="longest extent of the particle in Angstrom")
    add("--angpix", type=float, default=None, help="Angstrom per pixel (default: the micrograph's own)")
    add(
        "--contrast",
        choices=("dark", "bright"),
        default="dark",
        help="are particles darker or brighter than the ice? (default: dark)",
    )
    parser.set_defaults(run=run)


def run(namespace: argparse.Namespace) -> int:
    """Compare and say what fits."""
    if not namespace.diameter > 0:
        raise GanpickError(f"--diameter {namespace.diameter:g}: give a positive number in Angstrom")
    import numpy as np

    from relion_ganpick.core.orientation import ORIENTATIONS, Fit, pooled, verdict
    from relion_ganpick.formats.any_coordinates import read_any

    with leaving_out() as left_out:
        coordinates = read_any(namespace.coordinates, left_out)
        left_out.check_some(coordinates)
    values: dict[str, list[Points]] = {name: [] for name in ORIENTATIONS}
    used = 0
    matched = match_names([name_stem(path) for path in namespace.files], coordinates)
    for path, (name, ambiguous) in zip(namespace.files, matched, strict=True):
        if name is None or not len(coordinates[name].picks):
            print(printable(f"{path}: no coordinates" + (f": {ambiguous}" if ambiguous else "")))
            continue
        points = coordinates[name].picks.xy
        used += len(points)
        for orientation, each in _deviations(path, points, namespace).items():
            values[orientation].append(each)
    if not used:
        raise GanpickError("none of the micrographs has coordinates: their names must contain those of the coordinate files")
    fits = [Fit(name, pooled(parts)) for name, parts in values.items()]
    for fit in sorted(fits, key=lambda each: -np.inf if each.deviation is None else -each.deviation):
        shown = "outside the pictures" if fit.deviation is None else f"{fit.deviation:8.1f}"
        print(f"{fit.name:<24} {ORIENTATIONS[fit.name][0]:<16} {shown:>20}")
    best, sentence = verdict(fits)
    print(f"{used} coordinates: {in_flags(sentence)}")
    return 0 if best == "as they are" else 1


def _deviations(path: Path, points: Points, namespace: argparse.Namespace) -> dict[str, Points]:
    from relion_ganpick.core.micrograph import read_micrograph
    from relion_ganpick.core.orientation import deviations

    micrograph = read_micrograph(path, namespace.angpix)
    if not micrograph.pixel_size:
        raise GanpickError(f"{path}: its pixel size is not known: give --angpix")
    pixels = -micrograph.pixels if namespace.contrast == "bright" else micrograph.pixels
    return deviations(pixels, namespace.diameter / micrograph.pixel_size, points)
