"""``ganpick watch``: pick micrographs as they arrive."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.options import add_options, settings_from
from relion_ganpick.core.settings import PickRequest, RunSettings
from relion_ganpick.runs.watch_settings import WatchSettings

STOP_FILE = "STOP"
ONE_PROCESS = ("angpix", "device", "gpu", "j", "overlays")


def add_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its arguments."""
    parser = subparsers.add_parser(
        "watch",
        help="pick micrographs as they arrive",
        description="Pick micrographs as they arrive in a folder, or as rows appear in a STAR file. Writes "
        "DIR/<micrograph>_autopick.star for each, DIR/autopick.star, DIR/summary.star, and a line of JSON on standard output.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "watched", type=Path, metavar="FOLDER_OR_STAR", help="where micrographs arrive, or the file that lists them"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the coordinates")
    parser.add_argument("--stop_file", type=Path, metavar="FILE", help=f"end when this file appears (default: DIR/{STOP_FILE})")
    parser.add_argument("--renew", action="store_true", help="choose diameters and evidence anew, and pick everything again")
    add_options(parser, PickRequest)
    add_options(parser, RunSettings, ONE_PROCESS)
    add_options(parser, WatchSettings)
    parser.set_defaults(run=run)


def run(namespace: argparse.Namespace) -> int:
    """Watch until it is to end.

    Returns
    -------
    Exit status: 0 also if some micrographs could not be used, since each has its line; 1 if none could.
    """
    pick, how = settings_from(PickRequest, namespace), settings_from(RunSettings, namespace)
    settings = settings_from(WatchSettings, namespace)
    watched, out = namespace.watched, namespace.out
    place, is_list = _place(watched)

    from relion_ganpick.runs.arrivals import Arrivals, in_folder, in_star
    from relion_ganpick.runs.request import RunRequest
    from relion_ganpick.runs.terminal import Terminal
    from relion_ganpick.runs.watch import Watch

    listed = in_star(watched, how.angpix) if is_list else in_folder(watched, how.angpix, out)
    arrivals = Arrivals(listed, settings.patience)
    stop_file = namespace.stop_file or out / STOP_FILE
    terminal = Terminal("ganpick: ")
    with _listening(terminal), _ended_by_signals():
        watch = Watch(RunRequest(pick, how), arrivals, out, _targets(watched, out), settings, stop_file, _tell)
        watch.carry_out(place, namespace.renew)
    return 1 if watch.failures and not watch.rows else 0


def _place(watched: Path) -> tuple[Path, bool]:
    """Find the folder to watch, and whether a list in it is meant.

    Raises
    ------
    GanpickError
        If there is none.
    """
    is_list = watched.suffix == ".star"
    place = watched.parent if is_list else watched
    if not place.is_dir():
        raise GanpickError(f"{place}: no such folder; make it before the watch begins")
    return place, is_list


def _targets(watched: Path, out: Path) -> Callable[[str], Path]:
    """Make what names coordinate files: as the micrographs lie below the folder, or by RELION's rules for those of a list."""
    from relion_ganpick.core.files import fitted
    from relion_ganpick.relion.names import inside_stem

    def target(name: str) -> Path:
        if watched.suffix == ".star":
            return out / f"{inside_stem(name)}_autopick.star"
        inside = Path(name).relative_to(watched)
        stem = inside.name.removesuffix(".gz").removesuffix(".bz2")
        return out / inside.parent / f"{fitted(Path(stem).stem)}_autopick.star"

    return target


def _tell(about: dict[str, Any]) -> None:
    """Write a line of JSON; whoever reads may have gone."""
    try:
        print(json.dumps(about), flush=True)
    except BrokenPipeError as error:
        raise KeyboardInterrupt from error


def _listening(terminal: Any) -> contextlib.AbstractContextManager[None]:
    """Lines for people go to standard error: standard output is for programs."""
    from relion_ganpick.core import lines

    return lines.listening(terminal.complain, terminal.complain)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the watch as Ctrl-C does: what was picked is listed."""

    def stop(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
