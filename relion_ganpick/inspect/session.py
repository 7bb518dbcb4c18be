"""A job that is being looked at: pictures as they are asked for, class averages, and what is saved."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.cut import Cut
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.any_coordinates import read_any
from relion_ganpick.inspect.changes import Changes, read_changes
from relion_ganpick.inspect.classes import Averages, averages_of, classes_of
from relion_ganpick.inspect.contamination import ContaminationFinder
from relion_ganpick.inspect.job import Facts, Job, find_job, write_facts
from relion_ganpick.inspect.payload import job_payload, numbers, packed, states
from relion_ganpick.inspect.pictures import Looks, columns, contamination_layer, details, look_at
from relion_ganpick.inspect.saving import Saved, save
from relion_ganpick.inspect.scores import Scores, read_scores, scored_picks
from relion_ganpick.report.overlays import which_overlays

HELD, N_SAMPLE = 40, 24


class Session:
    """What a page can ask about one job. All methods may be called from several threads.

    Parameters
    ----------
    folder
        The job's folder.
    given
        What the user knows better than the folder.
    compare
        Files or folders with other coordinates of the same micrographs.
    """

    def __init__(self, folder: Path, given: Facts | None = None, compare: Sequence[Path] = ()) -> None:
        self.job: Job = find_job(folder, given)
        self._last = read_scores(self.job)  # takes seconds for thousands of micrographs that were never looked at
        self._packed = packed(self._last)
        self._compared = [(path, read_any([path])) for path in compare]
        self._contamination = ContaminationFinder(self.job)
        self._looks: OrderedDict[int, Looks] = OrderedDict()
        self._lock, self._averaging, self._saving = threading.Lock(), threading.Lock(), threading.Lock()
        self._described: tuple[Job, Scores, dict[str, Any]] | None = None
        self._averages: Averages | None = None
        self._averaged = False
        self._progress: dict[str, Any] = {"finished": True, "text": ""}
        self.payload()  # it takes a second for thousands of micrographs, and nobody waits for it yet
        threading.Thread(target=self._look_ahead, daemon=True).start()

    def payload(self) -> dict[str, Any]:
        """Describe the job as a whole."""
        job, scores = self.job, self._scores()
        with self._lock:
            known = self._described
        if known is None or known[0] is not job or known[1] is not scores:
            names = [str(path) for path, _ in self._compared]
            content = job_payload(job, scores, served=True, text=self._packed) | {"first": 0, "compare": names}
            known = (job, scores, content)
            with self._lock:
                self._described = known
        return known[2]

    def details(self, index: int) -> dict[str, Any]:
        """One micrograph, as far as it can be read."""
        picks = scored_picks(self.job, index)
        try:
            looks, problem = self.look(index), None
        except GanpickError as error:
            looks, problem = None, str(error)
        stem = Path(self.job.names[index]).stem
        others = [found[stem].picks if stem in found else Picks.none() for _, found in self._compared]
        content = details(self.job, index, looks, picks)
        if self._averages is not None and looks is not None:
            content["classes"] = classes_of(looks, picks, self._averages).tolist()
        return content | {"problem": problem, "others": [columns(each) for each in others]}

    def contamination(self, index: int) -> dict[str, Any]:
        """Layer of contamination of one micrograph."""
        looks = self.look(index)
        return contamination_layer(self._contamination(looks), looks.area)

    def averages(self) -> dict[str, Any]:
        """Class averages of the picks on a spread of micrographs; they are made once."""
        with self._averaging:
            if not self._averaged:
                self._averages = self._average()
                self._averaged = True
        return {"classes": []} if self._averages is None else self._averages.payload()

    def classes(self, index: int) -> dict[str, Any]:
        """Class of each scored pick of one micrograph."""
        self.averages()
        assert self._averages is not None
        return {"classes": classes_of(self.look(index), scored_picks(self.job, index), self._averages).tolist()}

    def save(self, content: Any) -> dict[str, Any]:
        """Begin to save what a page has sent; `progress` says how far it is.

        Raises
        ------
        GanpickError
            If it cannot be understood, or something is being saved already.
        """
        changes = read_changes(content, self.job)
        if not self._saving.acquire(blocking=False):
            raise GanpickError("another page is saving: wait until it has done")
        self._progress = {"finished": False, "done": 0, "all": len(self.job.names)}

        def work() -> None:
            try:
                saved = save(self.job, changes, self._cut(), self._look_for_selection, self._say)
                self._take_over(changes)
                self._progress = self._after(saved, reload=changes.selection is not None)
            except (GanpickError, OSError) as error:
                self._progress = {"finished": True, "problem": str(error)}
            finally:
                self._saving.release()

        threading.Thread(target=work, daemon=False).start()
        return {}

    def progress(self) -> dict[str, Any]:
        """How far saving is; at its end, what is on disk now."""
        return self._progress

    def look(self, index: int) -> Looks:
        """Look at a micrograph; the last pictures are kept.

        Raises
        ------
        GanpickError
            If it cannot be read.
        """
        with self._lock:
            if index in self._looks:
                self._looks.move_to_end(index)
                return self._looks[index]
        job = self.job
        working = job.facts.working_diameter or job.diameter
        looks = look_at(job.micrograph(index), job.pixel_sizes.get(job.names[index]), working, job.facts.contrast)
        with self._lock:
            self._looks[index] = looks
            while len(self._looks) > HELD:
                self._looks.popitem(last=False)
        return looks

    def _scores(self) -> Scores:
        """Read the figures of merit again: somebody else may have written, too."""
        with self._lock:
            last = self._last
        scores = read_scores(self.job, last=last)
        with self._lock:
            if scores is not last and not np.array_equal(scores.score, last.score):
                self._packed = packed(scores)
            self._last = scores
        return scores

    def _look_ahead(self) -> None:
        """Look at the micrograph that the page begins with before anybody asks."""
        with contextlib.suppress(GanpickError):
            self.look(0)

    def _take_over(self, changes: Changes) -> None:
        """Take down the rule that the job's files follow now, unless it is a threshold, which the files themselves tell."""
        facts, selection = self.job.facts, changes.selection
        if selection is not None and (facts.threshold is not None or selection.cut != Cut(selection.threshold)):
            self.job = replace(self.job, facts=replace(facts, **asdict(selection.cut)))
            write_facts(self.job.folder, self.job.facts)

    def _cut(self) -> Cut:
        return self._scores().cut(self.job.facts)

    def _average(self) -> Averages | None:
        looks, kept = {}, {}
        cut = self._cut()
        for index in which_overlays(len(self.job.names), N_SAMPLE):
            try:
                looks[index] = self.look(index)
            except GanpickError:
                continue
            kept[index] = cut.keep(scored_picks(self.job, index))
        return averages_of(looks, kept)

    def _look_for_selection(self, index: int, picks: Picks) -> tuple[NDArray[np.float64], NDArray[np.intp] | None]:
        looks = self.look(index)
        classes = None if self._averages is None else classes_of(looks, picks, self._averages)
        return looks.power(picks, self.job.diameter), classes

    def _say(self, done: int, of: int) -> None:
        self._progress = {"finished": False, "done": done, "all": of}

    def _after(self, saved: Saved, reload: bool) -> dict[str, Any]:
        scores = self._scores()
        found = {"states": states(scores), "n_file": scores.n_file.tolist(), "mean_file": numbers(scores.mean_file, 4)}
        return {"finished": True, "text": saved.text, "reload": reload} | found
