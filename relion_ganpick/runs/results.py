"""Where the results of a run go: what a door keeps, and what it knows from before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from relion_ganpick.core.picks import Picks
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

    def picture(self, index: int) -> tuple[Path, Picks] | None:
        """Where the picture of a chosen micrograph goes, with the picks to draw; None if there is one that holds."""
