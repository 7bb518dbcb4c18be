"""STAR files by the rules of RELION's own reader, with the line of everything that is wrong.

RELION does not follow the grammar of STAR: a table ends at the first blank line, every line that holds ``data_`` may begin a
block, a comment between two rows is a row without words, and a quotation mark closes only before a blank. A reader by the
grammar finds other micrographs in such files than RELION does. The rules are those of RELION 3.1 to 5
(``metadata_table.cpp`` and ``strings.cpp`` there); the tests compare with RELION 3.1.3 itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.text import printable

BLOCK, LOOP = "data_", "loop_"
_SIMPLER = str.maketrans({"\t": " ", **dict.fromkeys("\n\v\b\r\f\a", None)})
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_LEADING_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)


@dataclass(frozen=True)
class Table:
    """One block of a STAR file.

    Attributes
    ----------
    path
        The file.
    name
        The block's name, without ``data_``.
    line
        Line on which the block begins; the first line of a file is 1.
    columns
        Names of the columns, without the underscore.
    rows
        The words of each row, one for each column.
    lines
        Line of each row.
    left_over
        Line of what follows the blank line that ended the table, and so is not read; None where nothing does.
    """

    path: Path
    name: str
    line: int
    columns: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]
    left_over: int | None = None

    def __contains__(self, column: object) -> bool:
        return column in self.columns

    def __len__(self) -> int:
        return len(self.rows)

    def words(self, column: str) -> list[str]:
        """Words of a column, from the first row to the last."""
        index = self.columns.index(column)
        return [row[index] for row in self.rows]

    def numbers(self, column: str) -> list[float]:
        """Read a column of numbers.

        Raises
        ------
        GanpickError
            If a word is not a finite number; RELION would take it for 0.
        """
        return [self._number(column, word, line) for word, line in zip(self.words(column), self.lines, strict=True)]

    def whole_numbers(self, column: str) -> list[int]:
        """Read a column of whole numbers as RELION does: it stops at the first character that is no digit, so 1.000000 is 1.

        Raises
        ------
        GanpickError
            If a word does not begin with a digit.
        """
        found = []
        for word, line in zip(self.words(column), self.lines, strict=True):
            whole = _LEADING_WHOLE.match(word)
            if whole is None:
                raise self._not_a_number(column, word, line)
            found.append(int(whole[0]))
        return found

    def _number(self, column: str, word: str, line: int) -> float:
        value = float(word) if _NUMBER.fullmatch(word.strip()) else float("inf")
        if abs(value) == float("inf"):
            raise self._not_a_number(column, word, line)
        return value

    def _not_a_number(self, column: str, word: str, line: int) -> GanpickError:
        return GanpickError(
            f"{self.path}: line {line}: column _{column} holds something that is not a number ({printable(word)!r}); correct it"
        )


class StarFile:
    """The lines of a STAR file, in which blocks are looked for by name.

    Parameters
    ----------
    path
        The file, for messages.
    text
        What it holds.
    """

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self._lines = text.split("\n")
        if self._lines[-1] == "":
            self._lines.pop()

    @property
    def has_windows_ends(self) -> bool:
        """Whether any line that begins a block ends in CR LF, so that RELION does not know the block's name."""
        return any(BLOCK in line and line.endswith("\r") for line in self._lines)

    def blocks(self) -> list[tuple[str, int]]:
        """Names of the blocks as a person sees them, with their lines: only lines that begin with ``data_``."""
        stripped = ((number, line.strip(" ")) for number, line in enumerate(self._lines, 1))
        return [(line.removeprefix(BLOCK), number) for number, line in stripped if line.startswith(BLOCK)]

    def version(self) -> int:
        """Read the number behind ``# version``, 30000 where there is none."""
        for line in self._lines:
            found = re.search(r"# version +(\d+)", line)
            if found:
                return int(found[1])
        return 30000

    def table(self, name: str) -> Table | None:
        """Read the first block of this name, or the very first block if the name is empty.

        Returns
        -------
        The block; None where there is no such block, or nothing in it.

        Raises
        ------
        GanpickError
            If RELION could not read the block either, or if a row is not whole.
        """
        start = self._find(name)
        if start is None:
            return None
        found = self._lines[start].strip(" ").partition(BLOCK)[2]
        for index in range(start + 1, len(self._lines)):
            if LOOP in self._lines[index]:
                return self._loop(found, start, index + 1)
            if self._lines[index].startswith("_"):
                return self._list(found, start)
        return None

    def tables(self) -> list[Table]:
        """Read all blocks in their order, of each name the first."""
        names = dict.fromkeys(name for name, _ in self.blocks())
        return [table for table in map(self.table, names or [""]) if table is not None]

    def _find(self, name: str) -> int | None:
        for index, line in enumerate(self._lines):
            _, mark, rest = line.strip(" ").partition(BLOCK)
            if mark and name in ("", rest):
                return index
        return None

    def _loop(self, name: str, start: int, index: int) -> Table:
        """Read a table: names of columns among blank lines and comments, then rows up to the first blank line."""
        columns: list[str] = []
        while index < len(self._lines):
            line = _simple(self._lines[index])
            if line.startswith("_"):
                columns.append(self._column(line, columns, index + 1))
            elif line and line[0] not in "#;":
                break
            index += 1
        rows, lines = [], []
        while index < len(self._lines):
            line = _simple(self._lines[index])
            if not line:
                break
            rows.append(self._row(line, columns, index + 1))
            lines.append(index + 1)
            index += 1
        return Table(self.path, name, start + 1, tuple(columns), rows, lines, self._left_over(index) if rows else None)

    def _column(self, line: str, before: list[str], number: int) -> str:
        mark = line.find("#")
        column = line[1:] if mark < 0 else line[1 : mark - 1]
        if column in before:
            raise GanpickError(f"{self.path}: line {number}: column _{printable(column)} stands there twice; delete one of them")
        return column

    def _row(self, line: str, columns: list[str], number: int) -> list[str]:
        words = self._words(line, number)
        if len(words) == len(columns):
            return words
        shown = printable(line if len(line) <= 80 else line[:77] + "...")
        if len(words) > len(columns):
            raise GanpickError(
                f"{self.path}: line {number} has {len(words)} words for {len(columns)} columns ({shown}); "
                "put quotation marks around names with blanks"
            )
        if not words:
            raise GanpickError(
                f"{self.path}: line {number}: RELION takes a comment between rows for a row ({shown}); delete this line"
            )
        if shown.startswith(BLOCK):
            raise GanpickError(
                f"{self.path}: line {number}: the table before it is empty, and RELION takes this line for its row"
            )
        what = "the file's last row" if number == len(self._lines) else f"line {number}"
        raise GanpickError(
            f"{self.path}: {what} is incomplete: {len(words)} of {len(columns)} words ({shown}); write or copy the file again"
        )

    def _list(self, name: str, start: int) -> Table:
        """Read a block of one row that is written as pairs of a name and a word."""
        columns, words, lines = [], [], []
        for number, line in enumerate(self._lines[start + 1 :], start + 2):
            pair = self._words(line, number)
            if not pair or pair[0].startswith((BLOCK, LOOP)):
                if pair:
                    break
                continue
            if pair[0].startswith("_"):
                if len(pair) == 1:
                    raise GanpickError(f"{self.path}: line {number}: nothing stands behind {printable(pair[0])}")
                columns.append(pair[0][1:])
                words.append(pair[1])
                lines.append(number)
        return Table(self.path, name, start + 1, tuple(columns), [words], lines[:1])

    def _words(self, line: str, number: int) -> list[str]:
        try:
            return split_words(line)
        except ValueError as error:
            raise GanpickError(f"{self.path}: line {number}: {error} ({printable(line.strip())}); close it") from None

    def _left_over(self, blank: int) -> int | None:
        """Find rows behind the blank line that has ended a table; comments and other blocks are none."""
        for index in range(blank, len(self._lines)):
            line = _simple(self._lines[index])
            if BLOCK in line:
                return None
            if line and line[0] != "#":
                return index + 1
        return None


