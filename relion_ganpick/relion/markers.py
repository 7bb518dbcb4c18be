"""The files by which RELION and a job tell each other how it ends: exactly one marker, whatever happens."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.locks import take_lock

SUCCESS = "RELION_JOB_EXIT_SUCCESS"
FAILURE = "RELION_JOB_EXIT_FAILURE"
ABORTED = "RELION_JOB_EXIT_ABORTED"
ABORT_NOW = "RELION_JOB_ABORT_NOW"


class JobFolder:
    """A job's folder, held by one process at a time.

    Parameters
    ----------
    output
        The folder with its final slash, relative to the project.
    """

    def __init__(self, output: str) -> None:
        self.output, self.path = output, Path(output)
        self.lock: int | None = None

    def __enter__(self) -> JobFolder:
        """Make the folder, take its lock, and remove the markers of an earlier run.

        Raises
        ------
        GanpickError
            If it cannot be written, or another process works in it: its markers are that process's business then.
        """
        try:
            (self.path / ".ganpick").mkdir(parents=True, exist_ok=True)
            self.lock = take_lock(self.path / ".ganpick" / "lock")
        except BlockingIOError as error:
            raise GanpickError(
                f"{self.output}: another relion_ganpick is running in this folder; wait until it ends, or abort it first"
            ) from error
        except OSError as error:
            raise GanpickError(
                f"{self.output}: the job's folder cannot be written ({error.strerror}); check its permissions and the disk"
            ) from error
        for name in (SUCCESS, FAILURE, ABORTED):
            self._remove(name)
        if not self._abort_is_new():
            self._remove(ABORT_NOW)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let go of the lock."""
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None

    def abort_requested(self) -> bool:
        """Whether RELION asks the job to stop."""
        return (self.path / ABORT_NOW).exists()

    def end(self, marker: str) -> None:
        """Leave one marker and no other, and let an open RELION window notice."""
        for name in {SUCCESS, FAILURE, ABORTED, ABORT_NOW} - {marker}:
            self._remove(name)
        (self.path / marker).touch()
        if Path(".gui_projectdir").exists():
            with contextlib.suppress(OSError):
                Path(".pipeline_has_changed").touch()

    def _abort_is_new(self) -> bool:
        """RELION removes old requests before it starts us, so one that is younger than job.star is meant for us."""
        try:
            return (self.path / ABORT_NOW).stat().st_mtime_ns >= (self.path / "job.star").stat().st_mtime_ns
        except OSError:
            return False

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self.path / name).unlink(missing_ok=True)
