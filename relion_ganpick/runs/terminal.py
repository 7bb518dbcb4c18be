"""How a command speaks: lines on stdout and stderr with options as flags, and a bar for a person at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TextIO

from tqdm import tqdm

from relion_ganpick.core import lines
from relion_ganpick.core.errors import in_flags
from relion_ganpick.core.text import printable


class Terminal:
    """Writes lines at once. That a line cannot be written, to a full disk or a closed window, must not stop the work.

    Parameters
    ----------
    prefix
        Begins every line on stderr.
    bar_title
        Stands before the bar.
    """

    def __init__(self, prefix: str = "", bar_title: str = "") -> None:
        self._prefix, self._title = prefix, bar_title
        self._bar: tqdm[None] | None = None

    def say(self, text: str) -> None:
        """Write a line to stdout."""
        self._write(in_flags(text), sys.stdout)

    def complain(self, text: str) -> None:
        """Write a line to stderr."""
        self._write(self._prefix + in_flags(text), sys.stderr)

    def listening(self) -> AbstractContextManager[None]:
        """Write what the package logs, as long as the context lasts."""
        return lines.listening(self.say, self.complain)

    @contextmanager
    def bar(self, total: int) -> Iterator[None]:
        """Show a bar to a person at a terminal, and nothing to a log file."""
        if not sys.stdout.isatty():
            yield
            return
        with tqdm(total=total, file=sys.stdout, desc=self._title, unit="micrograph") as bar:
            self._bar = bar
            try:
                yield
            finally:
                self._bar = None

    def advance(self, done: int) -> None:
        """Bring the bar to a number of micrographs."""
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    def _write(self, text: str, stream: TextIO) -> None:
        text = printable(text)
        try:
            if self._bar is not None:
                self._bar.write(text, file=stream)
            else:
                print(text, file=stream, flush=True)
        except OSError:
            return
