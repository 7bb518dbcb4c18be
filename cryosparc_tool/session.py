"""The whole way of one run: the external job made or found again, exposures picked, results kept and pushed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryosparc_tool.console import Console
from cryosparc_tool.data.dataset import FIELDS, pick_columns, pick_dataset
from cryosparc_tool.data.exposures import Exposure, choose_output, exposures_from
from cryosparc_tool.data.files import MicrographFiles
from cryosparc_tool.data.local import LocalResult
from cryosparc_tool.options import existing_folder
from cryosparc_tool.plan import Outcome, Plan
from cryosparc_tool.push import ensure_connected, ensure_output, explained, save, tell
from cryosparc_tool.run import Found, Run
from cryosparc_tool.server.interface import INPUT_SLOTS, STARTED, Connection, ExternalJob, Field
from cryosparc_tool.server.lifecycle import check_not_ended, in_charge, start
from cryosparc_tool.server.retry import in_words, is_client_error, may_pass, patiently, server_code
from cryosparc_tool.server.versions import client_module
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.settings import AUTO, PickSettings
from relion_ganpick.version import __version__

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
        self._above: tuple[int, ...] = ()
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
                raise GanpickError(f"--resume: that run was on {self.plan.before['url']}, this is {self.connection.url}")
            _check_writable(Path(self.settings.out))
            if self.settings.dry_run:
                return self._dry_run()
            return self._resumed() if self.settings.resume else self._new()
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
        diameter = "estimated from the micrographs" if pick.diameter == AUTO else f"{pick.diameter_angstrom:g} A"
        model = f"{pick.model} (adapted to these micrographs where that is better)" if self.plan.adapt.adapt else pick.model
        text = f"Picked by relion-ganpick {__version__}, model {model}, diameter {diameter}, from {settings.job}.{output}."
        job = self.connection.create_job(settings.project, str(settings.workspace), settings.title, text)
        self.console.say(f"external job {job.uid} in {settings.project} {settings.workspace}")
        with explained(job, lambda: self.local.folder, self.console), in_charge(job, self.console):
            folder = Path(settings.out) / f"{settings.project}_{job.uid}"
            if settings.resume:
                self.local.folder.rename(folder)
            self.local = LocalResult(folder)
            self.local.begin(self.plan.description(self.connection.url, output, job.uid), keep=bool(settings.resume))
            return self._fill(job, output)

    def _resumed(self) -> Outcome:
        settings, output = self.settings, str(self.plan.before["output"])
        try:
            job = patiently(
                lambda: self.connection.find_job(settings.project, str(settings.resume)), "finding the job", self.console
            )
            status = job.status()
            if status == "completed":
                raise GanpickError(f"{job.uid} is completed already: there is nothing to resume")
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
        tell(job, found, self._above, self.console)
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

        with MicrographFiles(self._root(), download, cache, settings.cache_gb * GIGABYTE, self.console) as files:
            self.plan = replace(self.plan, pick=self._with_diameters(exposures, files, job))
            run = Run(settings, self.plan.pick, self.plan.how, self.plan.adapt, self.local, job, self.console)
            found = run.carry_out(exposures, files)
        for line in run.summary.lines(found.threshold, found.model):
            self.console.say(line)
        self._above = tuple(int(count) for count in run.summary.above)
        self._names = {each.uid: each.path for each in exposures}
        return found

    def _with_diameters(self, exposures: list[Exposure], files: MicrographFiles, job: ExternalJob | None) -> PickSettings:
        """Find diameters that were not given, once for the job: the numbers are kept among the results on this machine."""
        pick, how = self.plan.pick, self.plan.how
        if AUTO not in (pick.diameter, pick.working_diameter):
            return pick
        import torch

        from relion_ganpick.picking.auto_diameter import preferred, resolve_diameter
        from relion_ganpick.picking.picker import Picker
        from relion_ganpick.picking.stream import Task
        from relion_ganpick.picking.working_diameter import with_working_diameter

        def tasks() -> Iterator[Task]:
            for index in preferred(len(exposures)):
                if job is not None:
                    check_not_ended(job)
                exposure, path = next(files.paths([exposures[index]]))
                try:
                    if isinstance(path, Path):
                        yield Task(exposure.path, path, exposure.pixel_size or how.angpix)
                finally:
                    files.release(exposure)

        torch.set_num_threads(how.j)
        pixel_size = exposures[0].pixel_size or how.angpix
        folder, say = self.local.folder, self.console.say
        pick = resolve_diameter(pick, tasks(), how.device_name, folder, say, pixel_size=pixel_size)
        if self.settings.coordinates:
            return pick
        picker = with_working_diameter(Picker(pick, how.device_name), tasks(), folder, say, pixel_size=pixel_size)
        return replace(pick, working_diameter=picker.settings.working_diameter_angstrom)

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
            self.console.say(f"{root} is not on this machine: micrographs are downloaded (see --local_root)")
            return None
        return root

    def _keep(self, found: Found, fields: list[Field]) -> Any:
        """Write everything to this machine; returns the dataset to push."""
        self.local.write_tables(found.items, found.problems, self._names)
        columns = pick_columns(found.items, self.plan.pick.min_distance_angstrom)
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
        raise GanpickError(f"--out {folder}: cannot be written ({error.strerror}); give another folder") from error
