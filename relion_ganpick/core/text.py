"""Text of others on a terminal and in a log: characters that would act there, or cannot be written, are shown escaped."""

from __future__ import annotations

import unicodedata

_KEPT = "\n\t"


def printable(text: str) -> str:
    r"""Escape what a terminal would act upon, and bytes that are no text.

    A name of a file may hold nearly any byte. An escape character in it becomes ``\x1b``, a byte that is not UTF-8 becomes
    ``\xe9``; line breaks and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(each) for each in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # what Python makes of a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if character in _KEPT or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
