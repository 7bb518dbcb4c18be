"""The External job's executable: starts the worker, watches it, and answers for the job's end.

A small process without torch holds the job's folder, so that a crash, a kill for lack of memory or a hung disk in
the worker still ends the job properly, and an abort takes effect at once. The worker can be killed at any moment:
every file appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from relion_ganpick.core import limits
from relion_ganpick.core.errors import GanpickError, in_flags
from relion_ganpick.core.limits import check_memory, no_memory_to_start
from relion_ganpick.core.settings import PickRequest
from relion_ganpick.core.text import printable
from relion_ganpick.core.threads import wait_asleep
from relion_ganpick.relion.markers import ABORTED, FAILURE, SUCCESS, JobFolder
from relion_ganpick.relion.options import JobOptions, find_project, find_value, make_parser, parse
from relion_ganpick.version import __version__

if TYPE_CHECKING:
    from relion_ganpick.relion.generation import Generation

POLL_SECONDS = 0.1
GRACE_SECONDS = 0.5
REPORT_SECONDS = 300.0
WORKER = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from relion_ganpick.relion.child import main; main()"


class StoppedError(Exception):
    """A signal asks us to end."""


class WorkerEndedError(Exception):
    """The worker has said what is wrong, and ended with a status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the worker ended with status {status}")
        self.status = status


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
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    _catch_signals()
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
        _complain(str(error))
    except OSError as error:
        _complain(f"{output}: the job's marker cannot be written ({error.strerror})")
    except StoppedError as stopped:
        _complain(f"stopped by {stopped}")
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
    _complain("the job's folder is missing: give --o")
    return 1


def _hold(folder: JobFolder, argv: Sequence[str], in_mics: str | None) -> int:
    """Carry out the job, and leave exactly one marker."""
    marker, status = FAILURE, 1
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        if "--help" in argv or "--version" in argv:
            _without_folder(["--version"] if "--version" in argv else ["--help"])
        else:
            marker = _carry_out(folder, parse(argv, folder.output, in_mics))
    except WorkerEndedError as ended:
        status = ended.status
    except GanpickError as error:
        _complain(str(error))
        status = error.exit_code
    except StoppedError as stopped:
        _complain(f"stopped by {stopped}")
    except OSError as error:
        _complain(
            no_memory_to_start(error)
            or f"{error.filename or folder.output}: {error.strerror}; what is finished is kept; press Continue to go on"
        )
    except Exception as error:
        no_memory = no_memory_to_start(error)
        if no_memory:
            _complain(no_memory)
        elif _stopped_by:  # in the middle of an import, whose extension made another error of it
            _complain(f"stopped by {_stopped_by[0]}")
        else:
            traceback.print_exc()
            _complain(f"unexpected error ({error!r}); please report it with the lines above")
    finally:
        try:
            _ignore_signals()
        except StoppedError as stopped:
            _complain(f"{stopped} came when the job had ended")
        folder.end(marker)
    return 0 if marker == SUCCESS else status


def _carry_out(folder: JobFolder, options: JobOptions) -> str:
    """Check, start the worker, wait for its end or for a wish to stop, and declare what is there."""
    check_memory()
    from relion_ganpick.core.files import leftovers
    from relion_ganpick.core.lines import listening
    from relion_ganpick.relion.generation import find_generation
    from relion_ganpick.relion.inputs import read_input, with_a_place
    from relion_ganpick.relion.outputs import write_lists

    generation = find_generation(folder.path / "job.star", options.relion_version)
    with listening(_say, _complain):
        listed = read_input(Path(options.in_mics), options.run.angpix)
        entries = with_a_place(listed, options.output, generation.node_label is not None)
    for note in options.notes:
        _say(f"note: {note}")
    without = sum(entry.pixel_size is None for entry in entries)
    if without:
        _complain(f"WARNING: {options.in_mics} gives no pixel size for {without} micrographs: that in their headers is used")
    _clear(leftovers(folder.path))
    _size_circles(folder, options.pick, entries[0].pixel_size, generation)
    plan = {
        "output": options.output,
        "in_mics": options.in_mics,
        "keep_inside": generation.node_label is not None,
        "pick": asdict(options.pick),
        "run": asdict(options.run),
        "adapt": asdict(options.adapt),
        "micrographs": [[entry.name, entry.pixel_size] for entry in entries],
    }
    marker = FAILURE
    try:
        marker = _watch(folder, json.dumps(plan))
    finally:
        _clear(leftovers(folder.path))
        finished = write_lists(options.output, options.in_mics, [entry.name for entry in entries], generation)
        _size_circles(folder, options.pick, entries[0].pixel_size, generation)
        if marker != SUCCESS and finished:
            _complain(f"{finished} micrographs are finished and kept; press Continue to go on")
    return marker


