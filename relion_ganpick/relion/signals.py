"""Signals that ask a job to end: the first becomes an exception, so that the job still leaves its marker."""

from __future__ import annotations

import signal
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_stopped_by: list[str] = []


class StoppedError(Exception):
    """A signal asks us to end."""


def block_signals() -> None:
    """Hold signals back until the job's folder is held, so that each of them leads to a marker."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def let_signals_in() -> None:
    """Let those come that were held back, too."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def catch_signals() -> None:
    """Turn the first signal into an exception, but for those that our parent ignores (RELION ignores SIGINT, nohup SIGHUP)."""

    def stop(number: int, _: FrameType | None) -> None:
        ignore_signals()
        _stopped_by.append(signal.Signals(number).name)
        raise StoppedError(_stopped_by[0])

    _stopped_by.clear()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)


def stopped_by() -> str | None:
    """Name of the signal that has asked us to end; None if none has."""
    return _stopped_by[0] if _stopped_by else None


def ignore_signals() -> None:
    """From now on we are ending: a second signal must not keep us from the lists and the marker."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
