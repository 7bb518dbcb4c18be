"""Lines for people: what the package logs becomes lines on the streams of whoever runs it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PACKAGE = "relion_ganpick"
Say = Callable[[str], None]


class _Lines(logging.Handler):
    """Hands every record on as one line: information to one function, what is wrong to another."""

    def __init__(self, say: Say, complain: Say) -> None:
        super().__init__(logging.INFO)
        self._say, self._complain = say, complain

    def emit(self, record: logging.LogRecord) -> None:
        """Hand one record on; warnings begin with the word, errors speak for themselves."""
        text = record.getMessage()
        if record.levelno >= logging.ERROR:
            self._complain(text)
        elif record.levelno >= logging.WARNING:
            self._complain(f"WARNING: {text}")
        else:
            self._say(text)


@contextmanager
def listening(say: Say, complain: Say) -> Iterator[None]:
    """Hear what the package has to say, as long as the context lasts.

    Parameters
    ----------
    say
        Takes lines about what is done.
    complain
        Takes lines about what is wrong; warnings begin with "WARNING: ".
    """
    logger, handler = logging.getLogger(PACKAGE), _Lines(say, complain)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
