"""What a run finds on a job's exposures: kept on this machine, told to the job, and collected for the push."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cryosparc_tool import report
from cryosparc_tool.console import Console
from cryosparc_tool.data.exposures import Exposure
from cryosparc_tool.data.local import LocalResult
from cryosparc_tool.data.power import RatedPicks, rated
from cryosparc_tool.server.interface import ExternalJob
from cryosparc_tool.server.lifecycle import check_not_ended
from cryosparc_tool.server.retry import in_words, is_client_error
from relion_ganpick.core.cut import Cut
from relion_ganpick.core.picks import THRESHOLDS, Picks, counts_above
from relion_ganpick.formats.pick_files import cut_digest, write_picks
from relion_ganpick.formats.pick_lists import UNKNOWN, Listed, write_lists
from relion_ganpick.inspect.job import Facts, Job
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Result
from relion_ganpick.report.names import LOGFILE, REPORT_FILE
from relion_ganpick.report.overlays import which_overlays
from relion_ganpick.runs.results import Finished

LOOK_SECONDS = 10.0
"""How often the job's line of progress is updated, and its status looked at."""


@dataclass(frozen=True)
class Found:
    """What a run has found.

    Attributes
    ----------
    items
        Exposures with their picks above the threshold, in the order of the exposures.
    problems
        Reasons by exposure uid, for those without a result.
    scores
        Counts of all scores, see `report.score_counts`.
    above
        How many scored picks survive at 0.1, 0.2 ... 0.9.
    threshold
        The one that was applied.
    picture
        The picture that stands for the job.
    model
        Name of the model, if it was chosen by adaptation.
    shown
        Files in which the picks can be looked at.
    """

    items: list[tuple[Exposure, RatedPicks]]
    problems: dict[int, str]
    scores: Any
    above: tuple[int, ...]
    threshold: float
    picture: Path | None = None
    model: str = ""
    shown: tuple[Path, ...] = ()

    @property
    def n_picks(self) -> int:
        """Number of picks above the threshold."""
        return sum(len(picks) for _, picks in self.items)


@dataclass(frozen=True)
class ExposureDoor:
    """What a worker needs to file one exposure; see `ExposureResults`."""

    folder: Path
    exposure: Exposure

    def results(self, picker: Picker) -> ExposureResults:
        """Make the results of this one exposure."""
        return ExposureResults([self.exposure], picker.cut, LocalResult(self.folder), None, Console(), 0)


