"""Coordinate files: what RELION reads, with a comment that tells our own files from those edited since."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import write_atomic
from relion_ganpick.core.picks import THRESHOLDS, Picks, counts_above
from relion_ganpick.formats.star import Table, read_star
from relion_ganpick.version import __version__

if TYPE_CHECKING:
    import pandas as pd

DIGITS = 16
COLUMNS = ("rlnCoordinateX", "rlnCoordinateY", "rlnAutopickFigureOfMerit", "rlnClassNumber", "rlnAnglePsi")
SELECTION, BY_HAND_SELECTION, UNKNOWN = "rlnParticleSelectionType", 2, -999
_PREAMBLE = "\n# version 30001\n# relion_ganpick "
_HEAD = "data_\n\nloop_\n" + "".join(f"_{name} #{number}\n" for number, name in enumerate(COLUMNS, 1))
END = b"\n\n"
EMPTIED = "is empty, as RELION's Display leaves it where all picks were deleted"
_STAMP = re.compile(
    rf"^# relion_ganpick \S+ settings ([0-9a-f]{{{DIGITS}}}) rows ([0-9a-f]{{{DIGITS}}}) picks (\d+) above ([\d,]+)$",
    re.MULTILINE,
)


class State(Enum):
    """What became of a coordinate file since we wrote it.

    DAMAGED is a file of ours that was cut off or overwritten with NUL bytes, as a crash does and nobody by hand. UNREADABLE is
    one that somebody may have made, but in which no picks can be read.
    """

    MISSING = "missing"
    OURS = "ours"
    DAMAGED = "damaged"
    EDITED = "edited"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class FileState:
    """A coordinate file as it is found.

    Attributes
    ----------
    state
        Missing, as we wrote it, or edited since (or written by somebody else).
    settings
        Digest of the settings that it was written with; empty unless it is ours.
    n_picks
        Number of picks.
    above
        How many scored picks survive at 0.1, 0.2 ... 0.9.
    reason
        What is wrong or odd about the file; empty if nothing is.
    """

    state: State
    settings: str = ""
    n_picks: int = 0
    above: tuple[int, ...] = (0,) * len(THRESHOLDS)
    reason: str = ""


def digest(text: str) -> str:
    """First 16 hexadecimal digits of a text's sha256."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def cut_digest(fingerprint: str, *cut: float) -> str:
    """Digest of the settings of a coordinate file that was cut out of scores with this fingerprint, by `Cut.key`."""
    return digest(" ".join([fingerprint, *map(repr, cut)]))


def write_picks(path: Path, picks: Picks, settings: str = "", scored: Picks | None = None) -> None:
    """Write a coordinate STAR file for RELION, under another name first.

    The columns are those of RELION's own pickers: X, Y, figure of merit, class 0, psi 0. The second comment
    line holds a digest of the settings and one of the rows, by which `inspect_picks` knows the file again.

    Parameters
    ----------
    path
        Where to; its folder is made.
    picks
        What to write, in whole pixels.
    settings
        Digest of all that the picks depend on.
    scored
        All picks that were scored, for the counts at each threshold; ``picks`` by default.
    """
    body = _body(picks)
    above = ",".join(map(str, counts_above((picks if scored is None else scored).score)))
    stamp = (
        f"# relion_ganpick {__version__} settings {settings or '0' * DIGITS} rows {digest(body)} picks {len(picks)} above {above}"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, f"\n# version 30001\n{stamp}\n\n{body}")


def _body(picks: Picks) -> str:
    """Text of the one table, as starfile writes it, but for thousands of files in a tenth of the time."""
    values = zip(picks.x.tolist(), picks.y.tolist(), picks.score.tolist(), strict=True)
    rows = "".join(f"{x:.6f} {y:.6f} {score:.6f} 0 0.000000\n" for x, y, score in values)
    return f"{_HEAD}{rows}\n"


def inspect_picks(path: Path) -> FileState:
    """Tell whether a coordinate file is there, and whether it is still as we wrote it."""
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):  # reading a pipe or a device may never end
            return FileState(State.UNREADABLE, reason="cannot be read (no regular file)")
        data = path.read_bytes()
    except FileNotFoundError:
        return FileState(State.MISSING)
    except OSError as error:
        return FileState(State.UNREADABLE, reason=f"cannot be read ({error.strerror})")
    text = data.decode(errors="replace")
    stamp = _STAMP.search(text)
    if stamp is not None and digest(text[stamp.end() + 2 :]) == stamp[2]:
        return FileState(State.OURS, stamp[1], int(stamp[3]), tuple(map(int, stamp[4].split(","))))
    if not data:
        return FileState(State.EDITED, reason=EMPTIED)
    if _is_cut_off(text, stamp):
        return FileState(State.DAMAGED, reason="is cut off, as a crash leaves it")
    return _edited(path)


