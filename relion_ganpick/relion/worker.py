"""The External job's worker: one run whose results are files for RELION, and whose lines go to run.out and run.err.

It may be killed at any moment.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from relion_ganpick.adaptation.options import AdaptOptions
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.faults import hits_all, in_words, out_of_memory
from relion_ganpick.core.settings import PickRequest, RunSettings
from relion_ganpick.formats.micrographs_star import MicrographEntry
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Task
from relion_ganpick.relion.results import JobResults
from relion_ganpick.runs.prepare import make_picker
from relion_ganpick.runs.request import RunRequest
from relion_ganpick.runs.run import make_run
from relion_ganpick.runs.source import FileSource
from relion_ganpick.runs.terminal import Terminal

PROGRAM = "relion_ganpick"


def nothing() -> None:
    """Do nothing."""


def carry_out(plan: dict[str, Any], terminal: Terminal, settled: Callable[[], None] = nothing) -> int:
    """Pick everything that is missing in a job.

    Parameters
    ----------
    plan
        Folder, settings and micrographs, as the executable sends them.
    terminal
        Where lines go.
    settled
        Called when all picks are kept: whatever happens from then on, the job has succeeded.

    Returns
    -------
    Exit status, 0.
    """
    request = RunRequest(PickRequest(**plan["pick"]), RunSettings(**plan["run"]), AdaptOptions(**plan["adapt"]))
    entries = [MicrographEntry(name, pixel_size) for name, pixel_size in plan["micrographs"]]
    source = FileSource([Task(each.name, Path(each.name), each.pixel_size) for each in entries])
    picker = make_picker(request, source, Picker, PROGRAM, Path(plan["output"]))
    results = JobResults(plan["output"], entries, plan["keep_inside"], picker, Path(plan["in_mics"]))
    with terminal.bar(len(source)):
        folder = Path(plan["output"])
        try:
            make_run(source, picker, results, request.how, folder, terminal.advance, settled).carry_out()
        finally:
            results.end()
    return 0


def work(plan: dict[str, Any], settled: Callable[[], None] = nothing) -> int:
    """Carry out a plan, and turn whatever goes wrong into lines.

    Returns
    -------
    Exit status for the watching process: 0 if the job succeeded, else what `core.errors` gives the error.
    """
    terminal = Terminal(bar_title="pick")
    status = 1
    try:
        with terminal.listening():
            status = carry_out(plan, terminal, settled)
    except GanpickError as error:
        terminal.complain(f"{PROGRAM}: {error}")
        status = error.exit_code
    except OSError as error:
        where = error.filename or plan["output"]
        terminal.complain(f"{PROGRAM}: {where}: {error.strerror}; what is finished is kept; press Continue to go on")
    except Exception as error:
        if hits_all(error) or out_of_memory(error):
            terminal.complain(f"{PROGRAM}: {in_words(error)}; what is finished is kept; press Continue to go on")
            return status
        terminal.complain(traceback.format_exc())
        terminal.complain(f"{PROGRAM}: unexpected error; please report it with the lines above")
    return status
