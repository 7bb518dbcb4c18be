"""One run: exposures in, picks on this machine, picks out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cryosparc_tool import report
from cryosparc_tool.adapting import adapted_picker
from cryosparc_tool.console import Console
from cryosparc_tool.data.coordinates import Coordinates
from cryosparc_tool.data.exposures import Exposure
from cryosparc_tool.data.files import MicrographFiles, MissingError
from cryosparc_tool.data.local import LocalResult
from cryosparc_tool.data.power import RatedPicks, RatingPicker, rated
from cryosparc_tool.options import JobSettings
from cryosparc_tool.plan import card_of
from cryosparc_tool.server.interface import ExternalJob
from cryosparc_tool.server.lifecycle import check_not_ended
from cryosparc_tool.server.retry import in_words, is_client_error
from relion_ganpick.adaptation.options import AdaptOptions
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.picks import counts_above
from relion_ganpick.core.settings import PickSettings, RunSettings
from relion_ganpick.picking.stream import Result, Task, stream
from relion_ganpick.report.overlays import which_overlays
from relion_ganpick.report.summary import Summary
from relion_ganpick.version import __version__

LOOK_SECONDS = 10.0
"""How often the job's line of progress is updated, and its status looked at."""


@dataclass
class Found:
    """What a run has found so far.

    Attributes
    ----------
    items
        Exposures with their picks above the threshold, in the order of the exposures.
    problems
        Reasons by exposure uid, for those without a result.
    scores
        Counts of all scores, see `report.score_counts`.
    picture
        The picture that stands for the job.
    threshold
        The one that was applied.
    model
        Name of the model, if it was chosen by adaptation.
    """

    items: list[tuple[Exposure, RatedPicks]] = field(default_factory=list)
    problems: dict[int, str] = field(default_factory=dict)
    scores: Any = field(default_factory=lambda: np.zeros(report.BINS, np.int64))
    picture: Path | None = None
    threshold: float = 0.0
    model: str = ""

    @property
    def n_picks(self) -> int:
        """Number of picks above the threshold."""
        return sum(len(picks) for _, picks in self.items)


def threshold_of(settings: JobSettings, pick: PickSettings) -> float:
    """Threshold that applies: the user's, else the model's; coordinates of others are all taken."""
    if pick.threshold is not None:
        return pick.threshold
    if settings.coordinates:
        return 0.0
    return card_of(pick).threshold


