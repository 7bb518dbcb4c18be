"""Coordinate files: what RELION reads, with a comment that tells our own files from those edited since."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import pandas as pd
import starfile

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import write_atomic
from relion_ganpick.core.picks import THRESHOLDS, Picks, counts_above
from relion_ganpick.version import __version__

DIGITS = 16
_STAMP = re.compile(
    rf"^# relion_ganpick \S+ settings ([0-9a-f]{{{DIGITS}}}) rows ([0-9a-f]{{{DIGITS}}}) picks (\d+) above ([\d,]+)$",
    re.MULTILINE,
)


class State(Enum):
    """What became of a coordinate file since we wrote it."""

    MISSING = "missing"
    OURS = "ours"
    EDITED = "edited"


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
    """

    state: State
    settings: str = ""
    n_picks: int = 0
    above: tuple[int, ...] = (0,) * len(THRESHOLDS)


def digest(text: str) -> str:
    """First 16 hexadecimal digits of a text's sha256."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


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
    table = pd.DataFrame(
        {
            "rlnCoordinateX": picks.x.astype(float),
            "rlnCoordinateY": picks.y.astype(float),
            "rlnAutopickFigureOfMerit": picks.score.astype(float),
            "rlnClassNumber": np.zeros(len(picks), int),
            "rlnAnglePsi": np.zeros(len(picks), float),
        }
    )
    body = starfile.to_string({"": table}, sep=" ")
    body = body[body.index("data_") :].rstrip("\n") + "\n\n"
    above = ",".join(map(str, counts_above((picks if scored is None else scored).score)))
    stamp = (
        f"# relion_ganpick {__version__} settings {settings or '0' * DIGITS} rows {digest(body)} picks {len(picks)} above {above}"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, f"\n# version 30001\n{stamp}\n\n{body}")


def inspect_picks(path: Path) -> FileState:
    """Tell whether a coordinate file is there, and whether it is still as we wrote it."""
    try:
        text = path.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return FileState(State.MISSING)
    stamp = _STAMP.search(text)
    if stamp is None or digest(text[stamp.end() + 2 :]) != stamp[2]:
        return _edited(path)
    return FileState(State.OURS, stamp[1], int(stamp[3]), tuple(map(int, stamp[4].split(","))))


def read_picks(path: Path) -> Picks:
    """Read a coordinate STAR file of any program.

    Raises
    ------
    GanpickError
        If it holds no coordinates.
    """
    try:
        blocks = starfile.read(path, always_dict=True)
    except (OSError, ValueError, IndexError) as error:
        raise GanpickError(f"{path}: not a STAR file that can be read ({error})") from error
    for table in blocks.values():
        if isinstance(table, pd.DataFrame) and {"rlnCoordinateX", "rlnCoordinateY"} <= set(table.columns):
            x, y = (pd.to_numeric(table[f"rlnCoordinate{axis}"]).to_numpy(float) for axis in "XY")
            score = table["rlnAutopickFigureOfMerit"].to_numpy(float) if "rlnAutopickFigureOfMerit" in table else np.ones(len(x))
            return Picks(x, y, score)
    raise GanpickError(f"{path}: holds no columns _rlnCoordinateX and _rlnCoordinateY")


def _edited(path: Path) -> FileState:
    try:
        picks = read_picks(path)
    except GanpickError:
        return FileState(State.EDITED)
    return FileState(State.EDITED, "", len(picks), counts_above(picks.score))
