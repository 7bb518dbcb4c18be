"""What a page asks to save: the rule by which picks are kept, and micrographs that a person has edited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.cut import Cut
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.picks import Picks
from relion_ganpick.inspect.job import Job

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Selection:
    """Which scored picks are kept on micrographs that nobody has edited.

    Attributes
    ----------
    threshold
        Smallest figure of merit.
    best
        Share of a micrograph's remaining picks that is kept, the best ones, rounded up.
    most
        Largest number that is kept of what is left then, the best ones; None is no limit.
    power_low, power_high
        Limits of the local power; None is no limit.
    dropped_classes
        Numbers of class averages whose members are left out.
    """

    threshold: float
    best: float = 1.0
    most: int | None = None
    power_low: float = 0.0
    power_high: float | None = None
    dropped_classes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the values."""
        if not 0 <= self.threshold <= 1:
            raise GanpickError(f"a threshold of {self.threshold:g}: a figure of merit lies between 0 and 1")
        if not 0 < self.best <= 1:
            raise GanpickError(f"best {self.best:g}: give a share between 0 and 1")
        if self.most is not None and self.most < 1:
            raise GanpickError(f"most {self.most}: give at least 1 pick for each micrograph")

    @classmethod
    def of_cut(cls, cut: Cut) -> Selection:
        """Take over what a job chooses by."""
        return cls(cut.threshold, 1.0 if cut.best is None else cut.best, cut.most)

    @property
    def cut(self) -> Cut:
        """The part of it that a job can be given as options."""
        return Cut(self.threshold, None if self.best == 1 else self.best, self.most)

    @property
    def needs_picture(self) -> bool:
        """Whether a micrograph must be looked at to apply it."""
        return self.power_low > 0 or self.power_high is not None or bool(self.dropped_classes)

    def keep(self, picks: Picks, power: Numbers | None = None, classes: NDArray[np.intp] | None = None) -> Picks:
        """Select; ``power`` and ``classes`` have one value for each pick where they are needed."""
        mask = np.ones(len(picks), bool)
        if power is not None:
            mask &= (power >= self.power_low) & (power <= (np.inf if self.power_high is None else self.power_high))
        if classes is not None:
            mask &= ~np.isin(classes, self.dropped_classes)
        return self.cut.keep(picks.where(mask))


@dataclass(frozen=True)
class Changes:
    """What a page asks to save.

    Attributes
    ----------
    edits
        By micrograph: its picks from now on, where a negative figure of merit is a pick by hand; None for automatic ones.
    selection
        A new rule for all other micrographs, or None.
    """

    edits: Mapping[int, Picks | None] = field(default_factory=dict)
    selection: Selection | None = None


def read_changes(content: Any, job: Job) -> Changes:
    """Check what a page has sent.

    Raises
    ------
    GanpickError
        If it is not what a page sends.
    """
    try:
        edits = {int(each["index"]): _list(each["list"]) for each in content["edits"]}
        given = content["selection"]
        selection = None
        if given is not None:
            high, most = given["power_high"], given["most"]
            selection = Selection(
                float(given["threshold"]),
                float(given["best"]),
                None if most is None else int(most),
                float(given["power_low"]),
                None if high is None else float(high),
                tuple(sorted(int(k) for k in given["dropped_classes"])),
            )
    except (KeyError, TypeError, ValueError) as error:
        raise GanpickError(f"what the page has sent cannot be understood ({error!r}): load it again") from error
    if any(not 0 <= index < len(job.names) for index in edits):
        raise GanpickError("the page is about another job: load it again")
    return Changes(edits, selection)


def _list(content: Any) -> Picks | None:
    if content is None:
        return None
    x, y, score = (np.array(content[name], np.float64).reshape(-1) for name in ("x", "y", "score"))
    if not len(x) == len(y) == len(score) or not np.isfinite(np.concatenate([x, y, score])).all():
        raise ValueError("columns of picks")
    return Picks(x, y, score).rounded()
