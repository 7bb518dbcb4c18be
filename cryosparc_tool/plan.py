"""What a run is to do: the settings, completed by those of the earlier run that it resumes; and what it has done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cryosparc_tool.local import LocalResult
from cryosparc_tool.options import JobSettings
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.settings import PickSettings, RunSettings, options_of
from relion_ganpick.version import __version__

RESUMED = ("workspace", "job", "output", "title", "flip_y")


@dataclass(frozen=True)
class Outcome:
    """What a run has done.

    Attributes
    ----------
    project, job
        Uids; the job is None after a dry run.
    folder
        Results on this machine: ``picks.csv``, ``picked_particles.cs``, ``micrographs.csv``.
    n_micrographs, n_picks
        Number of micrographs with a result, and of picks above the threshold.
    threshold
        Smallest figure of merit that a pick needed.
    skipped
        Reasons by exposure uid, for micrographs without a result.
    """

    project: str
    job: str | None
    folder: Path
    n_micrographs: int
    n_picks: int
    threshold: float
    skipped: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """Settings of a run.

    Attributes
    ----------
    settings, pick, how
        Where from and to, what, and how.
    before
        ``run.json`` of the earlier run that is resumed, or empty.
    """

    settings: JobSettings
    pick: PickSettings
    how: RunSettings
    before: Mapping[str, Any]

    @classmethod
    def of(cls, settings: JobSettings, how: RunSettings, picking: Mapping[str, Any]) -> Plan:
        """Check everything that can be checked without a server.

        Parameters
        ----------
        picking
            Fields of `PickSettings` that were given.

        Raises
        ------
        GanpickError
            If the earlier run is not there or had other settings, or a value is out of range.
        """
        before = LocalResult(Path(settings.out) / settings.folder_name).read_run() if settings.resume else {}
        values = {name: picking[name] for name in options_of(PickSettings) if name in picking}
        if before:
            for name, value in before["pick"].items():
                if values.get(name, value) != value:
                    raise GanpickError(
                        f"--{name} {values[name]}: the run to resume has {value}; leave the option away, or run anew"
                    )
            values = dict(before["pick"])
            resumed = {name: before[name] for name in RESUMED}
            settings = replace(settings, **resumed, coordinates=tuple(before["coordinates"]))
            how = replace(how, angpix=before["angpix"] if how.angpix is None else how.angpix)
        return cls(settings, PickSettings(**values), how, before)

    def description(self, url: str, output: str, external_job: str | None) -> dict[str, Any]:
        """Everything that results on this machine depend on, and where they go, for ``run.json``."""
        from relion_ganpick.model.weights import find_model, read_card

        settings = asdict(self.settings)
        return {
            "url": url,
            "external_job": external_job,
            "project": self.settings.project,
            **{name: settings[name] for name in RESUMED},
            "output": output,
            "coordinates": list(self.settings.coordinates),
            "pick": asdict(self.pick),
            "angpix": self.how.angpix,
            "model_sha256": read_card(find_model(self.pick.model)).sha256,
            "version": __version__,
        }
