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
from cryosparc_tool.pick_files import FOLDER as COORDINATES
from cryosparc_tool.pick_files import PickFiles
from cryosparc_tool.server.interface import ExternalJob
from cryosparc_tool.server.lifecycle import check_not_ended
from cryosparc_tool.server.retry import in_words, is_client_error
from relion_ganpick.core.cut import Cut
from relion_ganpick.core.picks import THRESHOLDS, Picks, counts_above
from relion_ganpick.formats.pick_files import can_be_read
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
        files = PickFiles(self.folder, picker)
        return ExposureResults([self.exposure], picker.cut, LocalResult(self.folder), None, Console(), 0, None, files)


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
    files
        Coordinate files to look at and to correct; None where somebody else's coordinates are pushed.
    """

    exposures: Sequence[Exposure]
    cut: Cut
    local: LocalResult
    job: ExternalJob | None
    console: Console
    overlays: int
    root: Path | None = None
    files: PickFiles | None = None
    _picks: dict[int, RatedPicks] = field(default_factory=dict)
    _problems: dict[int, str] = field(default_factory=dict)
    _scores: Any = field(default_factory=lambda: np.zeros(report.BINS, np.int64))
    _above: Any = field(default_factory=lambda: np.zeros(len(THRESHOLDS), int))
    _fresh: int = -1
    _dropped: Picks = field(default_factory=Picks.none)
    _shown: tuple[Path, ...] = ()
    _looked: float = field(default_factory=time.monotonic)

    def finished(self, index: int) -> Finished | None:
        """Find the scores of an earlier run."""
        scored = self.local.read_scores(self.exposures[index])
        if scored is None:
            return None
        if self.files is not None:
            self.files.follow(self.exposures[index], scored)
        picks = self.take(index, scored)
        return Finished(len(picks), counts_above(scored.score), " (finished before)")

    def refuse(self, index: int, result: Result) -> str | None:
        """Refuse a file of another size than CryoSPARC knows."""
        exposure = self.exposures[index]
        if result.shape == exposure.shape:
            return None
        return f"{exposure.path}: has {result.shape} rows and columns, for CryoSPARC {exposure.shape}"

    def keep(self, index: int, result: Result, picks: Picks) -> None:
        """Write all scores to this machine, last those by which the exposure is finished."""
        assert result.picks is not None
        scored = rated(result.picks)
        if self.files is not None:
            self.files.write(self.exposures[index], result, scored)
        self.local.write_scores(self.exposures[index], scored)
        self.take(index, scored)
        self._fresh, self._dropped = index, scored.without(self._picks[index])

    def take(self, index: int, scored: RatedPicks) -> RatedPicks:
        """Collect what was found on an exposure; returns its picks."""
        picks = self._picks[index] = self.cut.keep(scored)
        self._scores += report.score_counts(scored.score)
        self._above += np.array(counts_above(scored.score), int)
        return picks

    def failed(self, index: int, reason: str) -> str:
        """Take down why an exposure has no picks."""
        path = self.exposures[index].path
        if self.files is not None:
            self.files.drop(self.exposures[index])
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
        """Describe the coordinate files as a RELION job's, so that they can be looked at and corrected as those are."""
        there = self._listed()
        if self.files is None or not there:
            return None
        exposures = [self.exposures[index] for index in there]
        heads = {self._name(index): self.files.head(self.exposures[index]) for index in there}
        shares = {name: np.nan if head is None or head.contaminated_share is None else head.contaminated_share
                  for name, head in heads.items()}  # fmt: skip
        sizes = {each.pixel_size for each in exposures}
        facts = replace(facts, angpix=sizes.pop() if len(sizes) == 1 else None) if sizes != {None} else facts
        self._shown = tuple(self.local.folder / name for name in (REPORT_FILE, LOGFILE))
        return Job(
            self.local.folder,
            self.local.folder.absolute(),
            tuple(heads),
            tuple(map(self.files.coordinates, exposures)),
            tuple(map(self.files.scores, exposures)),
            facts,
            None,
            shares,
        )

    def _listed(self) -> list[int]:
        """Exposures with a coordinate file that can be read, in order."""
        files = self.files
        return [] if files is None else [k for k in sorted(self._picks) if can_be_read(files.coordinates(self.exposures[k]))]

    def _name(self, index: int) -> str:
        """Name of an exposure's micrograph, on this machine if it is here."""
        path = self.exposures[index].path
        return str(self.root / path) if self.root else path

    def _list(self) -> None:
        """Write the lists of the coordinate files, and say which of them a person has changed."""
        rows = []
        for index in self._listed():
            assert self.files is not None
            head, path = self.files.head(self.exposures[index]), self.files.coordinates(self.exposures[index])
            n, mean, share = (len(self._picks[index]), None, None) if head is None else head.numbers
            rows.append(Listed(self._name(index), str(path), n, mean or 0.0, UNKNOWN if share is None else share))
        write_lists(self.local.folder, rows)
        if self.files is not None and self.files.edited:
            n, folder = len(self.files.edited), self.local.folder
            self.console.complain(
                f"{n} coordinate files in {folder / COORDINATES} were edited: they are kept, and the automatic picks counted; "
                f"to push yours: --coordinates {folder}"
            )

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
        self._list()
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
