"""What the tool says: lines on stdout and stderr, and one place where credentials are cut out of every text."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO
from urllib.parse import quote, quote_plus

from relion_ganpick.core.errors import in_flags

HIDDEN = "[hidden]"
SHORTEST_ANYWHERE, LONGEST_ALONE = 4, 32
"""A shorter secret is cut out only where it stands alone: "a" is a part of nearly every word."""
BEFORE, AFTER = r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt]))", r"(?![A-Za-z0-9])"
CLIENT_MODULES = r"cryosparc(_tool)?(\.|$)"
CLIENT_MARK = r"\*\*\* "


class Console:
    """Says lines at once and hides secrets in them; ``flags`` names options as on a command line.

    The clients echo parts of requests in some of their errors (a server that refuses a login may send the form back,
    version 4.7 names the parameters of a failed call), so that every text which leaves the tool goes through `clean`.
    """

    def __init__(self, flags: bool = False) -> None:
        self._secrets: dict[str, bool] = {}
        self._pattern: re.Pattern[str] | None = None
        self._flags = flags

    def hide(self, *secrets: str | None) -> None:
        """Never show these again, in whatever way they are written, nor the sha256 sums by which passwords travel."""
        for secret in secrets:
            if secret:
                self._secrets |= {way: len(secret) < SHORTEST_ANYWHERE for way in written(secret)}
        self._pattern = _pattern(self._secrets) if self._secrets else None

    def clean(self, text: str) -> str:
        """Cut the secrets out of a text."""
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)

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


def written(secret: str) -> set[str]:
    """List the ways in which clients and servers write a secret: as it is, in forms, JSON, HTML and Python, and sums of it."""
    data = secret.encode(errors="surrogateescape")
    percent = {quote(data, safe=""), quote(data), quote_plus(data)}
    percent |= {re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), each) for each in percent}
    in_json = {json.dumps(secret, ensure_ascii=ascii)[1:-1] for ascii in (True, False)}
    in_json |= {each.replace("/", "\\/") for each in in_json}
    in_python = {repr(secret)[1:-1], ascii(secret)[1:-1], repr(data)[2:-1]}
    sums = {hashlib.sha256(data).hexdigest(), base64.b64encode(data).decode()}
    twice = {json.dumps(each)[1:-1] for each in in_json}  # a server's JSON within a client's
    return {each for each in {secret, html.escape(secret)} | percent | in_json | in_python | sums | twice if each}


def _pattern(secrets: Mapping[str, bool]) -> re.Pattern[str]:
    """Match any of the secrets, the longest first; short ones only where they stand alone."""
    parts = []
    for secret in sorted(secrets, key=len, reverse=True):
        exactly = re.escape(secret)
        parts.append(f"{BEFORE}{exactly}{AFTER}" if secrets[secret] and len(secret) < LONGEST_ALONE else exactly)
    return re.compile("|".join(parts))
