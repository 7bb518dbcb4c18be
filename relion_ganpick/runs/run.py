"""The one loop over the micrographs of a run: pick what is not finished, keep, draw, count and say."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.faults import hits_all, in_words
from relion_ganpick.core.micrograph import read_micrograph
from relion_ganpick.core.picks import Picks, counts_above
from relion_ganpick.core.settings import RunSettings
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Result, Task, stream
from relion_ganpick.report.overlays import which_overlays, write_overlay
from relion_ganpick.report.summary import Summary
from relion_ganpick.runs.repeated import Repeated
from relion_ganpick.runs.results import Finished, Results
from relion_ganpick.runs.source import Missing, Source

log = logging.getLogger(__name__)

Outcome = Finished | Missing | Result


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
    """

    def __init__(
        self,
        source: Source,
        picker: Picker,
        results: Results,
        how: RunSettings,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.source, self.picker, self.results, self.how, self.progress = source, picker, results, how, progress
        self.summary, self._warnings = Summary(), Repeated()
        self._drawn = set(which_overlays(len(source), how.overlays))
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
        for result in stream(self._to_pick(), self.picker, self.how.j):
            index, _ = self._waiting.popleft()
            self._file(index, result)
            self._file_settled()
        self._warnings.end()
        for line in self.summary.lines(self.picker.cut, self.picker.model.card.name):
            log.info(line)
        if not self.summary.micrographs:
            raise GanpickError("no micrograph could be used: the lines above say why")
        if self.summary.failures > self.how.max_failed * self._done:
            raise GanpickError(
                f"{self.summary.failures} of {self._done} micrographs could not be used, more than `max_failed` "
                f"{self.how.max_failed:g} allows: the lines above say why; what was picked is kept"
            )
        if not self.summary.picks:
            log.warning("there are no picks at all: check `diameter`, the pixel size, `contrast` and `threshold`")
        return self.summary

    def _to_pick(self) -> Iterator[Task]:
        """Micrographs that must go through the network; the others are filed in their turn."""
        for index, found in self.source.fetch(self._unfinished()):
            if isinstance(found, Missing):
                self._settle(index, found)
                continue
            self._waiting.append((index, None))
            self._tasks[index] = found
            yield found

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
        if index in self._drawn:
            self._draw(index)
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
        self._say(index, len(picks), f" ({sum(outcome.seconds.values()):.2f} s)")
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
    def _done(self) -> int:
        return self.summary.micrographs + self.summary.failures

    def _close(self, index: int) -> None:
        if self._tasks.pop(index, None) is not None:
            self.source.release(index)
        self.progress(self._done)

    def _draw(self, index: int) -> None:
        """Draw a micrograph with its picks; no run fails for a picture."""
        fetched = index not in self._tasks
        try:
            wanted = self.results.picture(index)
            task = None if wanted is None else next(self.source.fetch([index]))[1] if fetched else self._tasks[index]
            if wanted is not None and isinstance(task, Task):
                self._draw_into(task, wanted[1], wanted[0])
        except Exception as error:
            text = str(error) if isinstance(error, GanpickError) else f"{self.source.name(index)}: {in_words(error)}"
            self._warnings.warn(f"{text}; the picks are not affected", self.source.name(index))
        finally:
            if fetched:
                self.source.release(index)

    def _draw_into(self, task: Task, picks: Picks, path: Path) -> None:
        micrograph = read_micrograph(task.path, task.pixel_size)
        settings = self.picker.settings
        pixels = -micrograph.pixels if settings.contrast == "bright" else micrograph.pixels
        write_overlay(pixels, picks, settings.diameter / (micrograph.pixel_size or 1.0), path)
