"""Coordinate files of a run as a RELION job has them, to look at and correct, with the picks for pipelines beside."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cryosparc_tool import report
from cryosparc_tool.data.exposures import Exposure
from relion_ganpick.core.cut import Cut
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.pick_files import State, cut_digest, digest, inspect_picks, write_picks
from relion_ganpick.formats.picks_json import (
    Head,
    PickedMicrograph,
    follow_edited,
    json_file,
    read_head,
    refresh_json,
    write_json,
)
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Result, Task
from relion_ganpick.runs.results import described

log = logging.getLogger(__name__)

KEPT = (State.EDITED, State.UNREADABLE)
FOLDER, SCORES_FOLDER = "coordinates", ".ganpick/coordinates"


@dataclass
class PickFiles:
    """Writes each exposure's files when it is finished; a file that a person has changed is left alone.

    Attributes
    ----------
    folder
        The run's folder on this machine.
    picker
        What the picks come from.
    edited
        Files that were left alone.
    """

    folder: Path
    picker: Picker
    edited: set[Path] = field(default_factory=set)

    @property
    def cut(self) -> Cut:
        """Which of the scored picks are kept."""
        return self.picker.cut

    def coordinates(self, exposure: Exposure) -> Path:
        """Name the file that RELION would read."""
        return report.exposure_path(self.folder / FOLDER, exposure, "_autopick.star").absolute()

    def scores(self, exposure: Exposure) -> Path:
        """Name the file with all scored picks."""
        return report.exposure_path(self.folder / SCORES_FOLDER, exposure, "_scores.star").absolute()

    def write(self, exposure: Exposure, result: Result, scored: Picks) -> None:
        """Write what was just found."""
        self._write(exposure, described(self.picker, exposure.path, result), scored)

    def follow(self, exposure: Exposure, scored: Picks) -> None:
        """Make the files of an exposure that an earlier run has finished what this run would have written."""
        path, fingerprint = self.coordinates(exposure), _fingerprint(scored)
        found, beside = inspect_picks(path), json_file(path)
        if found.state in KEPT:
            self.edited.add(path)
            if found.state is State.EDITED:
                follow_edited(path, log.warning)
            return
        if not beside.is_file():
            task = Task(exposure.path, Path(exposure.path))
            known = Result(task, scored, shape=exposure.shape, pixel_size=exposure.pixel_size)
            about = described(self.picker, exposure.path, known)
            self._write(exposure, about, scored)
        elif found.state is not State.OURS or found.settings != self._settings(fingerprint):
            kept = self.cut.keep(scored)
            refresh_json(beside, kept, self.cut.threshold)
            write_picks(path, kept, self._settings(fingerprint), scored)

    def drop(self, exposure: Exposure) -> None:
        """Take back files of an exposure that can no longer be picked, unless a person has changed them."""
        path = self.coordinates(exposure)
        if inspect_picks(path).state not in KEPT:
            for each in (path, json_file(path), self.scores(exposure)):
                each.unlink(missing_ok=True)

    def head(self, exposure: Exposure) -> Head | None:
        """Read the numbers of an exposure's picks as they are now; None where there are none that can be read."""
        try:
            return read_head(json_file(self.coordinates(exposure)))
        except GanpickError:
            return None

    def _write(self, exposure: Exposure, about: PickedMicrograph, scored: Picks) -> None:
        path, fingerprint, kept = self.coordinates(exposure), _fingerprint(scored), self.cut.keep(scored)
        write_picks(self.scores(exposure), scored, fingerprint)
        if inspect_picks(path).state in KEPT:
            self.edited.add(path)
            return
        write_json(json_file(path), about, kept, scored)
        write_picks(path, kept, self._settings(fingerprint), scored)

    def _settings(self, fingerprint: str) -> str:
        return cut_digest(fingerprint, *self.cut.key)


def _fingerprint(scored: Picks) -> str:
    """Digest of the scored picks: CryoSPARC's results are dropped as a whole when what they rest on changes."""
    return digest(np.stack([scored.x, scored.y, scored.score]).astype("<f8").tobytes().hex())
