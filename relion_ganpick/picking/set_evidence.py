"""The evidence of a run: which micrographs are looked at before any is picked, and what is kept of it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from relion_ganpick.core.faults import hits_all
from relion_ganpick.core.micrograph import read_micrograph
from relion_ganpick.core.threads import one_thread
from relion_ganpick.evidence.record import EVIDENCE_FILE, Evidence, read_evidence, write_evidence
from relion_ganpick.evidence.view import View, view_of
from relion_ganpick.picking.picker import AnyPicker, Picker, Prepared
from relion_ganpick.picking.seen import Marks, Seen, status_of
from relion_ganpick.picking.stream import Task
from relion_ganpick.version import __version__

log = logging.getLogger(__name__)

MOST_LOOKED_AT = 24
MOST_TRIED = 48


def evenly(n_micrographs: int) -> list[int]:
    """Order in which micrographs are looked at: 24 evenly chosen ones, then the others in case those cannot be used."""
    chosen = sorted({int((k + 0.5) * n_micrographs / MOST_LOOKED_AT) for k in range(MOST_LOOKED_AT)}) if n_micrographs else []
    return chosen + sorted(set(range(n_micrographs)) - set(chosen))


def with_set_evidence(
    picker: AnyPicker,
    tasks: Iterable[Task],
    folder: Path | None = None,
    reuse: bool = True,
    pixel_size: float | None = None,
) -> AnyPicker:
    """Make a picker that knows the set that it is to pick.

    Parameters
    ----------
    picker
        With its final model and working diameter; it is not changed.
    tasks
        Micrographs in the order of preference (`evenly`); the first 24 that can be used are looked at.
    folder
        Where what is found is taken down as ``evidence.json``.
    reuse
        Whether evidence that is in ``folder`` already, for the same version, model, diameters, contrast and pixel size, is used
        again; if not, it is deleted.
    pixel_size
        Angstrom per pixel of the run's first micrograph, if it is known beforehand.

    Returns
    -------
    A picker with the same network. One whose model has no judge of sets comes back as it is, and so does every picker where no
    micrograph can be used.

    Raises
    ------
    GanpickError
        If the record in ``folder`` is damaged.
    """
    path = None if folder is None else folder / EVIDENCE_FILE
    if path is not None and not reuse:
        path.unlink(missing_ok=True)
    if not picker.weighs_sets:
        if picker.method.follows_size and picker.model.judge is None:
            log.debug(f"model {picker.model.card.name} has no judge of sets: each micrograph is judged alone")
        return picker
    facts = facts_of(picker, pixel_size)
    evidence = read_evidence(path, facts) if path is not None and reuse else None
    marks = None
    if evidence is not None:
        log.info(f"evidence of {len(evidence.halves)} micrographs, as found before (delete {path} to look again)")
    else:
        looked_at, marks = _looked_at(picker, islice(tasks, MOST_TRIED))
        if not looked_at:
            return picker
        with one_thread():
            evidence = picker.gather(looked_at)
        if path is not None:
            write_evidence(path, evidence, facts)
    _tell(evidence, picker.asked_threshold)
    knowing = picker.with_evidence(evidence)
    knowing.marks = marks
    return knowing


def facts_of(picker: Picker, pixel_size: float | None) -> dict[str, Any]:
    """List what evidence holds for."""
    settings = picker.settings
    return {
        "version": __version__,
        "model": picker.model.card.sha256,
        "diameter": settings.diameter,
        "working_diameter": settings.working_diameter_angstrom,
        "min_distance": settings.min_distance_angstrom,
        "contrast": settings.contrast,
        "pixel_size": pixel_size,
    }


def _tell(evidence: Evidence, asked: float | None) -> None:
    """Say where the cut is; warn where hardly anything speaks for particles, and where many of them are missed."""
    point, n = evidence.point, len(evidence.halves)
    where = f"{n} micrograph{'' if n == 1 else 's'}"
    note = "" if asked is None else f"; the `threshold` of {asked:g} is used in its place"
    log.info(f"evidence of {where}: {point.words()}{note}")
    if point.doubtful and asked is None:
        log.warning(
            f"hardly anything speaks for particles in {where}, so only sure ones are picked. If you see particles: check "
            f"`diameter`, or take `threshold` {point.lenient:.2f}, which gives the doubtful ones as well"
        )
    elif evidence.misses_many and asked is None:
        log.warning(
            f"there are particles in {where}, but many are too faint to be told from noise, so they are missed. Look at the "
            "picks at a lower `threshold`. If you give some good ones as `approved`, the job learns from them"
        )


def _looked_at(picker: Picker, tasks: Iterable[Task]) -> tuple[list[tuple[Prepared, View]], Marks]:
    """Mark the first 24 micrographs that can be used; picking has a line for each that cannot."""
    found: list[tuple[Prepared, View]] = []
    marks = Marks()
    for task in tasks:
        status = status_of(task.path)
        try:
            micrograph = read_micrograph(task.path, task.pixel_size)
            prepared = picker.prepare(micrograph)
            marked = picker.mark(prepared.picture)
            found.append((prepared, view_of(prepared.picture, marked, prepared.blank)))
        except Exception as error:
            if hits_all(error):
                raise
            continue
        if status is not None:
            marks.keep(task.path, Seen(prepared, marked, micrograph.header_pixel_size, status))
        if len(found) == MOST_LOOKED_AT:
            break
    return found, marks
