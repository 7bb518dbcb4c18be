"""Simulated sets of held-out molecules: a grid of defocus and dose, and a sweep over the contrast.

No training draws from the random streams used here. Two molecules of each of the nine kinds in `molecules.KINDS` are imaged.

In the grid every molecule has the same typical projected mass. What depth it then has in the picture follows from its
contrast transfer function: it grows with defocus. The dose sets the noise: in units of it the depth grows as the dose's
square root. The scale is fixed by one number, `REFERENCE_CONTRAST`: the depth, in sigma of the noise at the working scale,
that the median molecule has at 1.5 micrometres and 20 electrons per square Angstrom. There is no contamination in the
grid, and particles do not touch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pickers import difference_of_gaussians
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from scoring import Item, Row

from relion_ganpick.core.evaluate import evaluate
from relion_ganpick.core.micrograph import Micrograph
from relion_ganpick.core.preprocess import HIGH_PASS_DIAMETERS, PARTICLE_PX
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.working_diameter import tuned
from relion_ganpick.synthesis.imaging import Optics, contrast_transfer_function, transfer
from relion_ganpick.synthesis.molecules import KINDS, Points, project, random_molecule
from relion_ganpick.synthesis.scene import CLEAN, Scene, SceneSettings, make_scene

Image = NDArray[np.float32]

HELD_OUT = 77_000
PER_KIND = 2
SIDE = 512
DIAMETER = 180.0
DEFOCI = (0.8, 1.5, 2.5)
DOSES = (5.0, 10.0, 20.0, 40.0)
ADAPTED_CONTRAST, ADAPTED_SCENES = 1.0, 8
CONTRASTS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
REFERENCE_CONTRAST, REFERENCE_DEFOCUS, REFERENCE_DOSE = 1.5, 1.5, 20.0
UNCROWDED = replace(CLEAN, diameter=(DIAMETER, DIAMETER), phase_plate=0.0, area_density=(0.15, 0.35), spacing=(1.0, 1.2))


class Found(NamedTuple):
    """What was found in one scene: by the network, by it without a choice of the working diameter, by the floor."""

    ganpick: Item
    as_given: Item
    floor: Item


@dataclass(frozen=True)
class Point:
    """One scene of the grid: what it shows, how noisy it is, and what the pickers found in it."""

    kind: str
    defocus: float
    dose: float
    snr: float
    found: Found


def simulated_picker(model: str, device: str) -> Picker:
    """Make a picker for simulated scenes; their particles may hang over the edge, so that it has no margin there."""
    return Picker(PickSettings(diameter=DIAMETER, model=model, edge_margin=0.0), device)


def molecules() -> list[tuple[str, Points]]:
    """Draw the held-out molecules, `PER_KIND` of each kind."""
    return [
        (kind, random_molecule(np.random.default_rng((HELD_OUT, 1, number, copy)), kind=kind))
        for number, kind in enumerate(KINDS)
        for copy in range(PER_KIND)
    ]


def imaged_depth(molecule: Points, optics: Optics, pixel_size: float) -> float:
    """Compute how deep a molecule of typical projected mass 1 lies below the ice once it is imaged.

    Parameters
    ----------
    molecule
        (n, 3) float64 in diameters.
    optics
        Settings of the microscope.
    pixel_size
        Angstrom per pixel at `PARTICLE_PX` pixels per diameter.

    Returns
    -------
    Root mean square of the picture where the mass is at least 0.3, averaged over eight views.
    """
    side = 8 * int(PARTICLE_PX)
    rotations = Rotation.from_quat(np.random.default_rng((HELD_OUT, 2)).normal(size=(8, 4)))
    views = [project(molecule, rotations[k], PARTICLE_PX, 0.04, np.zeros(2)) for k in range(8)]
    typical = float(np.mean([np.percentile(view[view > 0.02 * view.max()], 75) for view in views]))
    ctf = contrast_transfer_function((side, side), pixel_size, optics)
    depths = []
    for view in views:
        mass = np.zeros((side, side), np.float32)
        first = (side - len(view)) // 2
        mass[first : first + len(view), first : first + len(view)] = view / typical
        depths.append(float(np.sqrt(np.mean(transfer(mass, ctf)[mass > 0.3] ** 2))))
    return float(np.mean(depths))


@lru_cache
def reference_depth() -> float:
    """Compute the median molecule's depth at the reference defocus."""
    optics = Optics(defocus_angstrom=REFERENCE_DEFOCUS * 1e4)
    return float(np.median([imaged_depth(molecule, optics, DIAMETER / PARTICLE_PX) for _, molecule in molecules()]))


def physical_contrast(molecule: Points, optics: Optics, dose: float) -> float:
    """Compute the depth of a molecule in sigma of the noise at the working scale; ``dose`` in electrons per square Angstrom."""
    share = imaged_depth(molecule, optics, DIAMETER / PARTICLE_PX) / reference_depth()
    return REFERENCE_CONTRAST * share * float(np.sqrt(dose / REFERENCE_DOSE))


def with_signal(
    shape: tuple[int, int], seed: Sequence[int], settings: SceneSettings, molecule: Points | None
) -> tuple[Scene, Image]:
    """Make a scene, and the clean signal in it: what changes when the same scene is made with another contrast.

    ``settings`` must ask for one contrast, and for neither denoising nor eight bits, which are not linear in it.

    Returns
    -------
    scene, and (h, w) float32, particles dark.
    """
    contrast = settings.contrast[0]
    other = replace(settings, contrast=(2 * contrast + 1, 2 * contrast + 1))
    scene, stronger = (make_scene(shape, PARTICLE_PX, np.random.default_rng(seed), each, molecule) for each in (settings, other))
    return scene, (stronger.pixels - scene.pixels) * np.float32(contrast / (contrast + 1))


