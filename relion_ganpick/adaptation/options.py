"""Options of a job that adapts its model before it picks, and the record of what came of that; nothing here needs torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import write_atomic
from relion_ganpick.core.options import check_kinds, option

MOST_LEARNED_FROM = 24
FEWEST_MICROGRAPHS = 2
FOLDER, APPROVED_FOLDER = "adapted", "approved"
RECORD = "decision.json"

ADAPTED, ORIGINAL, IMPOSSIBLE = "adapted", "original", "impossible"


@dataclass(frozen=True)
class AdaptOptions:
    """Whether and how a job adapts its model to its own micrographs.

    Attributes
    ----------
    adapt
        Adapt before picking.
    adapt_most
        Most micrographs to adapt to; they are spread over the job's.
    adapt_rounds, adapt_steps
        Lessons, and updates in each; None takes the defaults of `adaptation.fine_tune.AdaptSettings`.
    approved
        File of particles that the user has kept, to learn from; None for none.
    """

    adapt: bool = option(
        False,
        "Adapt the model first",
        "first fit the model to these micrographs, without labels; takes some minutes",
        bool,
        "main",
    )
    adapt_most: int = option(
        MOST_LEARNED_FROM,
        "Adapt: micrographs",
        f"for adapt: learn from at most so many micrographs (default: {MOST_LEARNED_FROM})",
        int,
    )
    adapt_rounds: int | None = option(None, "Adapt: rounds", "for adapt: rounds of learning (default: 1)", int)
    adapt_steps: int | None = option(None, "Adapt: steps", "for adapt: steps in each round (default: 500)", int)
    approved: str | None = option(
        None,
        "Approved particles",
        "learn from particles that you have kept: particles.star of a Select job, CryoSPARC's particles, or picks of any program",
        str,
        "main",
    )

    def __post_init__(self) -> None:
        """Check the values."""
        check_kinds(self)
        if self.adapt_most < FEWEST_MICROGRAPHS:
            raise GanpickError(f"`adapt_most` {self.adapt_most}: give at least 2, one of them to judge the result")
        for name in ("adapt_rounds", "adapt_steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise GanpickError(f"`{name}` {value}: give at least 1")


@dataclass(frozen=True)
class Decision:
    """What came of an adaptation.

    Attributes
    ----------
    outcome
        "adapted", "original" (the adapted model was no better), or "impossible".
    text
        The same for the user, in one line.
    request
        All that was asked for; another request needs another decision.
    micrographs
        Names of those that were learned from and judged by.
    model
        File name of the adapted weights in the record's folder; empty unless the outcome is "adapted".
    """

    outcome: str
    text: str
    request: Mapping[str, Any]
    micrographs: list[str] = field(default_factory=list)
    model: str = ""


def write_decision(folder: Path, decision: Decision) -> None:
    """Write the record, which makes an adapted model in the folder valid; the model must be there by now."""
    write_atomic(folder / RECORD, json.dumps(asdict(decision), indent=1) + "\n")


def read_decision(folder: Path) -> Decision | None:
    """Read the record; None if there is none that can be read."""
    try:
        return Decision(**json.loads((folder / RECORD).read_text()))
    except (OSError, ValueError, TypeError):
        return None
