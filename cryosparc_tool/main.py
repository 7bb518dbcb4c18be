"""The executable cryosparc_ganpick: exposures of a CryoSPARC job in, picks out as an external job."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from cryosparc_tool.console import Console
from cryosparc_tool.options import parse
from cryosparc_tool.server.lifecycle import StoppedError, signals_as_errors
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.limits import check_memory, no_memory_to_start
from relion_ganpick.core.threads import wait_asleep

STOPPED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv
        Words after the program's name; by default those it was called with.

    Returns
    -------
    Exit status: 0 if all is well, 1 after an error, 3 for a model, 4 for a device, 5 for workers that are missing or lost, 130
    when stopped by a signal.
    """
    wait_asleep()
    console = Console(flags=True)
    try:
        namespace = vars(parse(sys.argv[1:] if argv is None else argv))
        if "project" not in namespace:
            raise GanpickError("`project` is missing: give the project's uid, such as P3; --help lists the options")
        check_memory()
        with signals_as_errors():
            from cryosparc_tool.api import pick_exposures

            pick_exposures(console=console, **namespace)
    except GanpickError as error:
        console.complain(str(error))
        return error.exit_code
    except OSError as error:
        console.complain(f"{error.filename or ''}: {error.strerror or error}")
        return 1
    except (StoppedError, KeyboardInterrupt) as error:
        console.complain(str(error) or "stopped by Ctrl-C")
        return STOPPED
    except Exception as error:
        no_memory = no_memory_to_start(error)
        if no_memory:
            console.complain(no_memory)
            return 1
        console.complain(traceback.format_exc())
        console.complain(f"unexpected error ({error!r}); please report it with the lines above")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
