"""Which of the scored picks of a micrograph are kept: by figure of merit, and by rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from relion_ganpick.core.picks import Picks

AnyPicks = TypeVar("AnyPicks", bound=Picks)

CUTS = ("threshold", "best", "most")
"""Names of the settings that only choose among scored picks: with others, nothing has to be picked again."""


@dataclass(frozen=True)
class Cut:
    """What is kept of a micrograph's scored picks.

    Attributes
    ----------
    threshold
        Smallest figure of merit.
    best
        Share of those that is kept, the best ones, rounded up; None keeps all.
    most
        Largest number that is kept of what is left then, the best ones; None keeps all.
    """

    threshold: float
    best: float | None = None
    most: int | None = None

    def keep(self, picks: AnyPicks) -> AnyPicks:
        """Select, in the order that they have; of equal ones the first count as better."""
        numbers = np.nonzero(picks.score >= self.threshold)[0]
        n = len(numbers) if self.best is None else int(np.ceil(self.best * len(numbers) - 1e-9))
        n = n if self.most is None else min(n, self.most)
        best = numbers[np.argsort(-picks.score[numbers], kind="stable")[:n]]
        kept: AnyPicks = picks.where(np.sort(best))  # type: ignore[assignment]  # selecting keeps the kind
        return kept

    def words(self) -> str:
        """Say it in a few words."""
        share = "" if self.best is None else f", the best {100 * self.best:g} % of each micrograph"
        number = "" if self.most is None else f", at most {self.most} of each micrograph"
        return f"at threshold {self.threshold:g}{share}{number}"

    @property
    def key(self) -> tuple[float, ...]:
        """What names it in a file's fingerprint; the threshold alone where nothing else is asked for."""
        return (self.threshold, *(() if self.best is None and self.most is None else (self.best or 1.0, self.most or -1)))
