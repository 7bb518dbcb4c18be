"""What a run shows of its picks when it has ended: ``report.html`` and ``logfile.pdf``."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.settings import RunSettings
from relion_ganpick.inspect.job import Facts, Job
from relion_ganpick.inspect.material import N_MICROGRAPHS, Seen
from relion_ganpick.inspect.pictures import Looks, looks_of
from relion_ganpick.inspect.report import can_report, write_reports
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Result
from relion_ganpick.report.names import LOGFILE, REPORT_FILE
from relion_ganpick.report.overlays import which_overlays
from relion_ganpick.runs.results import Results

log = logging.getLogger(__name__)

PUT_OFF_SECONDS = 300.0
PUT_OFF_SHARE = 0.1  # of the micrographs: where no more are new, pages of the last minutes are good enough


class Reports:
    """Keeps the pictures of some micrographs while they are at hand, and writes the reports.

    Parameters
    ----------
    picker
        Does the picking.
    how
        Whether reports are wanted.
    n
        Number of micrographs.

    Attributes
    ----------
    chosen
        Micrographs whose pictures are kept, a few MB each.
    """

    def __init__(self, picker: Picker, how: RunSettings, n: int) -> None:
        self._picker, self._how = picker, how
        self.chosen = set(which_overlays(n, N_MICROGRAPHS)) if how.page else set()
        self._seen: dict[int, Seen] = {}

    def take(self, index: int, result: Result) -> None:
        """Take the picture of a micrograph that was just picked, if it is a chosen one."""
        if index in self.chosen and result.sight is not None:
            self._seen[index] = Seen(looks_of(result.sight), result.contamination)

    def write(self, results: Results) -> None:
        """Write the reports, unless those that are there are younger than all picks, or young and short of a few only.

        So a job that is continued every minute does not make them every time.
        """
        if not self._how.page:
            return
        job = results.as_job(self._facts())
        if job is None:
            return
        written, lacks = _state(job)
        if lacks is None or (lacks and not _put_off(written, lacks, len(job.names))):
            write_reports(job, self._seen, self._contamination)
        elif lacks:
            log.info(
                f"{REPORT_FILE} does not show the newest {lacks} yet: Continue makes it anew {PUT_OFF_SECONDS / 60:g} minutes "
                f"after the last time, or now: ganpick inspect {job.folder} --report"
            )

    def _facts(self) -> Facts:
        settings = self._picker.settings
        path = Path(settings.model)
        model = str(path.absolute()) if path.is_file() else settings.model
        diameters = settings.diameter, settings.working_diameter_angstrom
        cut = self._picker.cut
        return Facts(*diameters, settings.contrast, cut.threshold, model, self._how.angpix, cut.best, cut.most)

    def _contamination(self, looks: Looks) -> NDArray[np.float32]:
        """Ask the network once more, of a micrograph that was picked in an earlier run."""
        if not self._picker.method.follows_size:
            raise GanpickError(f"model {self._picker.model.card.name} does not tell contamination")
        marked = self._picker.mark(looks.picture)
        if len(marked) < 2:
            raise GanpickError(f"model {self._picker.model.card.name} does not tell contamination")
        return np.asarray(marked[1], np.float32)


def _state(job: Job) -> tuple[float, int | None]:
    """When the reports were written, and how many coordinate files are younger; None where reports are missing."""
    names = (LOGFILE, REPORT_FILE) if can_report() else (LOGFILE,)
    try:
        oldest = min(os.stat(job.folder / name).st_mtime_ns for name in names)
        return oldest / 1e9, sum(os.stat(path).st_mtime_ns > oldest for path in job.coordinates)
    except OSError:
        return 0.0, None


def _put_off(written: float, lacks: int, n: int) -> bool:
    """Whether reports that lack some micrographs are good enough for now."""
    return lacks <= PUT_OFF_SHARE * n and 0 <= time.time() - written < PUT_OFF_SECONDS
