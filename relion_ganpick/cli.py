"""The command ``ganpick``: pick, watch, adapt, inspect, export, convert, merge, simulate, evaluate and more."""

from __future__ import annotations

import argparse
import sys

from relion_ganpick.commands import (
    adapt,
    check_orientation,
    convert,
    evaluate,
    export,
    inspect,
    merge,
    models,
    pick,
    simulate,
    train,
    watch,
)
from relion_ganpick.core.errors import GanpickError, in_flags
from relion_ganpick.core.limits import no_memory_to_start
from relion_ganpick.core.threads import wait_asleep
from relion_ganpick.version import __version__

STOPPED = 130
LEARNING = ("--approved", "--adapt")


def make_parser() -> argparse.ArgumentParser:
    """Build the parser; importing torch is left to the subcommands when they run."""
    parser = argparse.ArgumentParser(
        prog="ganpick",
        description="Label-free particle picking with a conditional GAN. Lengths are in Angstrom, coordinates in pixels.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"ganpick {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (pick, watch, adapt, inspect, export, convert, merge, simulate, evaluate, check_orientation, train, models):
        command.add_command(subparsers)
    return parser


def about_unknown(words: list[str]) -> str:
    """Say that words are not understood; what another command does is named."""
    option = words[0].partition("=")[0]
    if option not in LEARNING:
        return f"unrecognized arguments: {' '.join(words)}"
    return f"{option} is not an option of this command: learn first, with ganpick adapt, and give its model to --model"


def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv
        Words after the program's name; by default those it was called with.

    Returns
    -------
    Exit status: 0, also where no picks were found; 1 for input that cannot be used; 3 for a model, 4 for a device, 5 for workers
    that are missing or lost; 130 after Ctrl-C. Wrong usage exits with 2.
    """
    wait_asleep()
    parser = make_parser()
    namespace, unknown = parser.parse_known_args(argv)
    if unknown:
        parser.error(about_unknown(unknown))
    try:
        status: int = namespace.run(namespace)
    except (GanpickError, OSError) as error:
        print(f"ganpick: {in_flags(str(error))}", file=sys.stderr)
        return error.exit_code if isinstance(error, GanpickError) else 1
    except (ImportError, MemoryError, RuntimeError) as error:
        line = no_memory_to_start(error)
        if line is None:
            raise
        print(f"ganpick: {line}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ganpick: stopped", file=sys.stderr)
        return STOPPED
    return status


if __name__ == "__main__":
    sys.exit(main())