@dataclass
class ExposureResults:
    """Results of a run over exposures.

    Attributes
    ----------
    exposures
        All of them, in order.
    cut
        Which of the scored picks are kept.
    local
        Where results are kept.
    job
        The external job, which is told of progress; None in a dry run.
    overlays
        Number of pictures.
    root
        Folder of the project on this machine; None if it is not there.
    """

    exposures: Sequence[Exposure]
    cut: Cut
    local: LocalResult
    job: ExternalJob | None
    console: Console
    overlays: int
    root: Path | None = None
    _picks: dict[int, RatedPicks] = field(default_factory=dict)
    _problems: dict[int, str] = field(default_factory=dict)
    _scores: Any = field(default_factory=lambda: np.zeros(report.BINS, np.int64))
    _above: Any = field(default_factory=lambda: np.zeros(len(THRESHOLDS), int))
    _fresh: int = -1
    _dropped: Picks = field(default_factory=Picks.none)
    _shares: dict[int, float] = field(default_factory=dict)
    _shown: tuple[Path, ...] = ()
    _looked: float = field(default_factory=time.monotonic)

    def finished(self, index: int) -> Finished | None:
        """Find the scores of an earlier run."""
        scored = self.local.read_scores(self.exposures[index])
        if scored is None:
            return None
        picks = self.take(index, scored)
        return Finished(len(picks), counts_above(scored.score), " (finished before)")

    def refuse(self, index: int, result: Result) -> str | None:
        """Refuse a file of another size than CryoSPARC knows."""
        exposure = self.exposures[index]
        if result.shape == exposure.shape:
            return None
        return f"{exposure.path}: has {result.shape} rows and columns, for CryoSPARC {exposure.shape}"

    def keep(self, index: int, result: Result, picks: Picks) -> None:
        """Write all scores to this machine."""
        assert result.picks is not None
        scored = rated(result.picks)
        self.local.write_scores(self.exposures[index], scored)
        self.take(index, scored)
        self._fresh, self._dropped = index, scored.without(self._picks[index])
        if result.contaminated_share is not None:
            self._shares[index] = result.contaminated_share

    def take(self, index: int, scored: RatedPicks) -> RatedPicks:
        """Collect what was found on an exposure; returns its picks."""
        picks = self._picks[index] = self.cut.keep(scored)
        self._scores += report.score_counts(scored.score)
        self._above += np.array(counts_above(scored.score), int)
        return picks

    def failed(self, index: int, reason: str) -> str:
        """Take down why an exposure has no picks."""
        path = self.exposures[index].path
        problem = reason if reason.startswith(path) else f"{path}: {reason}"
        self._problems[index] = problem = self.console.clean(problem)
        return f"skipped: {problem}"

    def place(self, index: int, folder: str, ending: str) -> Path:
        """Name a file of an exposure."""
        return report.exposure_path(self.local.folder / folder, self.exposures[index], ending)

    def picture(self, index: int) -> tuple[Path, Picks, Picks] | None:
        """Draw an exposure that was just picked."""
        return (*self.drawing(index), self._dropped) if index == self._fresh else None

    def as_job(self, facts: Facts) -> Job | None:
        """Write coordinates as a RELION job does, so that they can be looked at and corrected as those are."""
        there = sorted(self._picks)
        if not there:
            return None
        names = tuple(str(self.root / self.exposures[k].path) if self.root else self.exposures[k].path for k in there)
        coordinates, scores = (
            tuple(self.place(index, folder, ending).absolute() for index in there)
            for folder, ending in (("coordinates", "_autopick.star"), (".ganpick/coordinates", "_scores.star"))
        )
        for index, path, beside in zip(there, coordinates, scores, strict=True):
            scored = self.local.read_scores(self.exposures[index]) or rated(Picks.none())
            write_picks(beside, scored)
            write_picks(path, self._picks[index], cut_digest("", *self.cut.key), scored)
        rows = []
        for name, index, path in zip(names, there, coordinates, strict=True):
            picks = self._picks[index]
            merit = float(picks.score.mean()) if len(picks) else 0.0
            rows.append(Listed(name, str(path), len(picks), merit, self._shares.get(index, UNKNOWN)))
        write_lists(self.local.folder, rows)
        sizes = {self.exposures[index].pixel_size for index in there}
        facts = replace(facts, angpix=sizes.pop() if len(sizes) == 1 else None) if sizes != {None} else facts
        shares = {name: self._shares.get(index, np.nan) for name, index in zip(names, there, strict=True)}
        self._shown = tuple(self.local.folder / name for name in (REPORT_FILE, LOGFILE))
        return Job(self.local.folder, self.local.folder.absolute(), names, coordinates, scores, facts, None, shares)

    def drawing(self, index: int) -> tuple[Path, Picks]:
        """Where the picture of an exposure lies, and what is drawn into it."""
        return report.picture_path(self.local.folder, self.exposures[index]), self._picks[index]

    def door(self, index: int) -> ExposureDoor:
        """Say how a worker elsewhere files an exposure."""
        return ExposureDoor(self.local.folder, self.exposures[index])

    def taken(self, index: int, share: float | None) -> bool:
        """Read and collect the scores that a worker has written."""
        scored = self.local.read_scores(self.exposures[index])
        if scored is not None:
            self.take(index, scored)
            if share is not None:
                self._shares[index] = share
        return scored is not None

    def progress(self, done: int) -> None:
        """Update the job's line of progress now and then, and look whether somebody has ended the job."""
        final = done == len(self.exposures)
        if self.job is None or not (final or time.monotonic() - self._looked >= LOOK_SECONDS):
            return
        self._looked = time.monotonic()
        check_not_ended(self.job)
        n_picks = sum(len(picks) for picks in self._picks.values())
        text = f"{done}/{len(self.exposures)} micrographs, {n_picks} picks, {len(self._problems)} skipped"
        try:
            self.job.progress(text, final)
        except Exception as error:
            if not is_client_error(error):
                raise
            self.console.complain(f"the job's log could not be written ({in_words(error)})")

    def found(self, model: str = "") -> Found:
        """Put everything together, in the order of the exposures."""
        items = [(self.exposures[index], self._picks[index]) for index in sorted(self._picks)]
        problems = {self.exposures[index].uid: problem for index, problem in sorted(self._problems.items())}
        shown = tuple(path for path in self._shown if path.is_file())
        above = tuple(map(int, self._above))
        return Found(items, problems, self._scores, above, self.cut.threshold, self._best_picture(), model, shown)

    def _best_picture(self) -> Path | None:
        """Find the first picture with picks, else the first one."""
        chosen = [index for index in which_overlays(len(self.exposures), self.overlays) if index in self._picks]
        pictures = {index: report.picture_path(self.local.folder, self.exposures[index]) for index in chosen}
        there = [index for index in chosen if pictures[index].is_file()]
        best = next((index for index in there if len(self._picks[index])), there[0] if there else None)
        return None if best is None else pictures[best]
