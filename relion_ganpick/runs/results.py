"""Where the results of a run go: what a door keeps, and what it knows from before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.picks_json import PickedMicrograph
from relion_ganpick.inspect.job import Facts, Job
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Result


@dataclass(frozen=True)
class Finished:
    """A micrograph that needs no network.

    Attributes
    ----------
    n_picks
        Picks above the threshold.
    above
        How many scored picks survive at 0.1, 0.2 ... 0.9.
    note
        What to say about it, right behind the number of picks; empty for no line at all.
    before
        Whether it was finished in an earlier run; else its scores were, and the threshold was applied anew.
    """

    n_picks: int
    above: tuple[int, ...]
    note: str = ""
    before: bool = True


class Door(Protocol):
    """What a worker elsewhere needs to file one micrograph as the run's own process would: small, and can be pickled."""

    def results(self, picker: Picker) -> Results:
        """Make the results of this one micrograph, which is number 0 of them."""


class Results(Protocol):
    """What a door does with what is found."""

    def finished(self, index: int) -> Finished | None:
        """Tell what an earlier run has left of a micrograph; None if it must be picked."""

    def refuse(self, index: int, result: Result) -> str | None:
        """Say why a result cannot be used, if it cannot."""

    def keep(self, index: int, result: Result, picks: Picks) -> None:
        """Keep what was found on a micrograph: all scores in the result, and the picks above the threshold."""

    def failed(self, index: int, reason: str) -> str:
        """Take down that a micrograph could not be used; returns the line for the user."""

    def place(self, index: int, folder: str, ending: str) -> Path:
        """Name a file of a micrograph in one of the door's folders, such as "masks"."""

    def picture(self, index: int) -> tuple[Path, Picks, Picks] | None:
        """Where the picture of a chosen micrograph goes, with the picks that are kept, and those that are not.

        None if there is a picture that holds.
        """

    def as_job(self, facts: Facts) -> Job | None:
        """Describe the folder for its report, with what the run was carried out with; None if there is nothing to show."""

    def door(self, index: int) -> Door:
        """Say how a worker elsewhere files a micrograph."""

    def taken(self, index: int, share: float | None) -> bool:
        """Take over what a worker elsewhere has filed, with the contaminated share; False while it cannot be seen here."""


def described(picker: Picker, name: str, result: Result) -> PickedMicrograph:
    """Put together what ``picks.json`` says of a micrograph beside its picks."""
    card, settings = picker.model.card, picker.settings
    return PickedMicrograph(
        name,
        result.shape,
        result.pixel_size,
        settings.diameter,
        picker.threshold,
        result.contaminated_share,
        result.seconds,
        {"name": card.name, "sha256": card.sha256},
    )
