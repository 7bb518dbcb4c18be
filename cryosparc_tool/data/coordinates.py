"""Coordinates of other programs, matched to exposures by name, and turned over where their rows run the other way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cryosparc_tool.data.exposures import Exposure
from cryosparc_tool.data.power import RatedPicks, rated
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.formats.any_coordinates import read_any
from relion_ganpick.formats.names import find_name


class Coordinates:
    """Coordinates by micrograph.

    Parameters
    ----------
    paths
        Files of picks of any program, or folders of them.
    flip_y
        Count rows from the other end: for coordinates that were picked on the output of a motion correction whose
        pictures are upside down relative to CryoSPARC's.
    """

    def __init__(self, paths: Sequence[Path], flip_y: bool) -> None:
        self._by_stem = {stem: found.picks for stem, found in read_any(paths).items()}
        self._flip_y = flip_y

    def of(self, exposure: Exposure) -> tuple[RatedPicks | None, str]:
        """Coordinates of an exposure in pixels of its file; or None, and the reason.

        CryoSPARC puts a number before a micrograph's name and words behind it, so that a name which is a part of the exposure's
        is accepted where it is the only one of its length.
        """
        stem = PurePosixPath(exposure.path).stem
        try:
            name = find_name(stem, self._by_stem)
        except GanpickError as error:
            return None, f"{exposure.path}: {error}"
        if name is None:
            return None, f"{exposure.path}: there are no coordinates for a micrograph of this name"
        picks = rated(self._by_stem[name])
        height, width = exposure.shape
        outside = ((picks.x < 0) | (picks.x > width - 1) | (picks.y < 0) | (picks.y > height - 1)).any()
        if outside:
            return None, f"{exposure.path}: coordinates of {name} lie outside its {width} x {height} pixels: another binning?"
        if not self._flip_y:
            return picks, ""
        return RatedPicks(picks.x, height - 1 - picks.y, picks.score, picks.power), ""
