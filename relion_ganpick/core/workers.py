"""Who picks: what ``--workers`` says. Nothing of Dask is imported here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from relion_ganpick.core.errors import GanpickError

LOCAL, GPU, SCHEDULER_FILE, ADDRESS = "local", "gpu", "scheduler-file", "address"
EVERY_GPU = "cuda:all"  # name of the device that is all GPUs together
QUEUES = ("slurm", "pbs", "sge", "lsf")
JOBS = 4  # where a queue is named without a number
MOST = 10_000
SECONDS_FOR_PROCESSES, SECONDS_FOR_JOBS = 60.0, 3600.0
FORMS = "local:4, gpu, slurm:8 (or pbs, sge, lsf), scheduler-file:PATH, or an address such as tcp://node1:8786"


@dataclass(frozen=True)
class Workers:
    """Who picks.

    Attributes
    ----------
    kind
        "local", "gpu", one of `QUEUES`, "scheduler-file" or "address".
    n
        Number of processes or jobs; 0 where devices or others decide.
    place
        The file or address of a scheduler that runs already; else empty.
    """

    kind: str
    n: int = 0
    place: str = ""

    @property
    def in_queue(self) -> bool:
        """Whether they are jobs of a queue, which may have to wait for their turn."""
        return self.kind in QUEUES

    @property
    def patience(self) -> float:
        """Seconds that a run does without any worker before it gives up, where the user says nothing."""
        return SECONDS_FOR_JOBS if self.in_queue else SECONDS_FOR_PROCESSES


def parse_workers(text: str) -> Workers:
    """Read what the user says.

    Raises
    ------
    GanpickError
        If it is of no known form, or the number is none that makes sense.
    """
    kind, _, rest = text.strip().partition(":")
    if kind == SCHEDULER_FILE and rest:
        return Workers(SCHEDULER_FILE, place=rest)
    if text.strip() == GPU:
        return Workers(GPU)
    if kind in (LOCAL, *QUEUES) and (rest.isdecimal() or (not rest and kind != LOCAL)):
        n = int(rest or JOBS)
        if not 1 <= n <= MOST:
            raise GanpickError(f"`workers` {text}: give a number from 1 to {MOST}")
        return Workers(kind, n)
    if re.fullmatch(r"((tcp|tls|ucx|ws|wss)://)?[\w.-]+:\d+", text.strip()) and kind not in (LOCAL, GPU, *QUEUES):
        return Workers(ADDRESS, place=text.strip())
    raise GanpickError(f"`workers` {text}: give {FORMS}")


def gpu_numbers(text: str) -> list[int] | None:
    """Read the numbers of GPUs as RELION's users write them: ``0``, ``0:1``, ``0,1``, ``0 1``; None is all of them.

    Raises
    ------
    GanpickError
        If it is anything else.
    """
    if text.strip().lower() == "all":
        return None
    words = [word for word in re.split(r"[:,\s]+", text.strip()) if word]
    if not words or not all(word.isdecimal() for word in words):
        raise GanpickError(f"`gpu` {text}: give the numbers of GPUs, such as 0, 0:1 or 0,1, or all")
    return sorted({int(word) for word in words})