def write_edited(path: Path, picks: Picks) -> None:
    """Write a coordinate file that a person edited, as RELION's Display does; from then on it counts as edited.

    Picks that are in the file already keep all of its columns. A pick whose figure of merit is negative was set by hand: it gets
    -999 for what only a picker knows, and 2 for rlnParticleSelectionType where the file has that column, which Display
    allows to be 1 to 6.

    Parameters
    ----------
    path
        The file; it is replaced.
    picks
        What to write, in whole pixels.
    """
    import pandas as pd
    import starfile

    before = _frame(path)
    columns = list(before.columns) if before is not None else list(COLUMNS)
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    if before is not None:
        for row in before.to_dict("records"):
            rows[round(float(row[COLUMNS[0]])), round(float(row[COLUMNS[1]]))] = row
    written = []
    for x, y, score in zip(picks.x, picks.y, picks.score, strict=True):
        known = rows.get((round(float(x)), round(float(y))))
        if known is None or (COLUMNS[2] in columns and (score < 0) != (float(known[COLUMNS[2]]) < 0)):
            known = _row(columns, float(x), float(y), float(score))
        if SELECTION in columns and not 1 <= int(float(known[SELECTION])) <= 6:
            known = known | {SELECTION: BY_HAND_SELECTION}
        written.append(known)
    table = pd.DataFrame(written, columns=columns)
    body = starfile.to_string({"": table}, sep=" ")
    body = body[body.index("data_") :].rstrip("\n") + "\n\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, f"\n# version 30001\n\n{body}")


def read_picks(path: Path) -> Picks:
    """Read a coordinate STAR file of any program; an empty file holds no picks, as RELION's Display writes that.

    Raises
    ------
    GanpickError
        If it holds no coordinates, or something that is no number; the message names the line.
    """
    found = _simple_picks(path)
    if found is not None:
        return found
    table = _table(path)
    if table is None:
        return Picks.none()
    x, y = table.numbers(COLUMNS[0]), table.numbers(COLUMNS[1])
    score = table.numbers(COLUMNS[2]) if COLUMNS[2] in table else [1.0] * len(x)
    return Picks(*(np.array(values, np.float64) for values in (x, y, score)))


def can_be_read(path: Path) -> bool:
    """Tell whether a coordinate file is there and holds coordinates; of those that we wrote only both ends are looked at."""
    try:
        with path.open("rb") as file:
            begins = file.read(len(_PREAMBLE)) == _PREAMBLE.encode()
            file.seek(-min(len(END), path.stat().st_size), os.SEEK_END)
            whole = begins and file.read() == END
    except OSError:
        return False
    return whole or inspect_picks(path).state not in (State.MISSING, State.UNREADABLE, State.DAMAGED)


def check_whole(path: Path) -> None:
    """Check that a file of ours was not cut off: what is left of it may look whole.

    Raises
    ------
    GanpickError
        If it was.
    """
    with path.open("rb") as file:
        begins = file.read(len(_PREAMBLE))
    if begins == _PREAMBLE.encode() or not begins.strip(b"\0"):
        found = inspect_picks(path)
        if found.state is State.DAMAGED:
            raise GanpickError(f"{path}: {found.reason}")


def _is_cut_off(text: str, stamp: re.Match[str] | None) -> bool:
    """Tell a file of ours without its end from one that a person or program has changed."""
    if not text.strip("\0"):
        return True
    if stamp is None:
        return _PREAMBLE.startswith(text) or (text.startswith(_PREAMBLE) and "loop_" not in text)
    return "\0" in text or not text.endswith("\n") or "loop_" not in text


def _simple_picks(path: Path) -> Picks | None:
    """Read a file that is as we write them, in an eighth of the time, since there are thousands; None for any other."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return None
    begins, found, rows = text.partition(_HEAD)
    rows = rows.rstrip("\n")
    words = rows.split()
    if not (found and begins.startswith(_PREAMBLE)) or "\n\n" in rows or len(words) != len(COLUMNS) * len(rows.splitlines()):
        return None
    try:
        table = np.array(words, np.float64).reshape(-1, len(COLUMNS))
    except ValueError:
        return None
    return Picks(*(table[:, k].copy() for k in range(3))) if np.isfinite(table).all() else None


def _edited(path: Path) -> FileState:
    try:
        picks = read_picks(path)
    except GanpickError as error:
        return FileState(State.UNREADABLE, reason=str(error).removeprefix(f"{path}: "))
    return FileState(State.EDITED, "", len(picks), counts_above(picks.score))


def _table(path: Path) -> Table | None:
    """Read the table of coordinates of a file; None where the file is empty."""
    try:
        if not path.stat().st_size:
            return None
    except OSError as error:
        raise GanpickError(f"{path}: not a STAR file that can be read ({error.strerror})") from error
    file = read_star(path)
    for name in ("", *dict.fromkeys(name for name, _ in file.blocks())):
        table = file.table(name)
        if table is not None and COLUMNS[0] in table and COLUMNS[1] in table:
            return table
    raise GanpickError(f"{path}: holds no columns _{COLUMNS[0]} and _{COLUMNS[1]}")


def _frame(path: Path) -> pd.DataFrame | None:
    """Read the table of coordinates that is to be changed; None where there is none."""
    from relion_ganpick.formats.star_frames import as_frame

    try:
        table = _table(path)
    except GanpickError:
        return None
    return None if table is None else as_frame(table)


def _row(columns: list[str], x: float, y: float, score: float) -> dict[str, Any]:
    """One more row for a table with these columns: of a picker's pick, or of one by hand where the score is negative."""
    hand = score < 0
    known: dict[str, Any] = {
        COLUMNS[0]: x,
        COLUMNS[1]: y,
        COLUMNS[2]: float(UNKNOWN) if hand else score,
        COLUMNS[3]: UNKNOWN if hand else 0,
        COLUMNS[4]: float(UNKNOWN) if hand else 0.0,
        SELECTION: BY_HAND_SELECTION,
    }
    return {name: known.get(name, float(UNKNOWN)) for name in columns}
