"""The size at which the network is shown the particles: that at which most of them are expected to be found.

A diameter that people give is that of a mask, or of the longest view, or a guess; and a faint particle is found best a
little smaller than the network is used to, as its pixels then hold more signal. So some micrographs are picked at several
assumed diameters around the one given. The figures of merit above the threshold add up to the number of right picks that
the model expects. The assumed diameter that one comes to by climbing to greater sums is what brings all micrographs to the
working scale. The diameter that was given stays what distances, margins and circles follow.

Only diameters within two steps of the way are tried, and of a large micrograph its middle, which holds particles enough.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.faults import hits_all
from relion_ganpick.core.files import write_atomic
from relion_ganpick.core.frame import find_image_area
from relion_ganpick.core.micrograph import Micrograph, read_micrograph
from relion_ganpick.picking.auto_diameter import MOST_LOOKED_AT, MOST_TRIED
from relion_ganpick.picking.coarser import halved, is_ample, middle
from relion_ganpick.picking.diameter_record import WORKING_DIAMETER_FILE
from relion_ganpick.picking.picker import AnyPicker, Picker, checked_pixel_size
from relion_ganpick.picking.stream import Task
from relion_ganpick.picking.threads import one_thread_each

log = logging.getLogger(__name__)
Values = NDArray[np.float64]

# Chosen on simulated molecules: `python benchmarks/accuracy.py` measures what comes of them.
WIDEST, HALF = 0.28, 4  # logarithm of the largest factor; factors on either side of 1
STRIDE = 2
LEAST_GAIN = 0.02
FEWEST_EXPECTED, ENOUGH_EXPECTED = 20.0, 600.0
FEWEST_MICROGRAPHS = 3
MOST_DIAMETERS = 28.0  # of a micrograph's side that are looked at


@dataclass(frozen=True)
class WorkingDiameter:
    """An assumed diameter and what speaks for it.

    Attributes
    ----------
    angstrom
        The diameter to assume.
    assumed
        (n,) diameters in Angstrom that were tried, rising.
    expected
        (n,) number of right picks that the figures of merit promise at each of them.
    """

    angstrom: float
    assumed: tuple[float, ...]
    expected: tuple[float, ...]


def assumed_factors() -> Values:
    """Factors of the given diameter that are tried, a geometric series with 1 in its middle, (n,) float64, rising."""
    return np.asarray(np.exp(np.linspace(-WIDEST, WIDEST, 2 * HALF + 1)))


def tuned(picker: AnyPicker, micrographs: Iterable[Micrograph], threads: int = 1) -> AnyPicker:
    """Make a picker that assumes the diameter at which it expects to find most particles.

    Parameters
    ----------
    picker
        With the diameter that was given; it is not changed.
    micrographs
        One or, better, some of those that are to be picked, of one kind of particle; three are looked at where they are full,
        six where there are few particles in each, twelve where the first six hold next to nothing, and no more.

    Returns
    -------
    A picker with the same network. One with a working diameter of its own comes back as it is, and so does one of the paper's
    kind, which sees whole micrographs at one size.
    """
    if not picker.method.follows_size or picker.settings.working_diameter is not None:
        return picker
    assumed = picker.settings.diameter * assumed_factors()
    looked_at = ((each.name, small_part(picker, each)) for each in micrographs)
    _, expected = _climbed(picker, looked_at, assumed, threads)
    return picker.at(choose(assumed, expected).angstrom) if len(expected) else picker


def with_working_diameter(
    picker: AnyPicker,
    tasks: Iterable[Task],
    folder: Path | None = None,
    reuse: bool = True,
    pixel_size: float | None = None,
    threads: int = 1,
) -> AnyPicker:
    """Make a picker as `tuned` does, for the micrographs of a run.

    Parameters
    ----------
    picker
        With the diameter that was given; it is not changed.
    tasks
        Micrographs in the order of preference, see `picking.auto_diameter.preferred`; three to six that can be used are looked
        at, until enough particles are expected, and up to twelve where six hold next to nothing. Those that cannot be used are
        left out without a word: picking has a line for each.
    folder
        Where the choice is taken down as ``working_diameter.json``, if there are particles enough to choose by.
    reuse
        Whether a choice that is in ``folder`` already, for the same diameter, contrast, model and pixel size, is used again;
        if not, it is deleted.
    pixel_size
        Angstrom per pixel of the run's first micrograph, if it is known beforehand.
    threads
        Diameters that are tried at a time.

    Raises
    ------
    GanpickError
        If the record in ``folder`` is damaged.
    """
    settings = picker.settings
    path = None if folder is None else folder / WORKING_DIAMETER_FILE
    if path is not None and not reuse:
        path.unlink(missing_ok=True)
    if not picker.method.follows_size or settings.working_diameter is not None:
        return picker
    facts = {
        "diameter": settings.diameter,
        "contrast": settings.contrast,
        "model": picker.model.card.sha256,
        "pixel_size": pixel_size,
    }
    before = _read_record(path, facts) if path is not None and reuse else None
    if before is not None:
        log.info(f"working diameter {before:g} A, as chosen before (delete {path} to choose it again)")
        return picker.at(before)
    assumed = settings.diameter * assumed_factors()
    names, expected = _climbed(picker, _looked_at(picker, islice(tasks, MOST_TRIED)), assumed, threads)
    if not names:
        return picker
    chosen = choose(assumed, expected)
    if path is not None and max(chosen.expected) >= FEWEST_EXPECTED:
        content = facts | {
            "angstrom": chosen.angstrom,
            "assumed": np.round(chosen.assumed, 1).tolist(),
            "expected": [None if np.isnan(each).all() else round(float(each.sum()), 1) for each in expected.T],
            "micrographs": names,
        }
        write_atomic(path, json.dumps(content, indent=1) + "\n")
    given = chosen.expected[HALF]
    log.info(
        f"working diameter {chosen.angstrom:g} A: {max(chosen.expected):.0f} particles expected in {len(names)} micrographs, "
        f"{given:.0f} at {settings.diameter:g} A"
        if chosen.angstrom != settings.diameter
        else f"working diameter {chosen.angstrom:g} A as given: {given:.0f} particles expected in {len(names)} micrographs"
    )
    return picker.at(chosen.angstrom)


def choose(assumed: Values, expected: Values) -> WorkingDiameter:
    """Choose the assumed diameter at which most particles are expected, climbing from the one that was given, in the middle.

    A climb, two assumed wide, does not cross the valley beyond which the subunits of a particle count one by one. The given
    diameter is kept where next to no particles are expected at any, or others gain hardly anything.

    Parameters
    ----------
    assumed
        (n,) diameters in Angstrom, rising, n odd.
    expected
        (micrographs, n) expected right picks; NaN where a diameter could not be assumed, or was not tried.
    """
    total, given = _totals(expected), len(assumed) // 2
    best = _summit(total)
    if total[best] < FEWEST_EXPECTED or total[best] <= (1 + LEAST_GAIN) * total[given]:
        best = given
    angstrom = float(assumed[best]) if best == given else float(np.round(assumed[best], 1))
    return WorkingDiameter(angstrom, tuple(assumed.tolist()), tuple(total.tolist()))


def expected_particles(picker: Picker, micrograph: Micrograph, assumed: Values) -> Values:
    """Add up the figures of merit above the model's threshold at each assumed diameter.

    Returns
    -------
    (n,) float64; NaN where the micrograph is too small or too large for a diameter.

    Raises
    ------
    GanpickError
        If the micrograph cannot be used at the diameter that was given.
    """
    found = np.full(len(assumed), np.nan)
    for index, angstrom in enumerate(assumed):
        try:
            merit = picker.at(float(angstrom)).score_alone(micrograph).score
        except GanpickError:
            if index == len(assumed) // 2:
                raise
            continue
        found[index] = merit[merit >= picker.model.card.threshold].sum()
    return found


def small_part(picker: Picker, micrograph: Micrograph) -> Micrograph:
    """Take of a large micrograph its middle, and of a finely sampled one every other pixel, averaged.

    Raises
    ------
    GanpickError
        If the micrograph cannot be used at the diameter that was given.
    """
    pixel_size = checked_pixel_size(micrograph)
    area = find_image_area(micrograph.pixels)
    image = micrograph.pixels[area.top : area.bottom, area.left : area.right]
    image = middle(image, int(MOST_DIAMETERS * picker.settings.diameter / pixel_size))
    smallest = picker.settings.diameter * assumed_factors()[0]
    while is_ample(smallest / pixel_size):
        image, pixel_size = halved(image), 2 * pixel_size
    if image.shape == micrograph.pixels.shape:
        return replace(micrograph, pixel_size=pixel_size)
    return Micrograph(np.ascontiguousarray(image), pixel_size, micrograph.name)


def _climbed(
    picker: Picker, looked_at: Iterable[tuple[str, Micrograph]], assumed: Values, threads: int
) -> tuple[list[str], Values]:
    """Take micrographs until those looked at can decide, and try diameters until the way to the top is known.

    Where six hold next to nothing, up to a dozen are looked at: some may be of ice or carbon alone.

    Returns
    -------
    Names, and (micrographs, n) expected particles; NaN where they were not tried.
    """
    names: list[str] = []
    parts: list[Micrograph] = []
    rows: list[Values] = []
    given = len(assumed) // 2
    first = range(given - STRIDE, given + STRIDE + 1)
    with ThreadPoolExecutor(threads, "diameter") as pool, one_thread_each(threads):

        def tried(part: Micrograph, indices: Iterable[int]) -> Values:
            return np.concatenate(list(pool.map(lambda index: _tried(picker, part, float(assumed[index])), indices)))

        for name, part in looked_at:
            row = np.full(len(assumed), np.nan)
            try:
                row[given] = expected_particles(picker, part, assumed[[given]])[0]
            except Exception as error:  # picking has a line for it
                if hits_all(error):
                    raise
                continue
            others = [index for index in first if index != given]
            row[others] = tried(part, others)
            names.append(name)
            parts.append(part)
            rows.append(row)
            most = float(np.nan_to_num(np.stack(rows)).sum(axis=0).max())
            enough = most >= (ENOUGH_EXPECTED if len(names) < MOST_LOOKED_AT else FEWEST_EXPECTED)
            if len(names) >= MOST_TRIED or (len(names) >= FEWEST_MICROGRAPHS and enough):
                break
        known = set(first)
        while rows:
            best = _summit(_totals(np.stack(rows)))
            ahead = sorted({k for k in range(best - STRIDE, best + STRIDE + 1) if 0 <= k < len(assumed)} - known)
            if not ahead:
                break
            for part, row in zip(parts, rows, strict=True):
                row[ahead] = tried(part, ahead)
            known |= set(ahead)
    return names, np.stack(rows) if rows else np.empty((0, len(assumed)))


def _tried(picker: Picker, part: Micrograph, angstrom: float) -> Values:
    try:
        return expected_particles(picker, part, np.array([angstrom]))
    except GanpickError:
        return np.array([np.nan])


def _totals(expected: Values) -> Values:
    """Add up micrographs, (micrographs, n) -> (n,); 0 where a diameter was not tried on all of them."""
    total = np.nan_to_num(expected).sum(axis=0)
    total[np.isnan(expected).any(axis=0)] = 0.0
    return np.asarray(total)


def _summit(total: Values) -> int:
    """Climb from the middle, two steps at a time at most, as long as there is more."""
    best = len(total) // 2
    while True:
        first = max(best - STRIDE, 0)
        next_best = first + int(total[first : best + STRIDE + 1].argmax())
        if total[next_best] <= total[best]:
            return best
        best = next_best


def _looked_at(picker: Picker, tasks: Iterable[Task]) -> Iterator[tuple[str, Micrograph]]:
    """Name and small part of the micrographs that can be read."""
    for task in tasks:
        try:
            yield task.name, small_part(picker, read_micrograph(task.path, task.pixel_size))
        except Exception as error:  # picking has a line for it
            if hits_all(error):
                raise


def _read_record(path: Path, facts: dict[str, Any]) -> float | None:
    """Read what was chosen before; None if there is nothing, or it was where other facts held.

    Raises
    ------
    GanpickError
        If the file holds no diameter.
    """
    try:
        content = json.loads(path.read_text())
        angstrom = float(content["angstrom"])
        held = {"pixel_size": facts["pixel_size"], **content}  # which version 0.5.0 did not take down
        same = all(held[name] == value for name, value in facts.items())
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise GanpickError(f"{path}: damaged; delete it to choose the working diameter again") from error
    return angstrom if same and 0 < angstrom < 1e6 else None
