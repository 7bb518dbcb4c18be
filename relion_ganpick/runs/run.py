"""The one loop over the micrographs of a run: pick what is not finished, keep, draw, count and say."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.faults import hits_all, in_words
from relion_ganpick.core.micrograph import Micrograph, read_micrograph
from relion_ganpick.core.picks import counts_above
from relion_ganpick.core.settings import RunSettings
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Result, Sight, Task, stream
from relion_ganpick.report.masks import whole_mask, write_mask
from relion_ganpick.report.overlays import which_overlays, write_overlay
from relion_ganpick.report.summary import Summary
from relion_ganpick.runs.repeated import Repeated
from relion_ganpick.runs.reports import Reports
from relion_ganpick.runs.results import Finished, Results
from relion_ganpick.runs.source import Missing, Source

log = logging.getLogger(__name__)

Outcome = Finished | Missing | Result


def make_run(
    source: Source,
    picker: Picker,
    results: Results,
    how: RunSettings,
    folder: Path,
    progress: Callable[[int], None] = lambda _: None,
    settled: Callable[[], None] = lambda: None,
) -> Run:
    """Make a run in this process, or over workers if the user asks for them; see `Run`.

    Parameters
    ----------
    folder
        The run's own, which workers see as well.
    """
    if how.workers is None:
        return Run(source, picker, results, how, progress, settled)
    from relion_ganpick.runs.spread import SpreadRun

    return SpreadRun(source, picker, results, how, folder, progress, settled)


class Run:
    """Picks the micrographs of a run with one picker.

    Parameters
    ----------
    source
        Where the micrographs come from.
    picker
        Does the picking; see `runs.prepare.make_picker`.
    results
        Where results go.
    how
        Threads and number of pictures.
    progress
        Hears the number of micrographs that are done, whenever there is one more.
    settled
        Called when all picks are kept, and nothing is left to do but to show them.
    """

    def __init__(
        self,
        source: Source,
        picker: Picker,
        results: Results,
        how: RunSettings,
        progress: Callable[[int], None] = lambda _: None,
        settled: Callable[[], None] = lambda: None,
    ) -> None:
        self.source, self.picker, self.results, self.how = source, picker, results, how
        self.progress, self.settled = progress, settled
        self.summary, self._warnings = Summary(), Repeated()
        self.reports = Reports(picker, how, len(source))
        self._told = False
        self._drawn = set(which_overlays(len(source), how.overlays))
        self._n_pictures: int | None = None
        self._waiting: deque[tuple[int, Outcome | None]] = deque()
        self._tasks: dict[int, Task] = {}

    def carry_out(self) -> Summary:
        """Pick everything that is not finished; a micrograph that cannot be used costs one line.

        Returns
        -------
        The counts. The last lines of the log say them, the most important last.

        Raises
        ------
        GanpickError
            If no micrograph could be used, or more failed than may; what was done is kept.
        """
        self._pick_all()
        self._warnings.end()
        lines = self.summary.lines(self.picker.cut, self.picker.model.card.name)
        if self.summary.micrographs:
            if not self._too_many_failed:
                self.settled()
            self.reports.write(self.results)
        for line in lines:
            log.info(line)
        if not self.summary.micrographs:
            raise GanpickError("no micrograph could be used: the lines above say why")
        if self._too_many_failed:
            raise GanpickError(
                f"{self.summary.failures} of {self._done} micrographs could not be used, more than `max_failed` "
                f"{self.how.max_failed:g} allows: the lines above say why; what was picked is kept"
            )
        if not self.summary.picks:
            log.warning("there are no picks at all: check `diameter`, the pixel size, `contrast` and `threshold`")
        return self.summary

    def _pick_all(self) -> None:
        """Pick what is not finished, in order."""
        for result in stream(self._to_pick(), self.picker, self.how.j):
            index, _ = self._waiting.popleft()
            self._file(index, result)
            self._file_settled()

    def _to_pick(self) -> Iterator[Task]:
        """Micrographs that must go through the network; the others are filed in their turn."""
        for index, found in self.source.fetch(self._unfinished()):
            if isinstance(found, Missing):
                self._settle(index, found)
                continue
            self._waiting.append((index, None))
            self._tasks[index] = found
            # the paper's network sees an equalised picture, which shows less than the micrograph does
            shown = self.picker.method.follows_size and (index in self._drawn or index in self.reports.chosen)
            yield replace(found, shown=shown)

    def _unfinished(self) -> Iterator[int]:
        for index in range(len(self.source)):
            found = self._known(index)
            if found is None:
                yield index
            else:
                self._settle(index, found)

    def _known(self, index: int) -> Finished | Missing | None:
        """Tell what is known of a micrograph before it is read; None if it must be picked."""
        try:
            return self.results.finished(index)
        except Exception as error:
            return Missing(self._line(index, error))

    def _settle(self, index: int, outcome: Outcome) -> None:
        """File what needs no network, in its turn."""
        self._waiting.append((index, outcome))
        self._file_settled()

    def _file_settled(self) -> None:
        while self._waiting and self._waiting[0][1] is not None:
            index, outcome = self._waiting.popleft()
            assert outcome is not None
            self._file(index, outcome)

    def _file(self, index: int, outcome: Outcome) -> None:
        """File one micrograph, count it, say a line about it, and draw it if it is one of the chosen."""
        if isinstance(outcome, Finished):
            self.summary.add(outcome.n_picks, outcome.above, outcome.before)
            if outcome.note:
                self._say(index, outcome.n_picks, outcome.note)
        else:
            problem = self._kept(index, outcome)
            if problem:
                self._say_failure(index, problem)
                self.summary.add_failure()
                self._close(index)
                return
        result = outcome if isinstance(outcome, Result) else None
        if index in self._drawn and not self._shown_enough(index, outcome):
            self._draw(index, None if result is None else result.sight)
        if result is not None:
            self.reports.take(index, result)
        if self.how.masks != "no":
            self._mask(index, result)
        self._close(index)

    def _kept(self, index: int, outcome: Missing | Result) -> str | None:
        """Keep a result, or say why there is none."""
        if isinstance(outcome, Missing):
            return outcome.reason
        if outcome.warning:
            self._warnings.warn(outcome.warning, self.source.name(index), str(outcome.task.path))
        if outcome.picks is None:
            return outcome.error or f"{self.source.name(index)}: failed"
        try:
            problem = self.results.refuse(index, outcome)
            if problem:
                return problem
            picks = self.picker.cut.keep(outcome.picks)
            self.results.keep(index, outcome, picks)
        except Exception as error:
            return self._line(index, error, "its picks cannot be kept")
        self.summary.add(len(picks), counts_above(outcome.picks.score))
        self.summary.add_without_image(outcome.without_image)
        without = f"; {outcome.without_image:.0%} of it holds no image" if outcome.without_image else ""
        self._say(index, len(picks), f" ({sum(outcome.seconds.values()):.2f} s{without})")
        return None

    def _say_failure(self, index: int, problem: str) -> None:
        try:
            problem = self.results.failed(index, problem)
        except Exception as error:
            also = self._line(index, error)
            problem = problem if also == problem else f"{problem}; {also}"
        log.error("%s", " ".join(problem.split()))

    def _line(self, index: int, error: Exception, what: str = "cannot be used") -> str:
        """Say in one line what went wrong with a micrograph; what must hit all others too is raised again."""
        if hits_all(error):
            raise error
        return str(error) if isinstance(error, GanpickError) else f"{self.source.name(index)}: {what} ({in_words(error)})"

    def _say(self, index: int, n_picks: int, note: str) -> None:
        total = len(self.source)
        log.info(f"[{self._done:{len(str(total))}d}/{total}] {self.source.name(index)}: {n_picks} picks{note}")

    @property
    def _too_many_failed(self) -> bool:
        return self.summary.failures > self.how.max_failed * self._done

    @property
    def _done(self) -> int:
        return self.summary.micrographs + self.summary.failures

    def _close(self, index: int) -> None:
        if self._tasks.pop(index, None) is not None:
            self.source.release(index)
        self.progress(self._done)

    def _shown_enough(self, index: int, outcome: Outcome) -> bool:
        """Whether a micrograph of an earlier run that has no picture needs none, as there are as many as were asked for.

        Which ones are drawn depends on their number. A job that grows would else read old ones again each time.
        """
        if not (isinstance(outcome, Finished) and outcome.before) or self._has_picture(index):
            return False
        if self._n_pictures is None:
            self._n_pictures = sum(map(self._has_picture, range(len(self.source))))
        return self._n_pictures >= self.how.overlays

    def _has_picture(self, index: int) -> bool:
        return self.results.place(index, "overlays", ".png").is_file()

    def _draw(self, index: int, sight: Sight | None) -> None:
        """Draw a micrograph with its picks; no run fails for a picture."""
        try:
            wanted = self.results.picture(index)
            if wanted is None:
                return
            if sight is not None:
                pixels, shape, pixel_size = sight.small, sight.prepared.shape, sight.prepared.pixel_size
            else:
                micrograph = self._micrograph(index)
                pixels, pixel_size = micrograph.pixels, micrograph.pixel_size or 1.0
                shape = (pixels.shape[0], pixels.shape[1])
            path, picks, dropped = wanted
            settings = self.picker.settings
            pixels = -pixels if settings.contrast == "bright" else pixels
            write_overlay(pixels, picks, settings.diameter / pixel_size, path, dropped=dropped, shape=shape)
        except Exception as error:
            self._not_affected(index, error)

    def _mask(self, index: int, result: Result | None) -> None:
        """Write where a micrograph is contaminated, if that is not there yet; no run fails for a mask."""
        path = self.results.place(index, "masks", f".{self.how.masks}")
        try:
            if result is not None:
                contamination, area, shape, pixel_size = result.contamination, result.area, result.shape, result.pixel_size
            elif path.is_file():
                return
            else:
                prepared = self.picker.prepare(self._micrograph(index))
                marked = self.picker.mark(prepared.picture)
                contamination = marked[1] if len(marked) > 1 else None
                area, shape, pixel_size = prepared.area, prepared.shape, prepared.pixel_size
            if contamination is None or area is None or shape is None:
                if not self._told:
                    log.warning(f"model {self.picker.model.card.name} does not tell contamination: there are no masks")
                self._told = True
                return
            mask = whole_mask(contamination, area, shape)
            write_mask(path, mask, (pixel_size or 1.0) * shape[0] / mask.shape[0])
        except Exception as error:
            self._not_affected(index, error)

    def _micrograph(self, index: int) -> Micrograph:
        """Read a micrograph once more."""
        fetched = index not in self._tasks
        try:
            task = next(self.source.fetch([index]))[1] if fetched else self._tasks[index]
            if isinstance(task, Missing):
                raise GanpickError(task.reason)
            return read_micrograph(task.path, task.pixel_size)
        finally:
            if fetched:
                self.source.release(index)

    def _not_affected(self, index: int, error: Exception) -> None:
        text = str(error) if isinstance(error, GanpickError) else f"{self.source.name(index)}: {in_words(error)}"
        self._warnings.warn(f"{text}; the picks are not affected", self.source.name(index))
