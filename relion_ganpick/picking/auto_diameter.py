"""``--diameter auto``: from the settings and the micrographs of a run to settings with a number."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.faults import hits_all, in_words
from relion_ganpick.core.micrograph import read_micrograph
from relion_ganpick.core.settings import PickRequest, PickSettings
from relion_ganpick.picking.diameter import GIVE_A_NUMBER, assumed_diameters, count_sure, from_counts, make_pickers
from relion_ganpick.picking.diameter_record import DIAMETER_FILE, DiameterEstimate, read_record, write_record
from relion_ganpick.picking.stream import Task

log = logging.getLogger(__name__)

MOST_LOOKED_AT = 6
MOST_TRIED = 12


def preferred(n_micrographs: int) -> list[int]:
    """Order in which micrographs are looked at: six evenly chosen ones, then those between them, then the others."""
    chosen = [int((k + 0.5) * n_micrographs / n) for n in (MOST_LOOKED_AT, MOST_TRIED) for k in range(n)]
    return list(dict.fromkeys([*chosen, *range(n_micrographs)] if n_micrographs else []))


def resolve_diameter(
    request: PickRequest,
    tasks: Iterable[Task],
    device: str = "auto",
    folder: Path | None = None,
    reuse: bool = True,
    pixel_size: float | None = None,
) -> PickSettings:
    """Make a picker's settings of a request; the diameter "auto" is estimated.

    Parameters
    ----------
    request
        What to pick.
    tasks
        Micrographs in the order of preference, see `preferred`; the first six that can be used are looked at, and more,
        to a dozen, while these cannot tell.
    device
        "auto", "cpu", "cuda" or "cuda:N".
    folder
        Where the estimate is taken down as ``diameter.json``.
    reuse
        Whether an estimate that is in ``folder`` already, for the same contrast and pixel size, is used again; if not, it
        is deleted.
    pixel_size
        Angstrom per pixel of the run's first micrograph, if it is known beforehand.

    Raises
    ------
    GanpickError
        If the micrographs cannot tell; the message asks for a number.
    """
    path = None if folder is None else folder / DIAMETER_FILE
    if path is not None and not reuse:
        path.unlink(missing_ok=True)
    if not isinstance(request.diameter, str):
        assert request.diameter is not None
        return request.settings(request.diameter)
    facts = {"contrast": request.contrast, "pixel_size": pixel_size}
    before = read_record(path, facts) if path is not None and reuse else None
    if before is not None:
        log.info(f"diameter {before:g} A, as estimated before (delete {path} to estimate it again)")
        return request.settings(before)
    estimate, names = _estimate(request, tasks, device)
    if path is not None:
        write_record(path, estimate, names, facts)
    log.info(
        f"diameter {estimate.angstrom:g} A, give or take {100 * estimate.spread:.0f} %, estimated from {estimate.n_sure} "
        f"particles with a figure of merit above {estimate.merit:g} in {len(names)} micrographs" + (f": {path}" if path else "")
    )
    return request.settings(estimate.angstrom)


def _estimate(request: PickRequest, tasks: Iterable[Task], device: str) -> tuple[DiameterEstimate, list[str]]:
    """Estimate from as many micrographs as it takes; returns their names too."""
    assumed = assumed_diameters()
    pickers = make_pickers(assumed, request, device, None)
    names, counts, areas = [], [], []
    for task in islice(tasks, MOST_TRIED):
        try:
            sure, searched = count_sure(read_micrograph(task.path, task.pixel_size), pickers)
        except GanpickError as error:
            log.info(f"diameter auto: {error}")
            continue
        except Exception as error:
            if hits_all(error):
                raise
            log.info(f"diameter auto: {task.path}: cannot be used ({in_words(error)})")
            continue
        names.append(task.name)
        counts.append(sure)
        areas.append(searched)
        if len(names) >= MOST_LOOKED_AT:
            with suppress(GanpickError):
                return from_counts(assumed, np.concatenate(counts), np.concatenate(areas)), names
    if not names:
        raise GanpickError(f"diameter auto: no micrograph could be used: {GIVE_A_NUMBER}")
    return from_counts(assumed, np.concatenate(counts), np.concatenate(areas)), names
