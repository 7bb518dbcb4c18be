"""What a report is made of: all figures of merit, and the pictures of some micrographs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.cut import Cut
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.picks import Picks
from relion_ganpick.inspect.classes import Averages, averages_of
from relion_ganpick.inspect.job import Job
from relion_ganpick.inspect.pictures import Looks, look_at
from relion_ganpick.inspect.scores import Scores, read_scores, scored_picks
from relion_ganpick.report.overlays import which_overlays

N_MICROGRAPHS = 24
Image = NDArray[np.float32]
Contamination = Callable[[Looks], Image]


@dataclass(frozen=True)
class Seen:
    """A micrograph as a run has seen it.

    Attributes
    ----------
    looks
        Its pictures.
    contamination
        (h, w) float32, chance of contamination at the working scale; None where the model does not say.
    """

    looks: Looks
    contamination: Image | None = None


@dataclass(frozen=True)
class Material:
    """A job's numbers, and a spread of its micrographs.

    Attributes
    ----------
    job, scores
        The job, and the figures of merit of all its micrographs.
    cut
        The one that its files follow.
    chosen
        Numbers of the micrographs that are shown.
    seen
        Those of them that can be read.
    problems
        Why the others cannot.
    picks
        Every scored pick of the chosen ones.
    averages
        Class averages of the kept picks; None where there are too few.
    """

    job: Job
    scores: Scores
    cut: Cut
    chosen: tuple[int, ...]
    seen: Mapping[int, Seen]
    problems: Mapping[int, str]
    picks: Mapping[int, Picks]
    averages: Averages | None


def gather(
    job: Job, seen: Mapping[int, Seen] | None = None, contamination: Contamination | None = None, n: int = N_MICROGRAPHS
) -> Material:
    """Read a job's figures of merit, and look at a spread of its micrographs.

    Parameters
    ----------
    job
        The job.
    seen
        Micrographs that a run has just seen; all others are read.
    contamination
        Tells where contamination is on those that are read; None leaves that out.
    n
        Micrographs to look at, spread evenly.

    Raises
    ------
    GanpickError
        If the job's files cannot be read.
    """
    scores = read_scores(job)
    cut = scores.cut(job.facts)
    chosen = which_overlays(len(job.names), n)
    found: dict[int, Seen] = {}
    problems: dict[int, str] = {}
    for index in chosen:
        if seen is not None and index in seen:
            found[index] = seen[index]
            continue
        try:
            looks = _look(job, index)
        except GanpickError as error:
            problems[index] = str(error)
            continue
        found[index] = Seen(looks, _veil(looks, contamination))
    picks = {index: scored_picks(job, index) for index in chosen}
    kept = {index: cut.keep(picks[index]) for index in found}
    averages = averages_of({index: each.looks for index, each in found.items()}, kept)
    return Material(job, scores, cut, tuple(chosen), found, problems, picks, averages)


def _look(job: Job, index: int) -> Looks:
    working = job.facts.working_diameter or job.diameter
    return look_at(job.micrograph(index), job.pixel_sizes.get(job.names[index]), working, job.facts.contrast)


def _veil(looks: Looks, contamination: Contamination | None) -> Image | None:
    """Ask for contamination; a model that does not tell it leaves the layer out."""
    try:
        return None if contamination is None else contamination(looks)
    except GanpickError:
        return None
