"""The whole way of one run: the external job made or found again, exposures picked, results kept and pushed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryosparc_tool.console import Console
from cryosparc_tool.data.dataset import FIELDS, pick_columns, pick_dataset
from cryosparc_tool.data.exposures import Exposure, choose_output, exposures_from
from cryosparc_tool.data.files import MicrographFiles
from cryosparc_tool.data.local import LocalResult
from cryosparc_tool.given import take_coordinates
from cryosparc_tool.options import existing_folder
from cryosparc_tool.pick_files import PickFiles
from cryosparc_tool.plan import Outcome, Plan
from cryosparc_tool.push import ensure_connected, ensure_output, explained, save, tell
from cryosparc_tool.results import ExposureResults, Found
from cryosparc_tool.server.interface import INPUT_SLOTS, STARTED, Connection, ExternalJob, Field
from cryosparc_tool.server.lifecycle import check_not_ended, in_charge, start
from cryosparc_tool.server.retry import in_words, is_client_error, may_pass, patiently, server_code
from cryosparc_tool.server.versions import client_module
from cryosparc_tool.source import ExposureSource
from relion_ganpick.core.cut import CUTS, Cut
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.version import __version__

if TYPE_CHECKING:
    from relion_ganpick.picking.picker import Picker

GIGABYTE = 1e9


class Session:
    """Carries out a plan on a server.

    Parameters
    ----------
    plan
        What to do.
    connection
        The server, logged in.
    console
        Where lines go.
    """

    def __init__(self, plan: Plan, connection: Connection, console: Console) -> None:
        self.plan, self.connection, self.console = plan, connection, console
        self.settings = plan.settings
        self.local = LocalResult(Path(self.settings.out) / self.settings.folder_name)
        self._min_distance = 0.0
        self._project: Path | None = None
        self._names: dict[int, str] = {}

    def run(self) -> Outcome:
        """Go the whole way.

        Raises
        ------
        GanpickError
            For everything that the user can mend; the message says where the results are and how to go on.
        """
        try:
            if self.plan.before and self.plan.before["url"] != self.connection.url:
                raise GanpickError(f"`resume`: that run was on {self.plan.before['url']}, this is {self.connection.url}")
            _check_writable(Path(self.settings.out))
            if not self.settings.dry_run and not self.settings.resume:
                return self._new()
            with self.local.held():
                return self._dry_run() if self.settings.dry_run else self._resumed()
        except Exception as error:
            if isinstance(error, GanpickError) or not is_client_error(error):
                raise
            raise GanpickError(self.console.clean(in_words(error))) from None

    def _dry_run(self) -> Outcome:
        output = self._find_output()
        settings = self.settings
        dataset = patiently(
            lambda: self.connection.load_output(settings.project, str(settings.job), output, INPUT_SLOTS),
            "reading the exposures",
            self.console,
        )
        self.local.begin(self.plan.description(self.connection.url, output, None))
        found = self._pick(_unique(exposures_from(dataset)), None)
        self._keep(found, list(FIELDS))
        return self._outcome(found, None)

    def _new(self) -> Outcome:
        return self._in_new_job(self._find_output())

    def _in_new_job(self, output: str) -> Outcome:
        settings, pick = self.settings, self.plan.pick
        diameter = "estimated from the micrographs" if isinstance(pick.diameter, str) else f"{pick.diameter:g} A"
        model = f"{pick.model} (adapted to these micrographs where that is better)" if self.plan.adapt.adapt else pick.model
        text = f"Picked by relion-ganpick {__version__}, model {model}, diameter {diameter}, from {settings.job}.{output}."
        job = self.connection.create_job(settings.project, str(settings.workspace), settings.title, text)
        self.console.say(f"external job {job.uid} in {settings.project} {settings.workspace}")
        with explained(job, lambda: self.local.folder, self.console), in_charge(job, self.console):
            folder = Path(settings.out) / f"{settings.project}_{job.uid}"
            description = self.plan.description(self.connection.url, output, job.uid)
            if settings.resume:  # the lock that is held goes with the folder
                self.local.folder.rename(folder)
                self.local = LocalResult(folder)
                self.local.begin(description, keep=True)
                return self._fill(job, output)
            self.local = LocalResult(folder)
            with self.local.held():
                self.local.begin(description)
                return self._fill(job, output)

    def _resumed(self) -> Outcome:
        settings, output = self.settings, str(self.plan.before["output"])
        try:
            job = patiently(
                lambda: self.connection.find_job(settings.project, str(settings.resume)), "finding the job", self.console
            )
            status = job.status()
            if status == "completed":
                raise GanpickError(f"{job.uid} is complete: there is nothing to resume")
            if status not in (*STARTED, "building"):
                start(job, self.console)
        except Exception as error:
            code = server_code(error)
            if code is None or code in (401, 403) or may_pass(error):
                raise
            self.console.complain(f"{settings.resume} cannot be started again ({in_words(error)}): pushing to a new job")
            return self._in_new_job(output)
        with explained(job, lambda: self.local.folder, self.console), in_charge(job, self.console):
            return self._fill(job, output)

    def _fill(self, job: ExternalJob, output: str) -> Outcome:
        """Connect, start, pick, keep, push, report."""
        ensure_connected(job, str(self.settings.job), output, self.console)
        ensure_output(job, self.console)
        if patiently(job.status, "asking for the status", self.console) not in STARTED:
            start(job, self.console)
        exposures = _unique(exposures_from(patiently(job.load_exposures, "reading the exposures", self.console)))
        fields = patiently(job.fields, "asking for the columns", self.console)
        found = self._pick(exposures, job)
        dataset = self._keep(found, fields)
        check_not_ended(job)
        save(job, dataset, self.console)
        tell(job, found, self.console)
        return self._outcome(found, job)

    def _find_output(self) -> str:
        project, job = self.settings.project, str(self.settings.job)
        outputs = patiently(lambda: self.connection.outputs(project, job), f"reading {project} {job}", self.console)
        output = choose_output(outputs, job, self.settings.output)
        self.console.say(f"exposures: {project} {job}.{output}")
        return output

    def _pick(self, exposures: list[Exposure], job: ExternalJob | None) -> Found:
        settings = self.settings
        if not exposures:
            raise GanpickError(f"{settings.job} has no exposures")
        cache = None if settings.cache is None else existing_folder("cache", settings.cache)

        def download(path: str, target: Path) -> None:
            self.connection.download(settings.project, path, target)

        self._project = self._root()
        with MicrographFiles(self._project, download, cache, settings.cache_gb * GIGABYTE, self.console) as files:
            found = self._given(exposures, files, job) if settings.coordinates else self._picked(exposures, files, job)
        self._names = {each.uid: each.path for each in exposures}
        return found

    def _picked(self, exposures: list[Exposure], files: MicrographFiles, job: ExternalJob | None) -> Found:
        """Pick the exposures; diameters that were not given are found once, the numbers are kept on this machine."""
        from cryosparc_tool.data.power import RatingPicker
        from relion_ganpick.runs.prepare import make_picker
        from relion_ganpick.runs.request import RunRequest
        from relion_ganpick.runs.run import make_run

        how = self.plan.how
        request = RunRequest(self.plan.pick, how, self.plan.adapt)
        looked_at = ExposureSource(exposures, files, how.angpix, self._checked(job))
        picker = make_picker(request, looked_at, RatingPicker, "cryosparc_ganpick", self.local.folder)
        self._min_distance = picker.settings.min_distance_angstrom
        self._keep_only(self._basis(picker))
        results = self._results(exposures, picker.cut, job, PickFiles(self.local.folder, picker))
        source = ExposureSource(exposures, files, how.angpix)
        make_run(source, picker, results, how, self.local.folder, results.progress).carry_out()
        return results.found(picker.model.card.name if self.plan.adapt.adapt else "")

    def _given(self, exposures: list[Exposure], files: MicrographFiles, job: ExternalJob | None) -> Found:
        """Take coordinates that somebody else has made."""
        from relion_ganpick.runs.prepare import find_settings
        from relion_ganpick.runs.request import RunRequest

        settings, how = self.settings, self.plan.how
        source = ExposureSource(exposures, files, how.angpix, self._checked(job))
        pick = find_settings(RunRequest(self.plan.pick, how), source, self.local.folder)
        self._min_distance = pick.min_distance_angstrom
        self._keep_only({"version": __version__, "coordinates": list(settings.coordinates), "flip_y": settings.flip_y})
        results = self._results(
            exposures, Cut(pick.threshold or 0.0, pick.best, pick.most), job
        )  # coordinates of others are all taken
        take_coordinates(settings, ExposureSource(exposures, files, how.angpix), results, pick)
        return results.found()

    def _results(
        self, exposures: list[Exposure], cut: Cut, job: ExternalJob | None, files: PickFiles | None = None
    ) -> ExposureResults:
        overlays, root = self.plan.how.overlays, self._project
        return ExposureResults(exposures, cut, self.local, job, self.console, overlays, root, files)

    def _checked(self, job: ExternalJob | None) -> Callable[[], None]:
        """Make what ends the run if somebody has ended the job."""
        return (lambda: None) if job is None else (lambda: check_not_ended(job))

    def _basis(self, picker: Picker) -> dict[str, Any]:
        """List all that scores depend on, but for the exposures themselves."""
        card = picker.model.card
        pick = {name: value for name, value in asdict(picker.settings).items() if name not in (*CUTS, "model")}
        pick["working_diameter"] = picker.settings.working_diameter_angstrom  # chosen or given, it is the same
        return {
            "version": __version__,
            "model_sha256": card.sha256,
            "calibration": card.calibration,
            "pick": pick,
            "angpix": self.plan.how.angpix,
        }

    def _keep_only(self, basis: dict[str, Any]) -> None:
        dropped = self.local.keep_only(basis)
        if dropped:
            reason = "the version, the model or a setting has changed"
            self.console.say(f"{dropped} finished micrographs are picked again: {reason}")

    def _root(self) -> Path | None:
        """Folder of the project as this machine sees it."""
        if self.settings.local_root is not None:
            return existing_folder("local_root", self.settings.local_root)
        try:
            root = self.connection.project_folder(self.settings.project)
        except Exception as error:
            if not is_client_error(error):
                raise
            self.console.complain(f"the project's folder is not known ({in_words(error)}): micrographs are downloaded")
            return None
        if not root.is_dir():
            self.console.say(f"{root} is not on this machine: micrographs are downloaded (see `local_root`)")
            return None
        return root

    def _keep(self, found: Found, fields: list[Field]) -> Any:
        """Write everything to this machine; returns the dataset to push."""
        self.local.write_tables(found.items, found.problems, self._names)
        columns = pick_columns(found.items, self._min_distance)
        dataset = pick_dataset(client_module("dataset").Dataset, columns, fields)
        path = self.local.write_dataset(dataset)
        self.console.say(f"{len(dataset)} picks kept in {path}")
        return dataset

    def _outcome(self, found: Found, job: ExternalJob | None) -> Outcome:
        uid = None if job is None else job.uid
        return Outcome(
            self.settings.project, uid, self.local.folder, len(found.items), found.n_picks, found.threshold, found.problems
        )


def _unique(exposures: list[Exposure]) -> list[Exposure]:
    """Drop exposures that come twice, as they do when an output is connected twice."""
    return list({each.uid: each for each in exposures}.values())


def _check_writable(folder: Path) -> None:
    """Make the folder for results before a job is created.

    Raises
    ------
    GanpickError
        If nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise GanpickError(f"`out` {folder}: cannot be written ({error.strerror}); give another folder") from error