def read_star(path: Path) -> StarFile:
    """Read a STAR file of any encoding; bytes that are not UTF-8 survive, and come back when names are used as paths.

    Raises
    ------
    GanpickError
        If the file cannot be read, is empty, or has been damaged by a crash.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise GanpickError(f"{path}: no such file") from None
    except OSError as error:
        raise GanpickError(f"{path}: not a STAR file that can be read ({error.strerror})") from error
    if not data.strip(b"\0"):
        raise GanpickError(f"{path}: is empty; write or copy the file again")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise GanpickError(f"{path}: is written in UTF-16, which RELION cannot read; save it as UTF-8, or as plain text")
    if b"\r" in data and b"\n" not in data:
        raise GanpickError(f"{path}: its lines end as on an old Macintosh (CR), which RELION cannot read; run mac2unix on it")
    if b"\0" in data:
        line = data[: data.index(b"\0")].count(b"\n") + 1
        raise GanpickError(
            f"{path}: line {line}: NUL bytes, as a crash or an unfinished copy leaves them, so rows may be missing; "
            "write or copy the file again"
        )
    return StarFile(path, data.decode("utf-8", "surrogateescape"))


def split_words(line: str) -> list[str]:
    """Split a row into words as RELION does.

    Words are parted by blanks. A ``#`` that begins a word begins a comment; within a word it is a character like any other. A
    quotation mark of either kind that begins a word holds until the same one comes before a blank or the end.

    Raises
    ------
    ValueError
        If a quotation mark is not closed.
    """
    if '"' not in line and "'" not in line and "#" not in line and "\t" not in line:
        return [word for word in line.split(" ") if word]
    words: list[str] = []
    position = 0
    while True:
        while position < len(line) and line[position] in " \t":
            position += 1
        if position == len(line) or line[position] == "#":
            return words
        word, position = _quoted(line, position) if line[position] in "\"'" else _bare(line, position)
        words.append(word)


def _bare(line: str, start: int) -> tuple[str, int]:
    end = start
    while end < len(line) and line[end] not in " \t":
        end += 1
    return line[start:end], end


def _quoted(line: str, start: int) -> tuple[str, int]:
    mark = line[start]
    for end in range(start + 1, len(line)):
        if line[end] == mark and line[end + 1 : end + 2] in ("", " ", "\t"):
            return line[start + 1 : end], end + 1
    raise ValueError("a quotation mark is not closed")


def quoted(word: str) -> str:
    """Write a word so that RELION and other readers give it back.

    Raises
    ------
    GanpickError
        If there is no way: a word with a blank behind both kinds of quotation marks. None that was read from a STAR file is so.
    """
    if word and word[0] not in "\"'#_;" and not word.startswith((BLOCK, LOOP)) and not re.search(r"[ \t]", word):
        return word
    for inner in (r"{}(?: |\t|$)", r"{}(?: |\t)"):  # best without a mark at the end, which others may take for the end
        for mark in "\"'":
            if not re.search(inner.format(mark), word):
                return f"{mark}{word}{mark}"
    raise GanpickError(
        f"{printable(word)}: cannot be written to a STAR file, as blanks stand behind both kinds of quotation marks"
    )


def loop_text(name: str, columns: Mapping[str, Sequence[object]]) -> str:
    """Write a table as starfile does, but with quotation marks that RELION closes where they are meant to close."""
    head = "".join(f"_{column} #{number}\n" for number, column in enumerate(columns, 1))
    rows = zip(*columns.values(), strict=True)
    body = "".join("\t".join(quoted(str(word)) for word in row) + "\n" for row in rows)
    return f"{BLOCK}{name}\n\nloop_\n{head}{body}\n"


def list_text(name: str, pairs: Mapping[str, object]) -> str:
    """Write a block of one row as starfile does."""
    return f"{BLOCK}{name}\n\n" + "".join(f"_{column}\t\t\t{quoted(str(word))}\n" for column, word in pairs.items()) + "\n"


def _simple(line: str) -> str:
    """Make one blank of every run of blanks and tabs, and drop the control characters that RELION drops."""
    line = line.translate(_SIMPLER)
    if "  " in line:
        line = re.sub(" +", " ", line)
    return line.strip(" ")
