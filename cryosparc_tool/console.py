"""What the tool says: lines on stdout and stderr, and one place where credentials are cut out of every text."""

from __future__ import annotations

import hashlib
import re
import sys
import warnings
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html.entities import codepoint2name
from typing import TextIO
from unicodedata import normalize

from relion_ganpick.core.errors import in_flags

HIDDEN = "[hidden]"
SHORTEST_ANYWHERE = 4
"""A shorter secret is cut out only where it stands alone: "a" is a part of nearly every word."""
BEFORE, AFTER = r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt]))", r"(?![A-Za-z0-9])"
APOSTROPHE, SLASHES = "'", r"(?:\\|%(?:25){0,3}5[Cc]|&#92;)"
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
        self._secrets |= {secret: len(secret) < SHORTEST_ANYWHERE for secret in secrets if secret}
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


def _pattern(secrets: Mapping[str, bool]) -> re.Pattern[str]:
    """Match any of the secrets, the longest first; short ones only where they stand alone."""
    parts = []
    for secret in sorted(secrets, key=len, reverse=True):
        forms = sorted({secret, normalize("NFC", secret), normalize("NFD", secret)})
        anyhow = "|".join("".join(map(_part, re.findall(r"\\+|[^\\]", form))) for form in forms)
        parts += [re.escape(each) for each in sorted(_derived(secret), key=len, reverse=True)]
        parts.append(f"{BEFORE}(?:{anyhow}){AFTER}" if secrets[secret] else anyhow)
    return re.compile("|".join(parts))


def _derived(secret: str) -> set[str]:
    """List what is computed from a secret: sums by which passwords travel, and base64."""
    data = secret.encode(errors="surrogateescape")
    sums = [hashlib.new(kind, data) for kind in ("sha256", "md5", "sha1")]
    hexadecimal = {each.hexdigest() for each in sums}
    in_base64 = {
        encode(each).decode() for encode in (b64encode, urlsafe_b64encode) for each in (data, *(s.digest() for s in sums))
    }
    return {each for each in hexadecimal | {each.upper() for each in hexadecimal} | in_base64 if len(each) >= SHORTEST_ANYWHERE}


def _part(character: str) -> str:
    """Match a character, or a run of backslashes, in all the ways in which clients and servers write it.

    The ways are: as it is, behind backslashes, in forms (percent signs), JSON and Python (backslash and numbers), HTML, and
    a shell's quotation marks. One may stand within another, but not endlessly often, as matching would take forever.
    """
    if character[0] == "\\":
        return rf"(?:(?i:{SLASHES}{{1,8}}(?:u005c|x5c))|{SLASHES}|(?i:&(?:amp;){{0,3}}#x5c;)){{1,{4 * len(character) + 8}}}"
    code, ways = ord(character), []
    encoded = {character.encode(errors="surrogateescape"), character.encode("latin-1", "ignore")} - {b""}
    for data in sorted(encoded, key=len, reverse=True):  # the longer one may begin as the other
        ways.append("(?i:" + "".join(f"%(?:25){{0,3}}{byte:02x}" for byte in data) + ")")
        ways.append("(?i:" + "".join(rf"{SLASHES}{{1,8}}x{byte:02x}" for byte in data) + ")")
    units = character.encode("utf-16-be", "surrogatepass")
    ways.append("(?i:" + "".join(rf"{SLASHES}{{1,8}}u{units[k]:02x}{units[k + 1]:02x}" for k in range(0, len(units), 2)) + ")")
    names = [rf"#0{{0,4}}{code}", rf"#x0{{0,4}}{code:x}", *([codepoint2name[code]] if code in codepoint2name else [])]
    ways.append(f"(?i:&(?:amp;){{0,3}}(?:{'|'.join([*names, *(['apos'] if character == APOSTROPHE else [])])});)")
    if character == " ":
        ways.append(r"\+")
    if character == APOSTROPHE:
        ways.append(r"'\\+''|'\"'\"'")
    ways.append(re.escape(character))  # last, as "&" and "%" begin other ways to write themselves
    return f"(?:{'' if character.isalnum() else SLASHES + '{0,8}'}(?:{'|'.join(ways)}))"
