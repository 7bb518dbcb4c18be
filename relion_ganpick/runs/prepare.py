"""From a request to a picker: threads, diameter, model, working diameter, adaptation, evidence, in this order, for every door."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.adaptation.options import APPROVED_FOLDER, FOLDER, MOST_LEARNED_FROM, AdaptOptions
from relion_ganpick.core.file_checks import LIMITS
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.picking.auto_diameter import preferred, resolve_diameter
from relion_ganpick.picking.picker import AnyPicker
from relion_ganpick.picking.set_evidence import evenly, with_set_evidence
from relion_ganpick.picking.threads import bound_threads
from relion_ganpick.picking.working_diameter import with_working_diameter
from relion_ganpick.runs.request import RunRequest
from relion_ganpick.runs.source import Source, one_by_one
from relion_ganpick.version import __version__

log = logging.getLogger(__name__)


def find_settings(request: RunRequest, source: Source, folder: Path | None = None, reuse: bool = True) -> PickSettings:
    """Bound the threads, and estimate a diameter that was not given.

    Parameters
    ----------
    request
        What the user asks for.
    source
        The run's micrographs; some are looked at if the diameter is "auto".
    folder
        Where an estimate is taken down.
    reuse
        Whether what was taken down before holds.

    Raises
    ------
    GanpickError
        If the micrographs cannot tell the diameter.
    """
    bound_threads(request.how.j)
    LIMITS.megapixels = request.how.max_megapixels
    tasks = one_by_one(source, preferred(len(source)))
    return resolve_diameter(request.pick, tasks, request.how.device_name, folder, reuse, _first_pixel_size(source))


def make_picker(
    request: RunRequest,
    source: Source,
    kind: type[AnyPicker],
    program: str,
    folder: Path | None = None,
    reuse: bool = True,
) -> AnyPicker:
    """Make the picker of a run.

    Parameters
    ----------
    request
        What the user asks for.
    source
        The run's micrographs; some are looked at.
    kind
        Class of the picker.
    program
        Name for the line that says what is used.
    folder
        Where what was chosen is taken down, for a run that goes on later.
    reuse
        Whether what was taken down before holds.

    Raises
    ------
    GanpickError
        If the diameter cannot be told, the model cannot be loaded or adapted, or the device is missing.
    """
    picker = kind(find_settings(request, source, folder, reuse), request.how.device_name)
    card, precision = picker.model.card, str(picker.dtype).removeprefix("torch.")
    log.info(
        f"{program} {__version__} on {picker.device} ({precision}), {request.how.j} threads, "
        f"model {card.name} {card.sha256[:12]}, diameter {picker.settings.diameter:g} A"
    )
    tasks = one_by_one(source, preferred(len(source)))
    picker = with_working_diameter(picker, tasks, folder, reuse, _first_pixel_size(source), request.how.j)
    if request.adapt.adapt:
        assert folder is not None
        picker = _adapted(picker, request, source, folder / FOLDER)
    if request.adapt.approved is not None:
        assert folder is not None
        picker = _corrected(picker, request, source, folder / APPROVED_FOLDER)
    tasks = one_by_one(source, evenly(len(source)))
    return with_set_evidence(picker, tasks, folder, reuse, _first_pixel_size(source))


def _adapted(picker: AnyPicker, request: RunRequest, source: Source, folder: Path) -> AnyPicker:
    """Adapt the model to some of the run's micrographs, or find what was decided before.

    Micrographs that cannot be read are left out without a word here: picking has a line for each of them.
    """
    from relion_ganpick.adaptation.choice import JobMicrographs, choose_model, prepared_pictures

    def read(chosen: Sequence[int]) -> Iterator[NDArray[np.float32]]:
        return prepared_pictures(picker, one_by_one(source, chosen))

    names = [source.name(index) for index in range(len(source))]
    options: AdaptOptions = request.adapt
    model = choose_model(picker, JobMicrographs(names, _first_pixel_size(source), read), options, folder)
    if model is not picker.model:
        settings = replace(picker.settings, threshold=request.pick.threshold)  # each model has a threshold of its own
        picker = type(picker)(settings, request.how.device_name, model)
    threshold = "" if picker.weighs_sets else f", threshold {picker.threshold:g}"  # that of a set is not known yet
    log.info(f"picking with model {model.card.name} {model.card.sha256[:12]}{threshold}")
    return picker


def _corrected(picker: AnyPicker, request: RunRequest, source: Source, folder: Path) -> AnyPicker:
    """Correct the model by the particles that the user has kept, or find the correction that was learned before."""
    from relion_ganpick.adaptation.approved import approved_once
    from relion_ganpick.adaptation.choice import spread
    from relion_ganpick.formats.approved import read_approved

    approved = read_approved(Path(str(request.adapt.approved)))
    named = [k for k in range(len(source)) if len(approved.of(PurePath(source.name(k)).stem, 1.0))]
    tasks = one_by_one(source, spread(named, MOST_LEARNED_FROM))
    model = approved_once(picker, tasks, approved, folder, _first_pixel_size(source))
    if model is picker.model:
        return picker
    return type(picker)(replace(picker.settings, threshold=request.pick.threshold), request.how.device_name, model)


def _first_pixel_size(source: Source) -> float | None:
    return source.pixel_size(0) if len(source) else None
