"""Learn from particles that a user has kept: which candidates are like them, and which are not."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from relion_ganpick.adaptation.approved_fit import Candidates, fit_correction, standing_held_back
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.evaluate import match
from relion_ganpick.core.files import write_atomic
from relion_ganpick.core.micrograph import read_micrograph
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.evidence.approved import approved_filter, describe_like, kept_in, lesson_from
from relion_ganpick.evidence.assess import gather_evidence, judged
from relion_ganpick.evidence.operating_point import expected_f
from relion_ganpick.evidence.view import View, view_of
from relion_ganpick.formats.approved import Approved
from relion_ganpick.model.weights import Model, load_model, save_model
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.stream import Task
from relion_ganpick.version import __version__

log = logging.getLogger(__name__)
Values = NDArray[np.float64]

FEWEST = 20
REACH = 0.25  # diameters, the criterion of a right pick
LEAST_THRESHOLD, MOST_THRESHOLD = 0.05, 0.9
RECORD = "approved.json"


@dataclass(frozen=True)
class Learned:
    """What came of it.

    Attributes
    ----------
    model
        The corrected model; None where it ranks the approved particles no better.
    text
        The same for the user, in one line.
    """

    model: Model | None
    text: str


def learn_approved(picker: Picker, tasks: Iterable[Task], approved: Approved) -> Learned:
    """Correct a picker's figures of merit by particles that a user has kept.

    They say what the particle looks like, and they are positive. What nobody has approved counts the less, the fewer of all
    particles have been approved; see `adaptation.approved_fit`. The correction is taken if approved particles that it was not
    shown rank higher by it than a job ranks them without it, with the judge of sets if the model has one.

    Parameters
    ----------
    picker
        With the model to correct.
    tasks
        Micrographs to learn from; those without an approved particle are left out.
    approved
        The particles.

    Raises
    ------
    GanpickError
        If fewer than 20 approved particles are among the candidates.
    """
    seen = [each for each in (_look(picker, task, approved) for task in tasks) if each is not None]
    if not seen:
        raise GanpickError(f"{approved.path}: none of its particles is in a micrograph that can be used: do their names agree?")
    of_set = approved_filter([lesson_from(each.view.picture, each.points) for each in seen])
    found = [describe_like(picker.model, each.view, each.marked, of_set, each.min_distance_px) for each in seen]
    parts = [
        Candidates(features, picks.score, match(picks.xy, each.points, REACH * PARTICLE_PX), np.full(len(picks), number))
        for number, (each, (picks, features)) in enumerate(zip(seen, found, strict=True))
    ]
    n_given = sum(len(each.points) for each in seen)
    n_found = sum(int(each.approved.sum()) for each in parts)
    if n_found < FEWEST:
        raise GanpickError(
            f"{approved.path}: too few to learn from: {n_found} of {n_given} particles are found again in micrographs, but at "
            f"least {FEWEST} are needed: give more, check `diameter`, or see with ganpick check-orientation if they are turned"
        )
    every = Candidates(*(np.concatenate([getattr(each, name) for each in parts]) for name in Candidates.__dataclass_fields__))
    before, after = standing_held_back(every, _usual(picker, seen, [picks for picks, _ in found]))
    correction, share = fit_correction(every, len(of_set.weights))
    kept_in(correction, of_set)
    text = (
        f"{n_found} of {n_given} approved particles in {len(parts)} micrographs are found again, {share:.0%} of all particles; "
        f"those held back are ahead of {before:.1%} of the candidates before and {after:.1%} after"
    )
    if after <= before:
        return Learned(None, f"{text}: no better, so model {picker.model.card.name} picks as it is")
    card = picker.model.card
    threshold = float(np.clip(expected_f(correction.correct(every.merit, every.features))[1], LEAST_THRESHOLD, MOST_THRESHOLD))
    facts = {"from": card.sha256, "particles": n_found, "micrographs": len(parts), "share": round(share, 4)}
    card = replace(
        card,
        name=f"{card.name}-approved",
        threshold=round(threshold, 4),
        metrics=card.metrics | {"standing_before": round(before, 4), "standing": round(after, 4)},
        training=card.training | {"approved": facts},
        data=card.data + f"; corrected by {n_found} particles that the user has kept in {len(parts)} micrographs",
    )
    return Learned(replace(picker.model, approved=correction.requires_grad_(False), card=card), text)


def approved_once(picker: Picker, tasks: Iterable[Task], approved: Approved, folder: Path, pixel_size: float | None) -> Model:
    """Find the model that particles a user has kept lead to; what was found in ``folder`` for the same request holds.

    Raises
    ------
    GanpickError
        If there are too few of them.
    """
    settings = picker.settings
    request = {
        "version": __version__,
        "model_sha256": picker.model.card.sha256,
        "particles_sha256": hashlib.sha256(approved.path.read_bytes()).hexdigest() if approved.path.is_file() else "",
        "diameter": settings.diameter,
        "working_diameter": settings.working_diameter_angstrom,
        "contrast": settings.contrast,
        "pixel_size": pixel_size,
    }
    before = _read_record(folder / RECORD)
    if before.get("request") == request:
        log.info(f"approved: as learned before (delete {folder / RECORD} to learn again): {before['text']}")
        return load_model(str(folder / before["model"])) if before["model"] else picker.model
    learned = learn_approved(picker, tasks, approved)
    log.info(f"approved: {learned.text}")
    folder.mkdir(parents=True, exist_ok=True)
    path = None if learned.model is None else save_model(learned.model, folder)
    record = {"request": request, "text": learned.text, "model": "" if path is None else path.name}
    write_atomic(folder / RECORD, json.dumps(record, indent=1) + "\n")
    return picker.model if path is None else load_model(str(path))


@dataclass(frozen=True)
class _Seen:
    """A micrograph with its approved particles, in pixels of the working scale."""

    view: View
    marked: NDArray[np.float32]
    points: NDArray[np.float64]
    min_distance_px: float


def _look(picker: Picker, task: Task, approved: Approved) -> _Seen | None:
    """Mark one micrograph; None where there is nothing to learn, or nothing that can be used."""
    stem = PurePath(task.name).stem
    if not len(approved.of(stem, 1.0)):
        return None
    try:
        prepared = picker.prepare(read_micrograph(task.path, task.pixel_size))
    except GanpickError as error:
        log.warning(str(error))
        return None
    marked = picker.mark(prepared.picture)
    points = approved.of(stem, prepared.pixel_size) - (prepared.area.left, prepared.area.top)
    small = prepared.scale.to_working(Picks(points[:, 0], points[:, 1], np.ones(len(points))))
    height, width = prepared.picture.shape
    inside = small.inside(-0.5, -0.5, width - 0.5, height - 0.5)
    return _Seen(view_of(prepared.picture, marked, prepared.blank), marked, inside.xy, picker.min_distance_px(prepared))


def _usual(picker: Picker, seen: Sequence[_Seen], found: Sequence[Picks]) -> Values | None:
    """Give candidates the figures of merit that a job gives them, (n,) float64; None if those are the model's own."""
    if not picker.weighs_sets:
        return None
    names, views = [str(number) for number in range(len(seen))], [each.view for each in seen]
    distance = seen[0].min_distance_px
    evidence = gather_evidence(picker.model, views, names, distance)
    usual = []
    for name, view, picks in zip(names, views, found, strict=True):
        by_set = judged(picker.model, view, name, evidence, distance)
        merit = np.zeros(len(picks))
        if len(by_set) and len(picks):
            away, nearest = cKDTree(by_set.xy).query(picks.xy)
            merit = np.where(away < REACH * PARTICLE_PX, by_set.score[nearest], 0.0)
        usual.append(merit)
    return np.concatenate(usual)


def _read_record(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and {"request", "text", "model"} <= set(found) else {}
