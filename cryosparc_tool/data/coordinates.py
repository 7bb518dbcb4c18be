"""Coordinates of other programs, matched to exposures by name, and turned over where their rows run the other way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cryosparc_tool.data.exposures import Exposure
from cryosparc_tool.data.power import RatedPicks, rated
from relion_ganpick.formats.coordinates import read_coordinates


class Coordinates:
    """Coordinates by micrograph.

    Parameters
    ----------
    paths
        STAR and CSV files, or folders of them.
    flip_y
        Count rows from the other end: for coordinates that were picked on the output of a motion correction whose
        pictures are upside down relative to CryoSPARC's.
    """

    def __init__(self, paths: Sequence[Path], flip_y: bool) -> None:
        self._by_stem = {stem: found.picks for stem, found in read_coordinates(paths).items()}
        self._flip_y = flip_y

    def of(self, exposure: Exposure) -> tuple[RatedPicks | None, str]:
        """Coordinates of an exposure in pixels of its file; or None, and the reason.

        CryoSPARC puts a number before a micrograph's name and words behind it, so that a name which is contained in
        the exposure's is accepted where it is the only one of its length.
        """
        stem = PurePosixPath(exposure.path).stem
        near = sorted((each for each in self._by_stem if each in stem), key=len, reverse=True)
        if not near:
            return None, f"{exposure.path}: there are no coordinates for a micrograph of this name"
        if stem not in self._by_stem and len(near) > 1 and len(near[0]) == len(near[1]):
            return None, f"{exposure.path}: {near[0]} and {near[1]} are both part of its name"
        picks = rated(self._by_stem[near[0]])
        height, width = exposure.shape
        outside = ((picks.x < 0) | (picks.x > width - 1) | (picks.y < 0) | (picks.y > height - 1)).any()
        if outside:
            return None, f"{exposure.path}: coordinates of {near[0]} lie outside its {width} x {height} pixels: another binning?"
        if not self._flip_y:
            return picks, ""
        return RatedPicks(picks.x, height - 1 - picks.y, picks.score, picks.power), ""