class Run:
    """Picks the exposures of one job.

    Parameters
    ----------
    settings, pick, how, adapt
        Where from and to, what, how, and whether the model is adapted before.
    local
        Where results are kept.
    job
        The external job, which is told of progress; None in a dry run.
    """

    def __init__(
        self,
        settings: JobSettings,
        pick: PickSettings,
        how: RunSettings,
        adapt: AdaptOptions,
        local: LocalResult,
        job: ExternalJob | None,
        console: Console,
    ) -> None:
        self.settings, self.pick, self.how, self.adapt = settings, pick, how, adapt
        self.local, self.job, self.console = local, job, console
        self.summary = Summary()
        self.found = Found(threshold=threshold_of(settings, pick))
        self._looked = time.monotonic()
        self._drawn: list[int] = []
        self._shows_picks = False
        self._total = 0
        self._picker: RatingPicker | None = None

    def carry_out(self, exposures: Sequence[Exposure], files: MicrographFiles) -> Found:
        """Pick what has not been picked, and collect everything.

        Raises
        ------
        GanpickError
            If no micrograph could be used.
        """
        self._total = len(exposures)
        self._drawn = which_overlays(self._total, self.how.overlays)
        if self.adapt.adapt:
            self._adapt(exposures, files)
        dropped = self.local.keep_only(self._basis())
        if dropped:
            reason = "the version, the model or a setting has changed"
            self.console.say(f"{dropped} micrographs that were finished before are picked again: {reason}")
        todo = [each for each in exposures if not self.local.has_scores(each)]
        source = self._coordinates if self.settings.coordinates else self._picked
        with closing(source(todo, files)) as fresh:
            remaining = {each.uid for each in todo}
            for index, exposure in enumerate(exposures):
                if exposure.uid in remaining:
                    same, path, scored = next(fresh)
                    assert same.uid == exposure.uid
                    if scored is not None:
                        self.local.write_scores(exposure, scored)
                    self._collect(index, exposure, path, scored, False)
                    files.release(exposure)
                else:
                    self._collect(index, exposure, None, self.local.read_scores(exposure), True)
        self._tell(final=True)
        if not self.found.items:
            raise GanpickError("no micrograph could be used: the lines above say why for each of them")
        if not self.found.n_picks:
            self.console.complain("WARNING: not one pick: check --diameter, the pixel size, --contrast and --threshold")
        return self.found

    def _basis(self) -> dict[str, Any]:
        """List all that scores depend on, but for the exposures themselves."""
        if self.settings.coordinates:
            return {"version": __version__, "coordinates": list(self.settings.coordinates), "flip_y": self.settings.flip_y}
        card = self._picker.model.card if self._picker else card_of(self.pick)
        pick = {name: value for name, value in asdict(self.pick).items() if name not in ("threshold", "model")}
        return {
            "version": __version__,
            "model_sha256": card.sha256,
            "calibration": card.calibration,
            "pick": pick,
            "angpix": self.how.angpix,
        }

    def _adapt(self, exposures: Sequence[Exposure], files: MicrographFiles) -> None:
        """Find the model that picks, whose threshold also holds for what was picked before."""
        import torch

        torch.set_num_threads(self.how.j)
        picker = adapted_picker(self.pick, self.how, self.adapt, exposures, files, self.local.folder, self.console)
        self._picker, self.found.threshold, self.found.model = picker, picker.threshold, picker.model.card.name
        self._tell()

    def _picked(
        self, exposures: Sequence[Exposure], files: MicrographFiles
    ) -> Generator[tuple[Exposure, Path | None, RatedPicks | None], None, None]:
        """Pick micrographs in order; None for those that cannot be used."""
        import torch

        torch.set_num_threads(self.how.j)
        picker = self._picker or RatingPicker(self.pick, self.how.device_name)
        card, precision = picker.model.card, str(picker.dtype).removeprefix("torch.")
        self.console.say(
            f"cryosparc_ganpick {__version__} on {picker.device} ({precision}), {self.how.j} threads, "
            f"model {card.name} {card.sha256[:12]}, diameter {picker.settings.diameter_angstrom:g} A"
        )
        order: deque[tuple[Exposure, Path | None]] = deque()

        def tasks() -> Iterator[Task]:
            for exposure, path in files.paths(exposures):
                usable = self._usable(exposure, path)
                order.append((exposure, usable))
                if usable is not None:
                    yield Task(exposure.path, usable, exposure.pixel_size or self.how.angpix)

        for result in stream(tasks(), picker, self.how.j):
            while order and order[0][1] is None:
                yield order.popleft()[0], None, None
            exposure, path = order.popleft()
            yield exposure, path, self._used(exposure, result)
        for exposure, _ in order:
            yield exposure, None, None

    def _coordinates(
        self, exposures: Sequence[Exposure], files: MicrographFiles
    ) -> Generator[tuple[Exposure, Path | None, RatedPicks | None], None, None]:
        """Take coordinates that somebody else has made."""
        coordinates = Coordinates([Path(path) for path in self.settings.coordinates], self.settings.flip_y)
        drawn = {exposures[index].uid for index in which_overlays(len(exposures), self.how.overlays)}
        for exposure in exposures:
            picks, problem = coordinates.of(exposure)
            if picks is None:
                self._skip(exposure, problem)
            path = next(files.paths([exposure]))[1] if exposure.uid in drawn else None
            yield exposure, path if isinstance(path, Path) else None, picks

    def _usable(self, exposure: Exposure, found: Path | MissingError) -> Path | None:
        """Take only what is there, and of the format whose rows are known to run as CryoSPARC counts them."""
        if not isinstance(found, Path):
            self._skip(exposure, str(found))
            return None
        if ".mrc" not in "".join(Path(exposure.path).suffixes[-2:]).lower():
            self._skip(exposure, f"{exposure.path}: not an MRC file; convert it, or pick the output of a motion correction job")
            return None
        return found

    def _used(self, exposure: Exposure, result: Result) -> RatedPicks | None:
        if result.warning:
            self.console.complain(f"WARNING: {result.warning}")
        if result.picks is None:
            self._skip(exposure, f"{exposure.path}: {result.error or 'failed'}")
            return None
        if result.shape != exposure.shape:
            self._skip(exposure, f"{exposure.path}: has {result.shape} rows and columns, for CryoSPARC {exposure.shape}")
            return None
        return rated(result.picks)

    def _skip(self, exposure: Exposure, problem: str) -> None:
        self.found.problems[exposure.uid] = problem
        self.console.complain(f"skipped: {problem}")

    def _collect(self, index: int, exposure: Exposure, path: Path | None, scored: RatedPicks | None, before: bool) -> None:
        """Count a micrograph, say a line about it, draw it if it is one of the chosen, and tell the job."""
        if scored is None:
            self.summary.add_failure()
        else:
            picks = scored.where(scored.score >= self.found.threshold)
            self.found.items.append((exposure, picks))
            self.found.scores += report.score_counts(scored.score)
            self.summary.add(len(picks), counts_above(scored.score), before)
            how = " (finished before)" if before else ""
            self.console.say(f"[{index + 1:{len(str(self._total))}d}/{self._total}] {exposure.path}: {len(picks)} picks{how}")
            if index in self._drawn:
                self._draw(exposure, path, picks)
        self._tell()

    def _draw(self, exposure: Exposure, path: Path | None, picks: RatedPicks) -> None:
        """Draw a micrograph unless that was done before; the first one with picks stands for the job."""
        picture: Path | None = report.picture_path(self.local.folder, exposure)
        if path is not None:
            bright = self.pick.contrast == "bright"
            picture = report.draw(path, exposure, picks, self.pick.diameter_angstrom, bright, self.local.folder)
        if picture is not None and picture.is_file() and (self.found.picture is None or (len(picks) and not self._shows_picks)):
            self.found.picture, self._shows_picks = picture, bool(len(picks))

    def _tell(self, final: bool = False) -> None:
        """Update the job's line of progress now and then, and look whether somebody has ended the job."""
        if self.job is None or not (final or time.monotonic() - self._looked >= LOOK_SECONDS):
            return
        self._looked = time.monotonic()
        check_not_ended(self.job)
        done = self.summary.micrographs + self.summary.failures
        text = f"{done}/{self._total} micrographs, {self.summary.picks} picks, {self.summary.failures} skipped"
        try:
            self.job.progress(text, final)
        except Exception as error:
            if not is_client_error(error):
                raise
            self.console.complain(f"the job's log could not be written ({in_words(error)})")
