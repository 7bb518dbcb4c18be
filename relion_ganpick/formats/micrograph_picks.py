"""The picks of one micrograph on their way between programs, and what every format's module offers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.names import micrograph_stem

BY_HAND = -999.0
"""Figure of merit that RELION's Display gives to a pick that was set by hand."""


@dataclass(frozen=True)
class MicrographPicks:
    """The picks of one micrograph, by our own rule: centres, (0, 0) is the first value of the MRC data block.

    Attributes
    ----------
    name
        The micrograph as the file names it: with folders and extension, or only its stem.
    picks
        Centres in pixels of the micrograph.
    scored
        Whether there are figures of merit; if not, all are 1.
    box
        Side of the boxes in pixels; None where the file has none.
    source
        The file that it was read from.
    shape
        (h, w) of the micrograph in pixels; None where it is not known.
    pixel_size
        Angstrom per pixel; None where it is not known.
    uid, group
        CryoSPARC's number of the micrograph and of its exposure group; None where they are not known.
    file_rows
        Whether rows of a TIFF file are counted as they lie in the file, and not yet as RELION does.
    """

    name: str
    picks: Picks
    scored: bool = True
    box: float | None = None
    source: Path = Path()
    shape: tuple[int, int] | None = None
    pixel_size: float | None = None
    uid: int | None = None
    group: int | None = None
    file_rows: bool = False

    @property
    def stem(self) -> str:
        """Name without folders, extension, and the suffix that pickers append."""
        return micrograph_stem(self.name)

    @property
    def merit(self) -> NDArray[np.float64]:
        """(n,) float64, figures of merit; 1 for a pick that was set by hand."""
        return np.where(self.picks.score == BY_HAND, 1.0, self.picks.score)

    def above(self, threshold: float) -> MicrographPicks:
        """Keep the picks from a figure of merit on, and those that were set by hand."""
        return replace(self, picks=self.picks.where((self.picks.score >= threshold) | (self.picks.score == BY_HAND)))

    def scaled(self, factor: float) -> MicrographPicks:
        """Go to another size of the picture; the first pixel stays where it is, as when it is cropped in Fourier space."""
        picks = Picks(self.picks.x * factor, self.picks.y * factor, self.picks.score)
        return replace(self, picks=picks, box=None if self.box is None else self.box * factor)

    def turned(self) -> MicrographPicks:
        """Count rows from the other end.

        Raises
        ------
        GanpickError
            If the micrograph's height is not known.
        """
        if self.shape is None:
            raise GanpickError(f"{self.source}: the height of {self.name} is not known: give its file with `micrographs`")
        return replace(self, picks=Picks(self.picks.x, self.shape[0] - 1 - self.picks.y, self.picks.score))


@dataclass(frozen=True)
class Format:
    """How the files of one program are read and written.

    Attributes
    ----------
    name
        On the command line.
    title
        In messages.
    suffix
        Of its files.
    read
        Reads one file.
    write
        Writes one file; None where each micrograph gets one of its own.
    write_each
        Writes the file of one micrograph into a folder and returns its path; None where one file holds all of them.
    recognise
        Tells by a look into a file of this suffix whether it is one.
    needs_box
        Whether it holds boxes.
    file_rows
        Whether rows of TIFF files are counted as they lie in the file. All others count them as RELION does, from the other end.
    """

    name: str
    title: str
    suffix: str
    read: Callable[[Path], list[MicrographPicks]]
    write: Callable[[Path, Sequence[MicrographPicks]], None] | None
    write_each: Callable[[Path, MicrographPicks], Path] | None
    recognise: Callable[[Path], bool] = lambda _: True
    needs_box: bool = False
    file_rows: bool = False


def numbers(values: Iterable[Any], path: Path, what: str) -> NDArray[np.float64]:
    """Read numbers, (n,) float64.

    Raises
    ------
    GanpickError
        If something is no finite number; the message names the file and the value.
    """
    column = list(values)
    read = np.asarray(pd.to_numeric(pd.Series(column, dtype=object), errors="coerce"), np.float64).reshape(-1)
    if not np.isfinite(read).all():
        raise GanpickError(f"{path}: {what} holds {column[int(np.argmin(np.isfinite(read)))]!r}, which is not a number")
    return read


def corner(each: MicrographPicks) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Give the boxes' corners of smallest x and y in whole pixels, and their side; a centre lies half a box further.

    Raises
    ------
    GanpickError
        If no size is known.
    """
    if each.box is None:
        raise GanpickError(f"{each.source}: how large are the boxes? Give `box_px`, or `diameter` and `angpix`")
    side = 2 * round(each.box / 2)
    return np.rint(each.picks.x).astype(np.int64) - side // 2, np.rint(each.picks.y).astype(np.int64) - side // 2, side


def full_name(each: MicrographPicks) -> str:
    """Give the micrograph's name with its extension.

    Raises
    ------
    GanpickError
        If only the stem is known.
    """
    if not PurePath(each.name).suffix:
        raise GanpickError(
            f"{each.source}: names the micrograph {each.name} without its extension: give the micrographs with `micrographs`"
        )
    return each.name


def known_shape(each: MicrographPicks) -> tuple[int, int]:
    """Give the micrograph's height and width in pixels.

    Raises
    ------
    GanpickError
        If they are not known.
    """
    if each.shape is None:
        raise GanpickError(f"{each.source}: the size of micrograph {each.name} is not known: give its file with `micrographs`")
    return each.shape
