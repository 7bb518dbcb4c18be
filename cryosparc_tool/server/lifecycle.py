"""The beginning and the end of an external job: one context owns both, and knows every way out.

The client's own ``job.run()`` marks a job as completed when it is stopped by Ctrl-C or a signal; this one never does. A
job is completed only by the last line of the context's body; every error, signal and Ctrl-C ends it as failed with a
message; and a job that somebody has killed, cleared or deleted in the web interface is left as it is.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from cryosparc_tool.console import Console
from cryosparc_tool.server.interface import ENDED, STARTED, ExternalJob
from cryosparc_tool.server.retry import in_words, is_client_error, patiently, server_code
from relion_ganpick.core.errors import GanpickError

LONGEST_MESSAGE = 500
"""The message travels in an address, which must not be long."""

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class StoppedError(BaseException):
    """A signal asks us to end; no ``except Exception`` of a library may swallow it."""


class JobEndedError(GanpickError):
    """The job was ended from outside."""


@contextmanager
def in_charge(job: ExternalJob, console: Console) -> Iterator[None]:
    """Answer for a job's end.

    The body prepares, starts and fills the job; when it is through, the job is completed.
    """
    try:
        yield
        _complete(job, console)
    except JobEndedError:
        raise
    except BaseException as error:
        with _one_more_signal_ends():
            _fail(job, error, console)
        raise


def start(job: ExternalJob, console: Console) -> None:
    """Mark a job as running; an answer that got lost is not taken for a refusal."""

    def begin() -> None:
        try:
            job.start()
        except Exception as error:
            if not is_client_error(error) or _status(job) not in STARTED:
                raise

    patiently(begin, f"starting {job.uid}", console)


def check_not_ended(job: ExternalJob) -> None:
    """Look whether somebody has ended the job.

    Raises
    ------
    JobEndedError
        If so.
    """
    try:
        status = job.status()
    except Exception as error:
        if server_code(error) == 404:
            raise JobEndedError(f"{job.uid} is not there any more: was it deleted?") from error
        if is_client_error(error):
            return  # the server cannot be asked now; the next look or the save will tell
        raise
    if status in ENDED or status == "building":
        raise JobEndedError(f"{job.uid} is {status}: somebody ended it in CryoSPARC")


def _complete(job: ExternalJob, console: Console) -> None:
    def end() -> None:
        try:
            job.complete()
        except Exception as error:
            if not is_client_error(error) or _status(job) != "completed":
                raise

    patiently(end, f"completing {job.uid}", console)


def _fail(job: ExternalJob, error: BaseException, console: Console) -> None:
    """Mark a job as failed, whatever else is wrong; if even that fails, say so."""
    message = console.clean(_message(error))[:LONGEST_MESSAGE]
    try:
        patiently(lambda: job.fail(message), f"marking {job.uid} as failed", console)
    except Exception as second:
        if _status(job) in ("failed", "killed"):
            return
        console.complain(
            f"{job.uid} could not be marked as failed ({in_words(second)}): CryoSPARC may show it as running until "
            f"`resume` {job.uid} finishes it"
        )


def _message(error: BaseException) -> str:
    if isinstance(error, (GanpickError, StoppedError)):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "stopped by Ctrl-C"
    return in_words(error)


def _status(job: ExternalJob) -> str | None:
    with suppress(Exception):
        return job.status()
    return None


@contextmanager
def signals_as_errors() -> Iterator[None]:
    """Turn signals into `StoppedError`, but for those that our parent ignores (nohup ignores SIGHUP)."""

    def stop(number: int, _: FrameType | None) -> None:
        raise StoppedError(f"stopped by {signal.Signals(number).name}")

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _one_more_signal_ends() -> Iterator[None]:
    """While a job is being ended, repeated SIGTERMs change nothing, and another Ctrl-C stops the waiting."""
    try:
        before = {number: signal.getsignal(number) for number in SIGNALS}
        for number in SIGNALS:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_IGN)
    except ValueError:  # not in the main thread: nobody sends signals here
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
