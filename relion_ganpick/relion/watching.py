"""The worker as the job sees it: started with its plan, watched until it ends, killed when somebody wants the job to stop."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

from relion_ganpick.core import limits
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.relion.markers import ABORTED, SUCCESS, JobFolder
from relion_ganpick.relion.run_lines import complain

POLL_SECONDS = 0.1
GRACE_SECONDS = 0.5
REPORT_SECONDS = 300.0
WORKER = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from relion_ganpick.relion.child import main; main()"


class WorkerEndedError(Exception):
    """The worker has said what is wrong, and ended with a status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the worker ended with status {status}")
        self.status = status


def watch(folder: JobFolder, plan: str) -> str:
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
                complain("abort requested")
                return ABORTED
            settled = settled or _settled(hears)
            if settled and time.monotonic() - settled > REPORT_SECONDS:
                complain(f"WARNING: report.html is not ready after {REPORT_SECONDS:g} s: it is given up; the picks are complete")
                return SUCCESS
            time.sleep(POLL_SECONDS)
    finally:
        _end(worker)
    killed = "" if worker.returncode >= 0 else signal.Signals(-worker.returncode).name
    memory = _for_lack_of_memory(killed)
    if settled or _settled(hears):
        if killed:
            complain(f"WARNING: report.html is not complete: the worker was killed by {killed}{memory}; the picks are complete")
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
