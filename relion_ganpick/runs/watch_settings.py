"""How long micrographs are watched for, and how often what."""

from __future__ import annotations

from dataclasses import dataclass, fields

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.options import check_kinds, option

MINUTE, HOUR = 60.0, 3600.0


@dataclass(frozen=True)
class WatchSettings:
    """Times of a watch.

    Attributes
    ----------
    first
        Micrographs that are there before anything is chosen for the whole set; None takes as many as are looked at.
    poll
        Seconds between looks where the file system reports no changes; None takes 5 on network file systems, else its reports.
    quiet
        Minutes without a new micrograph after which the watch ends; 0 never.
    longest
        Hours after which it ends; 0 never.
    report
        Minutes between reports.
    patience
        Seconds that a file may stay incomplete without a change.
    """

    first: int | None = option(
        None,
        "First",
        "so many micrographs are there before anything is chosen for the whole set (default: 24; 6 for models without a judge)",
        int,
    )
    poll: float | None = option(
        None, "Poll (s)", "look every so many seconds, for file systems that report no changes (default: 5 on those)", float
    )
    quiet: float = option(0.0, "Quiet (min)", "end after so many minutes without a new micrograph (default: never)", float)
    longest: float = option(0.0, "Longest (h)", "end after so many hours (default: never)", float)
    report: float = option(5.0, "Report (min)", "minutes between reports (default: 5)", float)
    patience: float = option(
        60.0, "Patience (s)", "give up a file that is not whole and has not changed for so many seconds (default: 60)", float
    )

    def __post_init__(self) -> None:
        """Check the values."""
        check_kinds(self)
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None and value < 0:
                raise GanpickError(f"`{each.name}` {value:g}: give 0 or a positive number")
        for name in ("first", "poll", "report"):
            if getattr(self, name) == 0:
                raise GanpickError(f"`{name}` 0: give a positive number")
