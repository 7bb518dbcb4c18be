"""The External job's executable: starts the worker, watches it, and answers for the job's end.

A small process without torch holds the job's folder, so that a crash, a kill for lack of memory or a hung disk in
the worker still ends the job properly, and an abort takes effect at once. The worker can be killed at any moment:
every file appears whole or not at all.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.limits import no_memory_to_start
from relion_ganpick.core.threads import wait_asleep
from relion_ganpick.relion.job import carry_out
from relion_ganpick.relion.markers import FAILURE, SUCCESS, JobFolder
from relion_ganpick.relion.options import find_project, find_value, make_parser, parse
from relion_ganpick.relion.run_lines import complain
from relion_ganpick.relion.signals import StoppedError, block_signals, catch_signals, ignore_signals, let_signals_in, stopped_by
from relion_ganpick.relion.watching import WorkerEndedError
from relion_ganpick.version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run the External job.

    Parameters
    ----------
    argv
        Words after the executable; `sys.argv` by default.

    Returns
    -------
    Exit status: 0 if the job succeeded, else 1, or 3 for a model, 4 for a device, 5 for workers that are missing or lost. The
    marker in the job's folder says the same.
    """
    if argv is None:
        _leave_foreign_environment()
    wait_asleep()
    argv = list(sys.argv[1:] if argv is None else argv)
    output = find_value(argv, "--o")
    if output is None:
        return _without_folder(argv)
    block_signals()
    catch_signals()
    try:
        try:
            project, output, in_mics = find_project(output, find_value(argv, "--in_mics"), find_value(argv, "--project_dir"))
        except GanpickError:
            with JobFolder(output.rstrip("/") + "/") as folder:
                folder.end(FAILURE)
            raise
        os.chdir(project)
        with JobFolder(output) as folder:
            return _hold(folder, argv, in_mics)
    except GanpickError as error:
        complain(str(error))
    except OSError as error:
        complain(f"{output}: the job's marker cannot be written ({error.strerror})")
    except StoppedError as stopped:
        complain(f"stopped by {stopped}")
    return 1


def _leave_foreign_environment() -> None:
    """Start the installed script anew without the PYTHONPATH that RELION was started with: its packages are not ours."""
    if "PYTHONPATH" in os.environ and Path(sys.argv[0]).name == "relion_ganpick":
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        os.execve(sys.executable, [sys.executable, *sys.argv], clean)


def _without_folder(argv: Sequence[str]) -> int:
    if "--version" in argv:
        print(f"relion_ganpick {__version__}")
        return 0
    print(make_parser().format_help())
    if "--help" in argv:
        return 0
    complain("the job's folder is missing: give --o")
    return 1


def _hold(folder: JobFolder, argv: Sequence[str], in_mics: str | None) -> int:
    """Carry out the job, and leave exactly one marker."""
    marker, status = FAILURE, 1
    try:
        let_signals_in()
        if "--help" in argv or "--version" in argv:
            _without_folder(["--version"] if "--version" in argv else ["--help"])
        else:
            marker = carry_out(folder, parse(argv, folder.output, in_mics))
    except WorkerEndedError as ended:
        status = ended.status
    except GanpickError as error:
        complain(str(error))
        status = error.exit_code
    except StoppedError as stopped:
        complain(f"stopped by {stopped}")
    except OSError as error:
        complain(
            no_memory_to_start(error)
            or f"{error.filename or folder.output}: {error.strerror}; what is finished is kept; press Continue to go on"
        )
    except Exception as error:
        no_memory = no_memory_to_start(error)
        if no_memory:
            complain(no_memory)
        elif stopped_by():  # in the middle of an import, whose extension made another error of it
            complain(f"stopped by {stopped_by()}")
        else:
            traceback.print_exc()
            complain(f"unexpected error ({error!r}); please report it with the lines above")
    finally:
        try:
            ignore_signals()
        except StoppedError as stopped:
            complain(f"{stopped} came when the job had ended")
        folder.end(marker)
    return 0 if marker == SUCCESS else status


if __name__ == "__main__":
    sys.exit(main())
