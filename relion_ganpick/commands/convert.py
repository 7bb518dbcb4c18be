"""``ganpick convert``: picks of any program into the files of any other."""

from __future__ import annotations

import argparse
from pathlib import Path

from relion_ganpick.commands import pick_sources
from relion_ganpick.commands.leaving_out import leaving_out
from relion_ganpick.commands.pick_sources import FORMATS


def add_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its arguments."""
    parser = subparsers.add_parser(
        "convert",
        help="take picks from any program to any other",
        description="Read picks of RELION, CryoSPARC, Topaz, crYOLO, EMAN, CSV or COCO files and write them in another format. "
        "The page Data formats says how each of them counts.",
        allow_abbrev=False,
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="PATH", help="files of picks, folders of them, or a job's folder")
    pick_sources.add_output(parser)
    parser.add_argument("--from", dest="from_format", choices=FORMATS, help="format to read (default: as each file says)")
    pick_sources.add_input(parser)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="multiply coordinates by this, for picks made on smaller pictures (default: 1)"
    )
    parser.add_argument("--flip_y", action="store_true", help="count rows from the other end; see ganpick check-orientation")
    parser.set_defaults(run=run)


def run(namespace: argparse.Namespace) -> int:
    """Convert."""
    pick_sources.check(namespace)
    from relion_ganpick.formats.exchange import FORMATS as KNOWN
    from relion_ganpick.formats.exchange import in_our_rows
    from relion_ganpick.formats.micrograph_list import completed, known_micrographs

    form = KNOWN[namespace.from_format] if namespace.from_format else None
    with leaving_out() as left_out:
        picks = pick_sources.read_source(namespace.files, namespace.threshold, form, left_out)
        left_out.check_some(picks)
        if namespace.scale != 1:
            picks = [each.scaled(namespace.scale) for each in picks]
        known = known_micrographs(namespace.micrographs, namespace.angpix)
        picks = in_our_rows(completed(picks, known, namespace.angpix, left_out))
        left_out.check_some(picks)
        if namespace.flip_y:
            picks = [each.turned() for each in picks]
        pick_sources.deliver(picks, namespace)
    return 0
