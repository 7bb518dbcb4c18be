"""The function for notebooks and scripts."""

from __future__ import annotations

from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from cryosparc_tool.console import Console
from cryosparc_tool.options import JobSettings
from cryosparc_tool.plan import Outcome, Plan
from cryosparc_tool.server import connect
from cryosparc_tool.session import Session
from relion_ganpick.adaptation.options import AdaptOptions
from relion_ganpick.core.lines import listening
from relion_ganpick.core.options import options_of
from relion_ganpick.core.settings import PickRequest, RunSettings

__all__ = ["Outcome", "pick_exposures"]

T = TypeVar("T")


def pick_exposures(
    cs: Any = None, *, project: str, url: str | None = None, console: Console | None = None, **options: Any
) -> Outcome:
    """Pick the exposures of a CryoSPARC job and push the picks as an external job.

    Parameters
    ----------
    cs
        A ``cryosparc.tools.CryoSPARC``; None logs in as the command line does.
    project
        Project, such as "P3".
    url
        The server, where ``cs`` is None.
    console
        Where lines go; by default to stdout and stderr.
    **options
        As on the command line: ``workspace``, ``job``, ``diameter``, ``output``, ``dry_run``, ``resume``, ``threshold``,
        ``model``, ``device``, ``j`` and all others; see `JobSettings`, `PickRequest`, `RunSettings` and
        `AdaptOptions`.

    Returns
    -------
    Outcome

    Raises
    ------
    GanpickError
        With a message for the user; what was picked stays on this machine, see ``resume``.
    TypeError
        If an option is not known.
    """
    known = {each.name for each in fields(JobSettings)}.union(*map(options_of, (PickRequest, RunSettings, AdaptOptions)))
    unknown = sorted(set(options) - known)
    if unknown:
        raise TypeError(f"pick_exposures() knows no option {', '.join(unknown)}")
    coordinates = options.get("coordinates", ())
    listed = (coordinates,) if isinstance(coordinates, (str, Path)) else coordinates
    settings = _only(JobSettings, {**options, "project": project, "coordinates": tuple(map(str, listed))})
    plan = Plan.of(settings, _only(RunSettings, options), options)
    console = console or Console()
    with console.client_warnings(), listening(console.say, console.complain):
        if cs is not None:
            return Session(plan, connect.adopt(cs, console), console).run()
        with closing(connect.connect(url or plan.before.get("url"), settings.timeout, console)) as connection:
            return Session(plan, connection, console).run()


def _only(settings: type[T], options: dict[str, Any]) -> T:
    """Build settings from those options that are theirs."""
    names = {each.name for each in fields(settings)}  # type: ignore[arg-type]
    return settings(**{name: value for name, value in options.items() if name in names})
