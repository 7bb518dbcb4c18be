"""Lists of a set's coordinate files: `autopick.star`, which RELION takes, and `summary.star` with a line per micrograph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relion_ganpick.core.files import write_atomic

if TYPE_CHECKING:
    import pandas as pd

LIST_FILE, SUMMARY_FILE = "autopick.star", "summary.star"
NAME, PICKS, MEAN, SHARE = "rlnMicrographName", "rlnGroupNrParticles", "rlnAutopickFigureOfMerit", "ganpickContaminatedShare"
UNKNOWN = -1.0
"""Stands for a number that nobody knows: RELION reads numbers only."""


@dataclass(frozen=True)
class Listed:
    """One micrograph of a list.

    Attributes
    ----------
    micrograph
        Its name.
    coordinates
        Its coordinate file.
    n_picks
        Number of picks in that.
    merit
        Mean figure of merit of the picks; 0 where there are none.
    share
        Share of the micrograph that is contaminated; -1 where it is not known.
    """

    micrograph: str
    coordinates: str
    n_picks: int
    merit: float
    share: float = UNKNOWN


def write_lists(folder: Path, rows: Sequence[Listed]) -> None:
    """Write both lists into a folder, with the columns of RELION 4 and 5; without rows nothing is written."""
    if not rows:
        return
    import pandas as pd

    pairs = pd.DataFrame([(row.micrograph, row.coordinates) for row in rows])
    pairs.columns = pd.Index(["rlnMicrographName", "rlnMicrographCoordinates"])
    counts = pd.DataFrame([(row.micrograph, row.n_picks, row.merit, row.share) for row in rows])
    counts.columns = pd.Index([NAME, PICKS, MEAN, SHARE])
    write_atomic(folder / LIST_FILE, _star("coordinate_files", pairs))
    write_atomic(folder / SUMMARY_FILE, _star("", counts))


def _star(block: str, table: pd.DataFrame) -> str:
    import starfile

    body: str = starfile.to_string({block: table})
    return "\n# version 30001\n\n" + body[body.index("data_") :].rstrip("\n") + "\n\n"
