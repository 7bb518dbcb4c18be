"""Tell from the micrographs themselves how large the particles are: where on the scale most of them are recognised.

The generator knows particles that are one working diameter wide, give or take a fifth. Shown too large, a particle falls apart
into pieces that it does not know; shown too small, it is a speck. So the number of sure picks per area, followed over a
range of assumed diameters, rises and falls around the true one, the more sharply the surer they have to be. It is a count,
which one odd micrograph or one bright ice crystal hardly moves, and nothing in it depends on the model beyond what its
training demands of every model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.frame import find_image_area
from relion_ganpick.core.micrograph import Micrograph
from relion_ganpick.core.preprocess import FILLED, PARTICLE_PX
from relion_ganpick.core.settings import PickOptions, PickSettings
from relion_ganpick.model.weights import Model, load_model
from relion_ganpick.picking.coarser import halved, is_ample, middle
from relion_ganpick.picking.diameter_record import DiameterEstimate
from relion_ganpick.picking.method import SMALLEST_SIDE
from relion_ganpick.picking.picker import Picker, checked_pixel_size

Values = NDArray[np.float64]

SMALLEST, LARGEST, STEP = 40.0, 1000.0, 1.2  # assumed in Angstrom
SMALLEST_PX = 10.0
MOST_SIDE = 640
BLOCKS = 2
SQUARE_MICROMETRE = 1e8  # square Angstrom
FEWEST_ASSUMED = 5
FINE = 20  # points of the smooth curve between two assumed
# Chosen on synthetic molecules that no benchmark shows: `python benchmarks/diameter.py` measures what comes of them.
SURE = (0.9, 0.8, 0.7)
SMOOTHING = 0.2
FEWEST_SURE = 50
FEWEST_PER_SQUARE = 0.01
LARGEST_SPREAD = 0.15
SHAPE_ERROR = 0.13

GIVE_A_NUMBER = "give `diameter` a number in Angstrom"


def assumed_diameters() -> Values:
    """Diameters that are tried, a geometric series in Angstrom, (n,) float64."""
    return np.asarray(SMALLEST * STEP ** np.arange(int(np.log(LARGEST / SMALLEST) / np.log(STEP)) + 1))


def estimate_diameter(
    micrographs: Iterable[Micrograph], request: PickOptions, device: str = "auto", model: Model | None = None
) -> DiameterEstimate:
    """Estimate the particles' diameter.

    Parameters
    ----------
    micrographs
        Some micrographs of one kind of particle, with their pixel sizes; only one is held at a time.
    request
        Contrast and, without ``model``, the model; a diameter in it is not looked at.
    device
        "auto", "cpu", "cuda" or "cuda:N"; see `core.device.find_device`.
    model
        A loaded model of the default kind; by default the one that ``request`` names.

    Returns
    -------
    DiameterEstimate

    Raises
    ------
    GanpickError
        If the micrographs cannot tell, or one of them has no usable image; the message says why.
    """
    assumed = assumed_diameters()
    pickers = make_pickers(assumed, request, device, model)
    parts = [count_sure(micrograph, pickers) for micrograph in micrographs]
    if not parts:
        raise GanpickError(f"diameter auto: there are no micrographs: {GIVE_A_NUMBER}")
    return from_counts(assumed, np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))


def make_pickers(assumed: Values, request: PickOptions, device: str, model: Model | None) -> list[Picker]:
    """Make one picker for each assumed diameter, all of one model, with figures of merit by the marks' heights.

    Raises
    ------
    GanpickError
        If the model is of the paper's kind: it sees whole micrographs at one size, whatever the diameter.
    """
    plain = PickSettings(diameter=float(assumed[0]), contrast=request.contrast, model=request.model, edge_margin=0.0)
    first = Picker(plain, device, (model or load_model(request.model)).by_heights())
    if not first.method.follows_size:
        raise GanpickError(
            f"diameter auto: model {first.model.card.name} is one of the paper's kind, which cannot estimate diameters: "
            f"{GIVE_A_NUMBER}"
        )
    # divided by the share that a particle fills, so that each of these diameters itself is tried
    return [first.with_settings(replace(first.settings, diameter=float(each) / FILLED)) for each in assumed]


def from_counts(assumed: Values, counts: Values, areas: Values) -> DiameterEstimate:
    """Find the diameter at which sure picks are densest, of the highest figure of merit in `SURE` that allows an estimate.

    Density, as a function of the diameter's logarithm, is smoothed by a Gaussian of about one step.
    A particle that stands out may show its subunits in a peak of its own; of several peaks, that with the greatest
    product of density and diameter counts. The spread is the jackknife's over the blocks, with what the particle's shape adds.

    Parameters
    ----------
    assumed
        (n,) diameters in Angstrom, rising.
    counts
        (blocks, levels, n) picks with at least each of the figures of merit in `SURE`.
    areas
        (blocks, n) area that was searched in square Angstrom; 0 where an assumed diameter could not be tried.

    Raises
    ------
    GanpickError
        If there are too few sure picks, they are densest at an end of the range, or the blocks disagree.
    """
    tried = areas.sum(axis=0) > 0
    assumed, counts, areas = assumed[tried], counts[:, :, tried], areas[:, tried]
    if len(assumed) < FEWEST_ASSUMED:
        raise GanpickError(f"diameter auto: the micrographs are too small, or their pixels too large: {GIVE_A_NUMBER}")
    for merit, sure in zip(SURE, np.moveaxis(counts, 1, 0), strict=True):
        try:
            return _from_counts_at(merit, assumed, sure, areas)
        except GanpickError as error:
            problem = error
    raise problem


def _from_counts_at(merit: float, assumed: Values, counts: Values, areas: Values) -> DiameterEstimate:
    """Find the diameter at which picks of at least one figure of merit are densest, (n,), (blocks, n), (blocks, n)."""
    total, area = counts.sum(axis=0), areas.sum(axis=0)
    tested = f"from {assumed[0]:.0f} to {assumed[-1]:.0f} A"
    estimate = _densest(assumed, total / area, area)
    if estimate is None:
        raise GanpickError(
            f"diameter auto: too few particles stand out at any diameter {tested} "
            f"(at most {total.max():.0f} with a figure of merit above {merit:g}): {GIVE_A_NUMBER}, "
            "or check `contrast` and the pixel size"
        )
    if not assumed[1] <= estimate <= assumed[-2]:
        end = "smallest" if estimate < assumed[1] else "largest"
        raise GanpickError(
            f"diameter auto: of all diameters {tested} the {end} fit best, so the true one may lie beyond: {GIVE_A_NUMBER}"
        )
    spread = _jackknife(assumed, counts, areas)
    if spread > LARGEST_SPREAD:
        raise GanpickError(
            f"diameter auto: the micrographs disagree ({estimate:.0f} A, give or take {100 * spread:.0f} %): {GIVE_A_NUMBER}"
        )
    n_sure = int(total[np.abs(np.log(assumed / estimate)).argmin()])
    density = tuple(np.round(total / area * SQUARE_MICROMETRE, 3).tolist())
    spread = round(float(np.hypot(spread, SHAPE_ERROR)), 4)
    return DiameterEstimate(float(round(estimate)), spread, n_sure, merit, tuple(np.round(assumed, 1).tolist()), density)


def count_sure(micrograph: Micrograph, pickers: list[Picker]) -> tuple[Values, Values]:
    """Count sure picks at each assumed diameter in the quarters of a micrograph.

    At small diameters, where the picture would be large, its middle is enough.

    Parameters
    ----------
    pickers
        One for each assumed diameter, rising.

    Returns
    -------
    counts, areas
        (4, levels, n) float64, picks with at least each of the figures of merit in `SURE`, and (4, n) float64, square
        Angstrom that were searched; both 0 where an assumed diameter is too small for the pixels or too large for the micrograph.
    """
    counts, areas = np.zeros((BLOCKS**2, len(SURE), len(pickers))), np.zeros((BLOCKS**2, len(pickers)))
    pixel_size = checked_pixel_size(micrograph)
    area = find_image_area(micrograph.pixels)
    image = micrograph.pixels[area.top : area.bottom, area.left : area.right]
    for index, picker in enumerate(pickers):
        while is_ample(picker.settings.diameter / pixel_size) and min(image.shape) > SMALLEST_SIDE:
            image, pixel_size = halved(image), 2 * pixel_size
        diameter_px = picker.settings.diameter / pixel_size
        if diameter_px < SMALLEST_PX or min(image.shape) * PARTICLE_PX / diameter_px < SMALLEST_SIDE + 1:
            continue
        part = np.ascontiguousarray(middle(image, int(MOST_SIDE / PARTICLE_PX * diameter_px)))
        found = picker.score(Micrograph(part, pixel_size, micrograph.name))
        height, width = part.shape
        for level, merit in enumerate(SURE):
            sure = found.above(merit)
            quarters = np.histogram2d(sure.y, sure.x, BLOCKS, [[-0.5, height - 0.5], [-0.5, width - 0.5]])[0]
            counts[:, level, index] = quarters.ravel()
        areas[:, index] = height * width * pixel_size**2 / BLOCKS**2
    return counts, areas


def _densest(assumed: Values, density: Values, area: Values, share: float = 1.0) -> float | None:
    """Find the diameter in Angstrom at the peak of smoothed density that counts; None if none has enough, or a share of it."""
    steps = np.log(assumed)
    fine = np.linspace(steps[0], steps[-1], FINE * (len(steps) - 1) + 1)
    away = np.abs(fine[:, None] - steps)
    smooth = np.exp(-0.5 * (away / SMOOTHING) ** 2) @ density
    padded = np.pad(smooth, 1)
    is_peak = (smooth >= padded[:-2]) & (smooth >= padded[2:])
    enough = (density * area >= share * FEWEST_SURE) & (density * assumed**2 >= share * FEWEST_PER_SQUARE)
    weight = np.where(is_peak & enough[away.argmin(axis=1)], smooth * np.exp(fine), 0.0)
    return float(np.exp(fine[weight.argmax()])) if weight.any() else None


def _jackknife(assumed: Values, counts: Values, areas: Values) -> float:
    """Find the standard error of the logarithm of the estimate, leaving out one block at a time (Efron and Stein 1981)."""
    total, area = counts.sum(axis=0), areas.sum(axis=0)
    n_blocks = len(counts)
    left = []
    for block, searched in zip(counts, areas, strict=True):
        rest = np.divide(total - block, area - searched, out=np.zeros(len(total)), where=area - searched > 0)
        estimate = _densest(assumed, rest, area, 0.5)
        if estimate is None:
            return 1.0
        left.append(np.log(estimate))
    return float(np.sqrt((n_blocks - 1) * np.var(left)))
