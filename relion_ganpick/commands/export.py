"""``ganpick export``: a job's picks into the files of another program."""

from __future__ import annotations

import argparse
from pathlib import Path

from relion_ganpick.commands import pick_sources
from relion_ganpick.commands.leaving_out import leaving_out


def add_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its arguments."""
    parser = subparsers.add_parser(
        "export",
        help="write a job's picks for another program",
        description="Write the picks of a job for RELION, CryoSPARC, Topaz, crYOLO, EMAN, as CSV or COCO. Corrections count. "
        "With --threshold, all scored picks are cut anew, but for micrographs that were edited.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "folder", type=Path, metavar="JOB", help="folder of a RELION job, such as External/job007, or of a CryoSPARC run"
    )
    pick_sources.add_output(parser)
    pick_sources.add_input(parser)
    parser.set_defaults(run=run)


def run(namespace: argparse.Namespace) -> int:
    """Export."""
    pick_sources.check(namespace)
    from relion_ganpick.core.errors import GanpickError
    from relion_ganpick.formats.micrograph_list import completed, known_micrographs

    folder = namespace.folder
    if not any((folder / name).is_file() for name in (pick_sources.LIST_FILE, pick_sources.DATASET)):
        raise GanpickError(f"{folder}: no folder of a job that has picked; for files of other programs take ganpick convert")
    with leaving_out() as left_out:
        picks = pick_sources.read_source([folder], namespace.threshold, left_out=left_out)
        if namespace.diameter is None:
            namespace.diameter = pick_sources.diameter_of(folder)
        known = known_micrographs(namespace.micrographs, namespace.angpix)
        picks = completed(picks, known, namespace.angpix, left_out)
        left_out.check_some(picks)
        pick_sources.deliver(picks, namespace)
    return 0