def signal_to_noise(scene: Scene, signal: Image) -> float:
    """Variance of the clean signal inside the particles over the variance of the noise there.

    The noise is taken without its background, which preprocessing removes; inside is within half a diameter of a centre.
    """
    noise = scene.pixels - signal
    noise = noise - cv2.GaussianBlur(noise, (0, 0), HIGH_PASS_DIAMETERS * PARTICLE_PX, borderType=cv2.BORDER_REFLECT)
    rows, columns = np.mgrid[: signal.shape[0], : signal.shape[1]]
    away = cKDTree(scene.centres).query(np.stack([columns.ravel(), rows.ravel()], axis=1))[0].reshape(signal.shape)
    inside = away <= PARTICLE_PX / 2
    return float(np.var(signal[inside]) / np.var(noise[inside]))


def grid(picker: Picker, defoci: Sequence[float] = DEFOCI, doses: Sequence[float] = DOSES) -> list[Point]:
    """Image every molecule at every defocus and dose, each time at the same places, and pick it."""
    points = []
    for number, (kind, molecule) in enumerate(molecules()):
        for defocus in defoci:
            settings = replace(UNCROWDED, defocus_angstrom=(defocus * 1e4, defocus * 1e4), contrast=(1.0, 1.0))
            seed = (HELD_OUT, 3, number)
            optics = make_scene((64, 64), PARTICLE_PX, np.random.default_rng(seed), settings, molecule).optics
            for dose in doses:
                contrast = physical_contrast(molecule, optics, dose)
                scene, signal = with_signal((SIDE, SIDE), seed, replace(settings, contrast=(contrast, contrast)), molecule)
                points.append(Point(kind, defocus, dose, signal_to_noise(scene, signal), picked(picker, scene)))
    return points


def sweep(picker: Picker, contrast: float) -> list[Row]:
    """Score the pickers at one contrast, with all kinds of contamination and crowding."""
    settings = replace(SceneSettings(), diameter=(DIAMETER, DIAMETER), contrast=(contrast, contrast), strong=0, faint=0, empty=0)
    found = []
    for number, (_, molecule) in enumerate(molecules()):
        scene = make_scene((SIDE, SIDE), PARTICLE_PX, np.random.default_rng((HELD_OUT, 4, number)), settings, molecule)
        found.append(picked(picker, scene))
    return rows(f"dirty {contrast:g} sigma", picker, found)


def micrographs_of(number: int, contrast: float, count: int) -> list[Scene]:
    """Make scenes of one molecule, by its place in `molecules`, with all kinds of contamination and crowding."""
    _, molecule = molecules()[number]
    settings = replace(SceneSettings(), diameter=(DIAMETER, DIAMETER), contrast=(contrast, contrast), strong=0, faint=0, empty=0)
    streams = [np.random.default_rng((HELD_OUT, 5, number, k)) for k in range(count)]
    return [make_scene((SIDE, SIDE), PARTICLE_PX, rng, settings, molecule) for rng in streams]


def micrograph_of(scene: Scene) -> Micrograph:
    """Make a micrograph of a scene, as a picker wants it."""
    return Micrograph(scene.pixels, scene.pixel_size, "simulated")


def item_of(picker: Picker, scene: Scene) -> Item:
    """Pick a scene with a network."""
    return picker.score(micrograph_of(scene)), scene.centres, scene.diameter / scene.pixel_size / 4


def picked(picker: Picker, scene: Scene) -> Found:
    """Pick a scene, the only one that the working diameter can be chosen on, with all pickers."""
    micrograph = micrograph_of(scene)
    ours, given = item_of(tuned(picker, [micrograph]), scene), item_of(picker, scene)
    return Found(ours, given, (difference_of_gaussians(picker.prepare(micrograph)), *ours[1:]))


def rows(name: str, picker: Picker, found: Sequence[Found]) -> list[Row]:
    """Make the lines of the table for simulated scenes."""
    shapes = [(SIDE, SIDE)] * len(found)
    cuts = {"ganpick": picker.threshold, "as given": picker.threshold, "DoG": None}
    return [Row(name, who, items, shapes, cut) for (who, cut), items in zip(cuts.items(), zip(*found, strict=True), strict=True)]


def plot(points: Sequence[Point], threshold: float, floor_threshold: float, path: Path) -> None:
    """Draw F1 against signal-to-noise ratio: every scene by its defocus, and the medians of bins for both pickers."""
    import matplotlib.pyplot as plt

    ratio = np.array([point.snr for point in points])
    ours = np.array([evaluate([point.found.ganpick], threshold).f1 for point in points])
    floor = np.array([evaluate([point.found.floor], floor_threshold).f1 for point in points])
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for k, defocus in enumerate(sorted({point.defocus for point in points})):
        here = np.array([point.defocus == defocus for point in points])
        axes.plot(ratio[here], ours[here], "o", ms=3, alpha=0.6, color=f"C{k}", label=f"ganpick, {defocus:g} µm")
    bins = np.array_split(np.argsort(ratio), 10)
    middle = [float(np.median(ratio[part])) for part in bins]
    axes.plot(middle, [float(np.median(ours[part])) for part in bins], "k-", label="ganpick, median, default threshold")
    axes.plot(
        middle, [float(np.median(floor[part])) for part in bins], "k--", label="difference of Gaussians, median, best threshold"
    )
    axes.set(
        xlabel="signal-to-noise ratio inside particles, 16 pixels per diameter", ylabel="F1 at d/4", xscale="log", ylim=(0, 1.02)
    )
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)
