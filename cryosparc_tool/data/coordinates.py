"""Coordinates of other programs, matched to exposures by name, and turned over where their rows run the other way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cryosparc_tool.data.exposures import Exposure
from cryosparc_tool.data.power import RatedPicks, rated
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.any_coordinates import read_any
from relion_ganpick.formats.left_out import LeftOut
from relion_ganpick.formats.micrograph_picks import BY_HAND
from relion_ganpick.formats.names import match_names, name_stem


class Coordinates:
    """Coordinates by micrograph.

    Parameters
    ----------
    paths
        Files of picks of any program, or folders of them.
    flip_y
        Count rows from the other end: for coordinates that were picked on the output of a motion correction whose
        pictures are upside down relative to CryoSPARC's.
    exposures
        All exposures that are asked for, so that coordinates which may belong to several of them are given to none.

    Raises
    ------
    GanpickError
        If none of the files can be read; one of many costs a line.
    """

    def __init__(self, paths: Sequence[Path], flip_y: bool, exposures: Sequence[Exposure] = ()) -> None:
        left_out = LeftOut()
        self._by_stem = {stem: found.picks for stem, found in read_any(paths, left_out).items()}
        left_out.check_some(self._by_stem)
        left_out.end()
        self._flip_y = flip_y
        matched = match_names([name_stem(each.path) for each in exposures], self._by_stem)
        self._matched = {each.uid: found for each, found in zip(exposures, matched, strict=True)}

    def of(self, exposure: Exposure) -> tuple[RatedPicks | None, str]:
        """Coordinates of an exposure in pixels of its file; or None, and the reason.

        CryoSPARC puts a number before a micrograph's name and words behind it, so that a name which is a part of the exposure's
        is accepted where it is the only one. A pick that was set by hand has a figure of merit of 1.
        """
        found = self._matched.get(exposure.uid)
        name, ambiguous = found or match_names([name_stem(exposure.path)], self._by_stem)[0]
        if name is None:
            return None, f"{exposure.path}: {ambiguous or 'there are no coordinates for a micrograph of this name'}"
        picks = rated(_scored(self._by_stem[name]))
        height, width = exposure.shape
        outside = ((picks.x < 0) | (picks.x > width - 1) | (picks.y < 0) | (picks.y > height - 1)).any()
        if outside:
            return None, f"{exposure.path}: coordinates of {name} lie outside its {width} x {height} pixels: another binning?"
        if not self._flip_y:
            return picks, ""
        return RatedPicks(picks.x, height - 1 - picks.y, picks.score, picks.power), ""


def _scored(picks: Picks) -> Picks:
    return Picks(picks.x, picks.y, np.where(picks.score == BY_HAND, 1.0, picks.score))
