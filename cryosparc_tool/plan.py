"""What a run is to do: the settings, completed by those of the earlier run that it resumes; and what it has done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryosparc_tool.data.local import LocalResult
from cryosparc_tool.options import JobSettings
from relion_ganpick.adaptation.options import AdaptOptions
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.options import options_of
from relion_ganpick.core.settings import PickRequest, RunSettings
from relion_ganpick.version import __version__

if TYPE_CHECKING:
    from relion_ganpick.model.card import Card

ASKED = (PickRequest, AdaptOptions)
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
    settings, pick, how, adapt
        Where from and to, what, how, and whether the model is adapted before.
    before
        ``run.json`` of the earlier run that is resumed, or empty.
    """

    settings: JobSettings
    pick: PickRequest
    how: RunSettings
    adapt: AdaptOptions
    before: Mapping[str, Any]

    @classmethod
    def of(cls, settings: JobSettings, how: RunSettings, picking: Mapping[str, Any]) -> Plan:
        """Check everything that can be checked without a server.

        Parameters
        ----------
        picking
            Fields of `PickRequest` and `AdaptOptions` that were given; others are not looked at.

        Raises
        ------
        GanpickError
            If the earlier run is not there or had other settings, or a value is out of range.
        """
        before = LocalResult(Path(settings.out) / settings.folder_name).read_run() if settings.resume else {}
        values, adapting = ({name: picking[name] for name in options_of(kind) if name in picking} for kind in ASKED)
        if before:
            values = _unchanged(values, before["pick"])
            adapting = _unchanged(adapting, before.get("adapt", asdict(AdaptOptions())))
            resumed = {name: before[name] for name in RESUMED}
            settings = replace(settings, **resumed, coordinates=tuple(before["coordinates"]))
            how = replace(how, angpix=before["angpix"] if how.angpix is None else how.angpix)
        adapt = AdaptOptions(**adapting)
        if adapt.adapt and settings.coordinates:
            raise GanpickError("`adapt` and `coordinates` cannot be given together: coordinates are pushed without a model")
        if adapt.approved is not None and settings.coordinates:
            raise GanpickError("`approved` and `coordinates` cannot be given together: coordinates are pushed without a model")
        pick = PickRequest(**values)
        if adapt.adapt:
            _check_adaptable(pick)
        return cls(settings, pick, how, adapt, before)

    def description(self, url: str, output: str, external_job: str | None) -> dict[str, Any]:
        """Everything that results on this machine depend on, and where they go, for ``run.json``."""
        settings = asdict(self.settings)
        return {
            "url": url,
            "external_job": external_job,
            "project": self.settings.project,
            **{name: settings[name] for name in RESUMED},
            "output": output,
            "coordinates": list(self.settings.coordinates),
            "pick": asdict(self.pick),
            "adapt": asdict(self.adapt),
            "angpix": self.how.angpix,
            "model_sha256": card_of(self.pick).sha256,
            "version": __version__,
        }


def card_of(pick: PickRequest) -> Card:
    """Read the card of the model that was asked for."""
    from relion_ganpick.model.weights import find_model, read_card

    return read_card(find_model(pick.model))


def _check_adaptable(pick: PickRequest) -> None:
    from relion_ganpick.adaptation.choice import check_adaptable

    check_adaptable(card_of(pick))


def _unchanged(given: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Take the options of the run to resume, and those given now of which an earlier version did not know.

    Raises
    ------
    GanpickError
        If others were given now.
    """
    for name, value in before.items():
        if given.get(name, value) != value:
            raise GanpickError(f"`{name}` {given[name]}: the run to resume has {value}; leave out the option, or start a new run")
    return {**given, **before}