def _size_circles(folder: JobFolder, pick: PickRequest, pixel_size: float | None, generation: Generation) -> None:
    """Tell the project's Display how large the particles are, as soon as that is known."""
    from relion_ganpick.picking.diameter_record import DIAMETER_FILE, read_record
    from relion_ganpick.relion.outputs import write_manual_pick_settings

    diameter = read_record(folder.path / DIAMETER_FILE) if isinstance(pick.diameter, str) else pick.diameter
    in_project = (folder.path / "job.star").exists() or Path("default_pipeline.star").exists()
    if in_project and diameter is not None:
        write_manual_pick_settings(Path(), diameter, pixel_size, generation)


def _watch(folder: JobFolder, plan: str) -> str:
    """Run the worker; returns the marker that its end calls for, and raises if it failed."""
    paths = json.dumps([path for path in sys.path if path])
    lock = () if folder.lock is None else (folder.lock,)
    hears, says = os.pipe()
    os.set_blocking(hears, False)
    command = [sys.executable, "-I", "-c", WORKER, paths, str(says)]
    try:
        worker = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(*lock, says))
    finally:
        os.close(says)
    try:
        return _hear(worker, folder, plan, hears)
    finally:
        os.close(hears)


def _hear(worker: subprocess.Popen[bytes], folder: JobFolder, plan: str, hears: int) -> str:
    """Give the worker its plan and wait for it; once it has said that all picks are kept, no trouble is the job's."""
    assert worker.stdin is not None
    settled = None
    try:
        try:
            worker.stdin.write(plan.encode() + b"\n")
            worker.stdin.flush()
        except BrokenPipeError:
            time.sleep(GRACE_SECONDS)
        while worker.poll() is None:
            if folder.abort_requested():
                _complain("abort requested")
                return ABORTED
            settled = settled or _settled(hears)
            if settled and time.monotonic() - settled > REPORT_SECONDS:
                _complain(f"WARNING: report.html is not ready after {REPORT_SECONDS:g} s: it is given up; the picks are complete")
                return SUCCESS
            time.sleep(POLL_SECONDS)
    finally:
        _end(worker)
    killed = "" if worker.returncode >= 0 else signal.Signals(-worker.returncode).name
    memory = _for_lack_of_memory(killed)
    if settled or _settled(hears):
        if killed:
            _complain(f"WARNING: report.html is not complete: the worker was killed by {killed}{memory}; the picks are complete")
        return SUCCESS
    if killed:
        raise GanpickError(f"the worker was killed by {killed}{memory}")
    if worker.returncode:
        raise WorkerEndedError(worker.returncode)
    return SUCCESS


def _settled(hears: int) -> float | None:
    """When the worker's word was heard that all picks are kept; None as long as it has not come."""
    try:
        return time.monotonic() if os.read(hears, 1) else None
    except BlockingIOError:
        return None


def _for_lack_of_memory(name: str) -> str:
    """Say that memory may be why the worker was killed: the system kills, and under a limit the libraries crash."""
    limit = limits.in_words()
    if limit and name in ("SIGKILL", "SIGSEGV", "SIGABRT", "SIGBUS"):
        return f": out of memory? {limit}"
    return ": out of memory?" if name == "SIGKILL" else ""


def _end(worker: subprocess.Popen[bytes]) -> None:
    if worker.poll() is None:
        worker.terminate()
        try:
            worker.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            worker.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # a process that hangs on a disk dies when the disk answers
                worker.wait(GRACE_SECONDS)


def _clear(paths: Iterable[Path]) -> None:
    for path in list(paths):
        path.unlink(missing_ok=True)


_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_stopped_by: list[str] = []


def _catch_signals() -> None:
    """Turn the first signal into an exception, but for those that our parent ignores (RELION ignores SIGINT, nohup SIGHUP).

    They are blocked until the job's folder is held, so that each of them leads to a marker.
    """

    def stop(number: int, _: FrameType | None) -> None:
        _ignore_signals()
        _stopped_by.append(signal.Signals(number).name)
        raise StoppedError(_stopped_by[0])

    _stopped_by.clear()
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)


def _ignore_signals() -> None:
    """From now on we are ending: a second signal must not keep us from the lists and the marker."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _say(text: str) -> None:
    """Write one line to run.out."""
    print(printable(in_flags(text)), flush=True)


def _complain(text: str) -> None:
    """Write one line to run.err, if it can be written at all: a full disk must not hide the marker."""
    try:
        print(printable(f"relion_ganpick: {in_flags(text)}"), file=sys.stderr, flush=True)
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main())
