"""What the tool says: lines on stdout and stderr, and one place where credentials are cut out of every text."""

from __future__ import annotations

import hashlib
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from relion_ganpick.core.errors import in_flags

HIDDEN = "[hidden]"
SHORTEST_SECRET = 4
CLIENT_MODULES = r"cryosparc(_tool)?(\.|$)"
CLIENT_MARK = r"\*\*\* "


class Console:
    """Says lines at once and hides secrets in them; ``flags`` names options as on a command line.

    The clients echo parts of requests in some of their errors (a server that refuses a login may send the form back,
    version 4.7 names the parameters of a failed call), so that every text which leaves the tool goes through `clean`.
    """

    def __init__(self, flags: bool = False) -> None:
        self._secrets: set[str] = set()
        self._flags = flags

    def hide(self, *secrets: str | None) -> None:
        """Never show these again, nor the sha256 sums by which passwords travel."""
        for secret in secrets:
            if secret and len(secret) >= SHORTEST_SECRET:
                self._secrets |= {secret, hashlib.sha256(secret.encode()).hexdigest()}

    def clean(self, text: str) -> str:
        """Cut the secrets out of a text."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text

    def say(self, text: str) -> None:
        """Write a line to stdout."""
        self._write(text, sys.stdout)

    def complain(self, text: str) -> None:
        """Write a line to stderr."""
        self._write(f"cryosparc_ganpick: {text}", sys.stderr)

    def _write(self, text: str, stream: TextIO) -> None:
        """Write and flush; that a closed terminal takes no more lines must not stop the work."""
        try:
            print(self.clean(in_flags(text) if self._flags else text), file=stream, flush=True)
        except OSError:
            return

    @contextmanager
    def client_warnings(self) -> Iterator[None]:
        """Turn the client's Python warnings (such as those of its own attempts) into lines of ours."""
        with warnings.catch_warnings():
            warnings.filterwarnings("always", module=CLIENT_MODULES)
            warnings.filterwarnings("always", message=CLIENT_MARK)
            warnings.filterwarnings("ignore", message=".*may not be compatible", module=CLIENT_MODULES)  # ours says it shorter
            others = warnings.showwarning

            def show(
                message: Warning | str,
                category: type[Warning],
                filename: str,
                lineno: int,
                file: TextIO | None = None,
                line: str | None = None,
            ) -> None:
                if "cryosparc" in filename or re.match(CLIENT_MARK, str(message)):
                    self.complain(f"note: {' '.join(str(message).split())}")
                else:
                    others(message, category, filename, lineno, file, line)

            warnings.showwarning = show
            yield
