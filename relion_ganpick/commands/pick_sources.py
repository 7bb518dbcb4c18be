"""Where picks come from and where they go, for the commands that take them from one program to another."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from relion_ganpick.core.errors import GanpickError

if TYPE_CHECKING:
    from relion_ganpick.formats.left_out import LeftOut
    from relion_ganpick.formats.micrograph_picks import Format, MicrographPicks

FORMATS = ("star", "csv", "cs", "topaz", "cbox", "box", "eman2", "coco")
RELIONS = ("3.1", "4.0", "5.0")
LIST_FILE, DATASET = "autopick.star", "picked_particles.cs"


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the arguments about what is written."""
    add = parser.add_argument
    add("--to", choices=FORMATS, required=True, help="format to write")
    add(
        "--out",
        type=Path,
        required=True,
        metavar="PATH",
        help="file with the format's suffix, or folder for a file of each micrograph",
    )
    add("--threshold", type=float, help="keep picks with at least this figure of merit (default: all)")
    add(
        "--diameter",
        type=float,
        metavar="FLOAT",
        help="particle diameter in Angstrom; boxes are as large, unless they have a size",
    )
    add("--box_px", type=int, metavar="INT", help="side of the boxes in pixels, an even number")
    add("--relion_version", choices=RELIONS, default=RELIONS[-1], help=f"for star: RELION's version (default: {RELIONS[-1]})")


def add_input(parser: argparse.ArgumentParser) -> None:
    """Add the arguments about what is known of the micrographs."""
    add = parser.add_argument
    add(
        "--micrographs",
        type=Path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="the micrographs: their STAR file, CryoSPARC's .cs of exposures, or the files; tells names, sizes and pixel sizes",
    )
    add("--angpix", type=float, metavar="FLOAT", help="Angstrom per pixel, for micrographs that do not tell")


def check(namespace: argparse.Namespace) -> None:
    """Check the values.

    Raises
    ------
    GanpickError
        If a length is not positive, or a box is odd.
    """
    for name in ("diameter", "angpix", "scale", "distance"):
        value = getattr(namespace, name, None)
        if value is not None and not 0 < value < 1e6:
            raise GanpickError(f"--{name} {value:g}: give a positive number")
    box = namespace.box_px
    if box is not None and (box < 2 or box % 2):
        raise GanpickError(f"--box_px {box}: give an even number of pixels, at least 2")


def read_source(
    paths: Sequence[Path],
    threshold: float | None = None,
    form: Format | None = None,
    left_out: LeftOut | None = None,
) -> list[MicrographPicks]:
    """Read picks of a job's folder, or from files and folders of any program.

    Parameters
    ----------
    paths
        One job's folder, or files and folders.
    threshold
        Keep picks from this figure of merit on. A job's files are cut again, as its *Continue* would do it.
    form
        Format of the files; None tells it.
    left_out
        Takes down files that cannot be read; None raises at the first of them.
    """
    from relion_ganpick.formats.exchange import read_picks_of

    if len(paths) == 1 and (paths[0] / LIST_FILE).is_file():
        return _of_job(paths[0], threshold, left_out)
    files = [path / DATASET if (path / DATASET).is_file() else path for path in paths]
    found = read_picks_of(files, form, left_out)
    return found if threshold is None else [each.above(threshold) for each in found]


def diameter_of(path: Path) -> float | None:
    """Tell the diameter in Angstrom that a job was run with, if it says so."""
    from relion_ganpick.inspect.job import find_job

    return find_job(path).facts.diameter if (path / LIST_FILE).is_file() else None


def deliver(micrographs: Sequence[MicrographPicks], namespace: argparse.Namespace) -> None:
    """Write picks as the arguments say, and say what was written."""
    from relion_ganpick.formats import relion_star
    from relion_ganpick.formats.exchange import FORMATS as KNOWN
    from relion_ganpick.formats.exchange import with_boxes, write_picks_of
    from relion_ganpick.relion.coordinate_folder import write_folder

    form, out = KNOWN[namespace.to], namespace.out
    if form.needs_box:
        micrographs = with_boxes(micrographs, namespace.box_px, namespace.diameter)
    if form.name == "star" and out.suffix == form.suffix:
        out.parent.mkdir(parents=True, exist_ok=True)
        relion_star.write(out, micrographs, namespace.relion_version)
    elif form.name == "star" and all(Path(each.name).suffix for each in micrographs):
        stars = [path for path in getattr(namespace, "micrographs", []) if path.suffix == ".star"]
        in_mics = str(stars[0]) if stars else None
        write_folder(out, micrographs, namespace.relion_version, in_mics, namespace.diameter)
    else:
        write_picks_of(micrographs, form, out)
    n_picks = sum(len(each.picks) for each in micrographs)
    print(f"{n_picks} picks of {len(micrographs)} micrographs written to {out} ({form.title})")


def _of_job(folder: Path, threshold: float | None, left_out: LeftOut | None) -> list[MicrographPicks]:
    """Read the picks of a job: those in its coordinate files, edited or not, or its scores from a threshold on."""
    from relion_ganpick.formats.left_out import reading
    from relion_ganpick.formats.micrograph_picks import MicrographPicks
    from relion_ganpick.formats.pick_files import State, check_whole, inspect_picks, read_picks
    from relion_ganpick.inspect.job import find_job
    from relion_ganpick.inspect.scores import scored_picks

    job = find_job(folder)
    sizes, found = job.pixel_sizes, []
    for index, (name, path) in enumerate(zip(job.names, job.coordinates, strict=True)):
        if not path.is_file():
            continue
        with reading(left_out, path):
            check_whole(path)
            each = MicrographPicks(name, read_picks(path), source=path, pixel_size=sizes.get(name))
            if threshold is not None:
                if inspect_picks(path).state is State.OURS:
                    each = replace(each, picks=scored_picks(job, index))
                each = each.above(threshold)
            found.append(each)
    if not found and not (left_out is not None and left_out.files):
        raise GanpickError(f"{folder}: none of the coordinate files on its list is there")
    return found
