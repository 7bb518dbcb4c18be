"""``ganpick inspect``: look at a job's picks in a browser, and correct them."""

from __future__ import annotations

import argparse
import webbrowser
from pathlib import Path
from urllib.parse import urlsplit

from relion_ganpick.core.errors import GanpickError

HOW = """the page is at {address}
From another machine: ssh -L {port}:127.0.0.1:{port} this-machine, then open the address there. Ctrl-C ends."""


def add_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its arguments."""
    parser = subparsers.add_parser(
        "inspect",
        help="look at picks in a browser and correct them",
        description="Serve a page on 127.0.0.1 on which the picks of a job can be looked at and corrected.",
        allow_abbrev=False,
    )
    parser.add_argument("folder", type=Path, metavar="JOB", help="the job's folder, such as External/job007")
    parser.add_argument(
        "--compare", type=Path, nargs="+", default=[], metavar="PICKS", help="other picks of the same micrographs"
    )
    parser.add_argument("--report", action="store_true", help="write report.html into the folder and end")
    parser.add_argument("--port", type=int, default=5007, help="port on 127.0.0.1; 0 takes a free one (default: 5007)")
    parser.add_argument("--browser", action="store_true", help="open the page in this machine's browser")
    parser.add_argument("--diameter", type=float, help="particle diameter in Angstrom, where the job does not say")
    parser.add_argument(
        "--contrast", choices=("dark", "bright"), help="are particles darker or brighter than the ice? (default: as the job says)"
    )
    parser.set_defaults(run=run)


def run(namespace: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C, or write the report."""
    from relion_ganpick.inspect.job import Facts, find_job
    from relion_ganpick.inspect.report import HINT, can_report

    if not can_report():
        raise GanpickError(HINT)
    if namespace.diameter is not None and not 0 < namespace.diameter < 1e6:
        raise GanpickError(f"`diameter` {namespace.diameter:g}: give a positive number in Angstrom")
    if not 0 <= namespace.port < 2**16:
        raise GanpickError(f"`port` {namespace.port}: give a number from 0 to {2**16 - 1}")
    given = Facts(diameter=namespace.diameter, contrast=namespace.contrast or "dark")
    if namespace.report:
        from relion_ganpick.inspect.contamination import ContaminationFinder
        from relion_ganpick.inspect.report import write_report

        job = find_job(namespace.folder, given)
        print(write_report(namespace.folder, given, ContaminationFinder(job)))
        return 0

    import asyncio

    from relion_ganpick.inspect.server import serve
    from relion_ganpick.inspect.session import Session

    session = Session(namespace.folder, given, namespace.compare)
    _ = session.job.diameter  # complain now, not on the page

    def say(address: str) -> None:
        print(HOW.format(address=address, port=urlsplit(address).port), flush=True)
        if namespace.browser:
            webbrowser.open(address)

    asyncio.run(serve(session, namespace.port, say))
    return 0
