"""Pick micrographs while the microscope records them.

What holds for the whole set is chosen once, when enough micrographs are there, and kept in the folder of the results. So
coordinates that were given out never change, also after a restart.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.faults import hits_all, in_words
from relion_ganpick.core.files import leftovers, read_json_object, write_atomic
from relion_ganpick.core.micrograph import read_micrograph
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.pick_files import State, inspect_picks, read_picks, write_picks
from relion_ganpick.formats.pick_lists import Listed, write_lists
from relion_ganpick.model.weights import find_model, read_card
from relion_ganpick.picking.auto_diameter import MOST_LOOKED_AT as FOR_DIAMETERS
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.set_evidence import MOST_LOOKED_AT as FOR_EVIDENCE
from relion_ganpick.picking.stream import Result, Task, stream
from relion_ganpick.picking.threads import bound_threads
from relion_ganpick.report.overlays import write_overlay
from relion_ganpick.runs.arrivals import Arrivals
from relion_ganpick.runs.kept_picker import read_picker, write_picker
from relion_ganpick.runs.prepare import make_picker
from relion_ganpick.runs.repeated import Repeated
from relion_ganpick.runs.request import RunRequest
from relion_ganpick.runs.source import FileSource, Missing
from relion_ganpick.runs.waking import changes
from relion_ganpick.runs.watch_settings import HOUR, MINUTE, WatchSettings

log = logging.getLogger(__name__)

REQUEST_FILE, CHOICES_FILE = "watch.json", "choices.json"
LIST_SECONDS = 5.0  # at least this long between two writings of the lists
PROGRAM = "ganpick watch"


class Watch:
    """Picks micrographs as they arrive.

    Parameters
    ----------
    request
        What the user asks for.
    arrivals
        Tells which micrographs are whole.
    folder
        For the results.
    target
        Gives the coordinate file of a micrograph, by the micrograph's name.
    settings
        Times.
    stop_file
        Ends the watch when it appears; it is removed then.
    tell
        Hears of every micrograph: a dictionary that JSON can hold.
    """

    def __init__(
        self,
        request: RunRequest,
        arrivals: Arrivals,
        folder: Path,
        target: Callable[[str], Path],
        settings: WatchSettings,
        stop_file: Path,
        tell: Callable[[dict[str, Any]], None],
    ) -> None:
        self.request, self.arrivals, self.folder, self.target = request, arrivals, folder, target
        self.settings, self.stop_file, self.tell = settings, stop_file, tell
        self.rows: dict[str, Listed] = {}
        self.failures: dict[str, str] = {}
        self._pending: dict[str, Task] = {}
        self._owners: dict[Path, str] = {}
        self._picker: Picker | None = None
        self._latest: tuple[Task, Picks] | None = None
        self._began = self._last_new = self._reported = self._listed = time.monotonic()
        self._fresh = self._needed = 0
        self._renewed = False
        self._warnings = Repeated()

    def carry_out(self, place: Path, renew: bool = False) -> None:
        """Watch until it is to end.

        Parameters
        ----------
        place
            The folder whose changes wake it.
        renew
            Choose everything anew, and pick again what was picked before.

        Raises
        ------
        GanpickError
            If the folder holds results of another request, the diameter cannot be told, or a model or device is missing.
        """
        self._open(renew)
        try:
            for _ in changes(place, self.settings.poll):
                self._take(self.arrivals.look())
                if not self._over() and (self._enough() or (self._pending and self._is_quiet())):
                    self._pick()
                self._report()
                why = self._over() or (f"no new micrograph for {self.settings.quiet:g} minutes" if self._is_quiet() else "")
                if why:
                    log.info(f"ends: {why}")
                    break
        finally:
            self.stop_file.unlink(missing_ok=True)
            self._write_lists()
            self._warnings.end()
            log.info(self._says())

    def _open(self, renew: bool) -> None:
        """Begin, or go on with what was chosen before."""
        self.folder.mkdir(parents=True, exist_ok=True)
        bound_threads(self.request.how.j)
        for path in list(leftovers(self.folder)):
            path.unlink(missing_ok=True)
        card = read_card(find_model(self.request.pick.model))
        asked = {"pick": asdict(self.request.pick), "angpix": self.request.how.angpix, "model_sha256": card.sha256}
        kept, choices = self.folder / REQUEST_FILE, self.folder / CHOICES_FILE
        if renew:
            choices.unlink(missing_ok=True)
        elif kept.is_file() and choices.is_file() and self._asked_before(kept) != asked:
            raise GanpickError(
                f"{kept}: the picks in this folder were asked for with other options; give another `out`, the same options, "
                "or `renew` to pick everything again"
            )
        write_atomic(kept, json.dumps(asked, indent=1) + "\n")
        self._renewed = renew
        if choices.is_file():
            self._picker = read_picker(choices, Picker, self.request.how.device_name)
            log.info(f"goes on with diameter {self._words(self._picker)}, as chosen before (`renew` chooses anew)")
        else:
            self._needed = self.settings.first or (FOR_EVIDENCE if card.judge else FOR_DIAMETERS)
            log.info(f"waits for {self._needed} micrographs to choose by")

    def _asked_before(self, kept: Path) -> dict[str, Any]:
        """Read what an earlier watch was asked for."""
        try:
            return read_json_object(kept)
        except GanpickError as error:
            raise GanpickError(f"{error}; delete it to go on with these options, or give `renew`") from error

    def _take(self, arrived: list[tuple[Task, Missing | None]]) -> None:
        """Sort what has arrived: finished by an earlier watch, not to be used, or to be picked."""
        for task, missing in arrived:
            path = self.target(task.name)
            owner = self._owners.setdefault(path, task.name)
            if owner != task.name:
                self._fail(task, f"{owner} and {task.name} would both write {path}: give the second another name")
            elif missing is not None:
                self._fail(task, missing.reason)
            elif self._renewed or not self._is_picked(task, path):
                self._pending[task.name] = task
        if arrived:
            self._last_new = time.monotonic()

    def _is_picked(self, task: Task, path: Path) -> bool:
        """Take over the coordinates of an earlier watch; what somebody has made of them is kept, also if it cannot be read."""
        found = inspect_picks(path)
        if found.state is State.MISSING:
            return False
        if found.state is State.DAMAGED:
            self._warnings.warn(f"{path}: {found.reason}: this micrograph is picked anew", kind="damaged")
            return False
        self.arrivals.done(task.name)
        if found.state is State.UNREADABLE:
            self._fail(
                task,
                f"{path}: {found.reason}; not ours, so it is kept, but left out of the list; mend it, "
                "or delete it to have this micrograph picked anew by the next watch",
            )
        else:
            self._list(task, read_picks(path))
        return True

    def _enough(self) -> bool:
        return bool(self._pending) and (self._picker is not None or len(self._pending) >= self._needed)

    def _over(self) -> str:
        """Say why the watch is to end at once; empty if it is not."""
        longest = self.settings.longest
        if self.stop_file.exists():
            return f"{self.stop_file} is there"
        return f"{longest:g} hours are over" if longest and time.monotonic() - self._began >= longest * HOUR else ""

    def _is_quiet(self) -> bool:
        """Whether no micrograph has come for so long that the watch is to end when those that are there are picked."""
        quiet = self.settings.quiet * MINUTE
        return bool(quiet) and not self.arrivals.waiting and time.monotonic() - self._last_new >= quiet

    def _pick(self) -> None:
        """Pick what is there; what holds for the set is chosen first, if it is not yet."""
        tasks = list(self._pending.values())
        if self._picker is None:
            self._picker = make_picker(self.request, FileSource(tasks), Picker, PROGRAM, self.folder, reuse=False)
            write_picker(self.folder / CHOICES_FILE, self._picker, self.folder)
        for result in stream(tasks, self._picker, self.request.how.j):
            self._pending.pop(result.task.name)
            self._keep(result, self._picker)
            if time.monotonic() - self._listed > LIST_SECONDS:
                self._write_lists()
            self._report()
            if self._over():
                break
        self._write_lists()
        self._last_new = time.monotonic()

    def _keep(self, result: Result, picker: Picker) -> None:
        """Write one micrograph's coordinates, and tell of it."""
        task = result.task
        if result.warning:
            self._warnings.warn(result.warning, task.name, str(task.path))
        if result.picks is None:
            self._fail(task, result.error or "failed")
            return
        picks = picker.cut.keep(result.picks)
        path = self.target(task.name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_picks(path, picks, scored=result.picks)
        except OSError as error:
            if hits_all(error):
                raise
            self._fail(task, f"{task.name}: its picks cannot be kept ({in_words(error)})")
            return
        self.arrivals.done(task.name)
        row = self._list(task, picks)
        self._latest, self._fresh = (task, picks), self._fresh + 1
        self.tell(
            {
                "micrograph": task.name,
                "status": "picked",
                "coordinates": row.coordinates,
                "picks": row.n_picks,
                "mean_figure_of_merit": row.merit,
                "threshold": picker.threshold,
                "diameter": picker.settings.diameter,
                "pixel_size": task.pixel_size,
                "shape": result.shape,
                "seconds": round(sum(result.seconds.values()), 3),
                "done": len(self.rows),
            }
        )

    def _fail(self, task: Task, reason: str) -> None:
        """Tell of a micrograph that cannot be used; it is tried again when its file changes."""
        self.failures[task.name] = reason
        log.error(reason)
        self.tell({"micrograph": task.name, "status": "failed", "error": reason})

    def _list(self, task: Task, picks: Picks) -> Listed:
        merit = round(float(picks.score.mean()), 4) if len(picks) else 0.0
        row = self.rows[task.name] = Listed(task.name, str(self.target(task.name)), len(picks), merit)
        self.failures.pop(task.name, None)
        return row

    def _write_lists(self) -> None:
        write_lists(self.folder, [self.rows[name] for name in sorted(self.rows)])
        self._listed = time.monotonic()

    def _report(self) -> None:
        """Say how far it is, now and then, and draw the newest micrograph."""
        if time.monotonic() - self._reported < self.settings.report * MINUTE:
            return
        minutes = (time.monotonic() - self._reported) / MINUTE
        log.info(f"{self._says()}; {60 * self._fresh / minutes:.0f} micrographs per hour")
        self._reported, self._fresh = time.monotonic(), 0
        if self._latest is not None and self.request.how.overlays and self._picker is not None:
            self._draw(*self._latest, self._picker)
            self._latest = None

    def _draw(self, task: Task, picks: Picks, picker: Picker) -> None:
        """Draw a micrograph, and keep only the newest pictures."""
        folder = self.folder / "overlays"
        try:
            micrograph = read_micrograph(task.path, task.pixel_size)
            pixels = -micrograph.pixels if picker.settings.contrast == "bright" else micrograph.pixels
            width = picker.settings.diameter / (micrograph.pixel_size or 1.0)
            write_overlay(pixels, picks, width, folder / f"{self.target(task.name).stem.removesuffix('_autopick')}.png")
        except (GanpickError, OSError, ValueError, MemoryError) as error:
            log.warning(f"{error}; the picks are not affected")
        for old in sorted(folder.glob("*.png"), key=lambda path: path.stat().st_mtime_ns)[: -self.request.how.overlays]:
            old.unlink(missing_ok=True)

    def _says(self) -> str:
        n, picks = len(self.rows), sum(row.n_picks for row in self.rows.values())
        waiting = len(self._pending) + self.arrivals.waiting
        return f"{n} micrographs, {picks} picks ({picks / max(n, 1):.1f} each), {len(self.failures)} failed, {waiting} waiting"

    def _words(self, picker: Picker) -> str:
        settings = picker.settings
        return f"{settings.diameter:g} A, working diameter {settings.working_diameter_angstrom:g} A"
