"""Adapt a picker's model to micrographs that it is about to pick, once, and remember what came of it.

The science is in `adaptation.fine_tune`. Here it is decided which micrographs are learned from, which model picks in the end, and
what a job that goes on later does: the decision is on disk beside the adapted weights, and the same request finds it again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.adaptation.fine_tune import adapt
from relion_ganpick.adaptation.lessons import AdaptSettings
from relion_ganpick.adaptation.options import (
    ADAPTED,
    IMPOSSIBLE,
    ORIGINAL,
    RECORD,
    AdaptOptions,
    Decision,
    read_decision,
    write_decision,
)
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.faults import hits_all, in_words, out_of_memory
from relion_ganpick.core.micrograph import read_micrograph
from relion_ganpick.model.card import Card
from relion_ganpick.model.weights import Model, load_model, save_model
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Task

Image = NDArray[np.float32]
log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class JobMicrographs:
    """The micrographs of a job, as far as an adaptation needs to know them.

    Attributes
    ----------
    names
        All of them, in order.
    pixel_size
        Angstrom per pixel of the first one; with another pixel size an adapted model is not valid any more.
    read
        Takes indices of ``names`` and gives prepared pictures, each (h, w) float32; what cannot be used is left out.
    """

    names: Sequence[str]
    pixel_size: float | None
    read: Callable[[Sequence[int]], Iterable[Image]]


def spread(items: Sequence[T], most: int) -> list[T]:
    """Choose at most so many items, evenly spread from the first one on."""
    every = max(len(items) / most, 1.0)
    return [items[int(k * every)] for k in range(min(most, len(items)))]


def prepared_pictures(picker: Picker, tasks: Iterable[Task], level: int = logging.DEBUG) -> Iterator[Image]:
    """Prepare the micrographs that can be used; each other one gets a line in the log, of the given level."""
    for task in tasks:
        try:
            yield picker.prepare(read_micrograph(task.path, task.pixel_size)).picture
        except GanpickError as error:
            log.log(level, "%s", error)
        except Exception as error:
            if hits_all(error):
                raise
            log.log(level, "%s: cannot be used (%s)", task.path, in_words(error))


def check_adaptable(card: Card) -> None:
    """Refuse what can be known to be impossible before any micrograph is read.

    Raises
    ------
    GanpickError
        If the model is of the paper's kind.
    """
    if card.network["kind"] != "unet":
        raise GanpickError(
            f"model {card.name} cannot be adapted, as it is one of the paper's kind: leave out `adapt`, or give `model` default"
        )


def settings_of(rounds: int | None = None, steps: int | None = None, seed: int | None = None) -> AdaptSettings:
    """Make the settings of an adaptation; None takes the default."""
    given: dict[str, Any] = {"rounds": rounds, "steps": steps, "seed": seed}
    return replace(AdaptSettings(), **{name: value for name, value in given.items() if value is not None})


def adapted_model(picker: Picker, pictures: Iterable[Image], settings: AdaptSettings, folder: Path) -> Path | None:
    """Adapt a picker's model to prepared pictures and write it with its card into a folder.

    Returns
    -------
    Path of the weights; None if the adapted model is no better by its own measure, and so is not written.

    Raises
    ------
    GanpickError
        If the pictures are too few, too small, or hold too few sure particles.
    """
    adapted = adapt(picker.model, list(pictures), settings, picker.device)
    if adapted is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    return save_model(adapted, folder)


def choose_model(picker: Picker, job_micrographs: JobMicrographs, options: AdaptOptions, folder: Path) -> Model:
    """Find the model to pick with: the adapted one if it is better, else the picker's own.

    What was decided in ``folder`` for the same model, diameter, contrast, pixel size and options holds. Where it was
    impossible it is tried again once there are other micrographs, once files that were missing are there, or with more memory.

    Parameters
    ----------
    picker
        Has the model to begin with.
    job_micrographs
        The job's micrographs.
    options
        How to adapt.
    folder
        For the adapted weights, their card, and the decision.

    Raises
    ------
    GanpickError
        If the model is of a kind that cannot be adapted.
    OSError
        If the folder cannot be written.
    """
    check_adaptable(picker.model.card)
    chosen = spread(range(len(job_micrographs.names)), options.adapt_most)
    names = [job_micrographs.names[k] for k in chosen]
    request = _request(picker, job_micrographs, options)
    before = read_decision(folder)
    if before is not None and before.request == request and (before.outcome != IMPOSSIBLE or before.micrographs == names):
        found = _as_decided(before, picker.model, folder)
        if found is not None:
            log.info(f"adapt: decided in an earlier run (delete {folder / RECORD} to decide again): {before.text}")
            return found
    (folder / RECORD).unlink(missing_ok=True)
    log.info(
        f"adapt: model {picker.model.card.name} learns from {len(names)} of {len(job_micrographs.names)} micrographs; "
        "this takes some minutes"
    )
    pictures = list(job_micrographs.read(chosen))
    try:
        outcome = _decide(picker, pictures, options, folder)
        lasting = outcome.outcome != IMPOSSIBLE or len(pictures) == len(names)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        advice = "Give the job more memory or a smaller `adapt_most` and press Continue, or leave out `adapt`"
        outcome, lasting = _impossible(picker, "there is not enough memory", advice), False
    decision = replace(outcome, request=request, micrographs=names)
    if lasting:
        folder.mkdir(parents=True, exist_ok=True)
        write_decision(folder, decision)
    if decision.outcome == IMPOSSIBLE:
        log.warning(decision.text)
    else:
        log.info(f"adapt: {decision.text}")
    return load_model(str(folder / decision.model)) if decision.model else picker.model


def _decide(picker: Picker, pictures: Iterable[Image], options: AdaptOptions, folder: Path) -> Decision:
    """Adapt and judge; that it cannot be done is a decision as well."""
    try:
        settings = settings_of(options.adapt_rounds, options.adapt_steps)
        path = adapted_model(picker, pictures, settings, folder)
    except GanpickError as error:
        return _impossible(picker, str(error), "Give more micrographs and press Continue, or leave out `adapt`")
    if path is None:
        text = f"the adapted model is no better: model {picker.model.card.name} picks as it is"
        return Decision(ORIGINAL, text, {})
    return Decision(ADAPTED, f"the adapted model is better, and picks: {path}", {}, model=path.name)


def _impossible(picker: Picker, reason: str, advice: str) -> Decision:
    return Decision(IMPOSSIBLE, f"not adapted: {reason}; model {picker.model.card.name} picks instead. {advice}", {})


def _as_decided(decision: Decision, original: Model, folder: Path) -> Model | None:
    """Load the model of an earlier decision; None if it is damaged or has gone."""
    if decision.outcome != ADAPTED:
        return original
    try:
        return load_model(str(folder / decision.model))
    except GanpickError as error:
        log.warning(f"{error}; the model is adapted again")
        return None


def _request(picker: Picker, job_micrographs: JobMicrographs, options: AdaptOptions) -> dict[str, Any]:
    """List all that decides what is learned, but for the choice of micrographs: a job may get more of them."""
    return {
        "model_sha256": picker.model.card.sha256,
        "diameter": picker.settings.diameter,
        "working_diameter": picker.settings.working_diameter_angstrom,
        "contrast": picker.settings.contrast,
        "pixel_size": job_micrographs.pixel_size,
        "adapt_most": options.adapt_most,
        "adapt_rounds": options.adapt_rounds,
        "adapt_steps": options.adapt_steps,
    }
