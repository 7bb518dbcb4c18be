"""A synthetic micrograph: particles with known centres among contamination, imaged and recorded with noise.

What is in it is drawn from `SceneSettings`; see `scene_settings` for scenes with one chosen thing. A scene with the particle,
contrast and number that you want:

    molecule = random_molecule(rng, kind="dihedral")            # or points of your own, or structures.structure_points("6zu5")
    settings = replace(CLEAN, contrast=(0.5, 0.5), area_density=(0.4, 0.4))
    scene = make_scene((300, 300), 16.0, rng, settings, molecule)

``replace(settings, empty=1)`` gives the same without particles; ``clean=0, ice=1`` adds ice.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from relion_ganpick.synthesis.contamination import add_patch
from relion_ganpick.synthesis.crowd import flattened, project_views, random_centres, stained, typical_mass
from relion_ganpick.synthesis.edges import blank_area, fill_smoothly, without_image
from relion_ganpick.synthesis.imaging import Image, Optics, contrast_transfer_function, drift_envelope, transfer
from relion_ganpick.synthesis.molecules import Points, random_molecule
from relion_ganpick.synthesis.recording import illumination, record, specimen_noise
from relion_ganpick.synthesis.scene_settings import CLEAN, SceneSettings
from relion_ganpick.synthesis.structures import N_POINTS, random_structure_name, structure, structure_names, structure_points
from relion_ganpick.synthesis.surroundings import Surroundings, add_contamination
from relion_ganpick.synthesis.textures import log_uniform

__all__ = ["CLEAN", "Scene", "SceneSettings", "make_scene", "random_centres", "random_optics"]

DENSE = 0.25
VISIBLE = 0.6
BURIED_DIAMETERS = 0.5
DROWNED_DIAMETERS = 1.5
STRONG_WITH_LOOK = 0.5
ORDINARY = 4.0  # contrast in standard deviations at which contamination is as strong as it is drawn


@dataclass(frozen=True)
class Scene:
    """A synthetic micrograph and the truth about it.

    Attributes
    ----------
    pixels
        (h, w) float32; particles dark.
    centres
        (n, 2) float64, (x, y) in pixels, x = column and y = row; 0 is the centre of the first pixel. Particles that
        are buried in contamination, outside the image, or shallower than what is around them, are not here: nobody would
        pick them.
    contaminated
        (h, w) bool, True on ice crystals, gold, cracks, debris, aggregates and the edge of a film, as far as they show.
    pixel_size
        Angstrom per pixel.
    diameter
        Longest extent of the particle in Angstrom.
    optics
        Settings of the microscope.
    contrast
        Depth of the particles in standard deviations of the noise, before anything was smoothed.
    blank
        (h, w) bool, True where there is no image (`edges.without_image`).
    """

    pixels: Image
    centres: NDArray[np.float64]
    contaminated: NDArray[np.bool_]
    pixel_size: float
    diameter: float
    optics: Optics
    contrast: float = 1.0
    blank: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), np.bool_))


def make_scene(
    shape: tuple[int, int],
    diameter_px: float,
    rng: np.random.Generator,
    settings: SceneSettings | None = None,
    molecule: Points | None = None,
) -> Scene:
    """Simulate one micrograph.

    Parameters
    ----------
    shape
        (h, w) in pixels.
    diameter_px
        Particle diameter in pixels.
    rng
        Source of randomness; the same state gives the same scene.
    settings
        Ranges to draw from; `SceneSettings` by default.
    molecule
        (n, 3) float64 in diameters, as `random_molecule` gives; one of the settings' kind by default.

    Returns
    -------
    Scene
    """
    settings = settings or SceneSettings()
    if molecule is None:
        molecule, diameter = draw_molecule(settings, rng)
    else:
        diameter = log_uniform(*settings.diameter, rng)
    pixel_size = diameter / diameter_px
    optics = random_optics(rng, settings)
    views, offsets = project_views(molecule, diameter_px, rng)
    typical = typical_mass(views)
    views = [view / np.float32(typical) for view in views]
    look = _look(settings, rng)
    if look == "stain":
        views = stained(views, diameter_px, rng.uniform(0.2, 1.0), rng.uniform(0.06, 0.25))
    elif look == "flat":
        views = flattened(views, rng.uniform(0.1, 0.6))
    contrast, densities = _kind_of_picture(settings, look, rng)

    particles, centres = np.zeros(shape, np.float32), np.empty((0, 2))
    if rng.random() >= settings.empty:
        centres = random_centres(shape, diameter_px, _density(densities, rng), rng.uniform(*settings.spacing), rng)
        which = rng.integers(0, len(views), len(centres))
        dimming = rng.uniform(0, 0.5)
        for centre, view in zip(centres, which, strict=True):
            add_patch(particles, views[view], centre + 0.5, weight=1 - dimming * rng.random())
        centres = np.floor(centres + 0.5) + offsets[which]
    around = Surroundings(shape)
    if rng.random() >= settings.clean:
        # Ice and films are as thick beside a faint particle as beside any other: up to as strong as at an ordinary contrast.
        stronger = float((ORDINARY / contrast) ** rng.uniform(0, 1))
        add_contamination(around, views, molecule, typical, diameter_px, stronger, rng, settings)

    ctf = contrast_transfer_function(shape, pixel_size, optics)
    if rng.random() < settings.drift:
        turn, length = rng.uniform(0, 2 * np.pi), diameter_px * log_uniform(0.1, 1.0, rng)
        ctf = ctf * drift_envelope(shape, (length * np.cos(turn), length * np.sin(turn)))
    signal, background = transfer(particles, ctf), transfer(around.mass, ctf)
    if not len(centres):
        particles = _lone_particle(shape, views[0])
        depth = _signal_scale(transfer(particles, ctf), particles)
    else:
        depth = _signal_scale(signal, particles)
    pixels = (signal + background) * np.float32(contrast / depth) + specimen_noise(shape, ctf, around.film, rng)
    blank = blank_area(shape, diameter_px, rng) if rng.random() < settings.blank else np.zeros(shape, np.bool_)
    pixels = record(fill_smoothly(pixels + illumination(shape, rng), blank, diameter_px), rng, settings, diameter_px)
    pixels, blank = without_image(fill_smoothly(pixels, blank, diameter_px), blank, diameter_px, deepcopy(rng))
    contaminated = (around.unwanted > DENSE) & (around.unwanted * contrast > VISIBLE) & ~blank
    hidden = _covered(centres, contaminated | blank, diameter_px) | _drowned(centres, background / depth, diameter_px)
    return Scene(pixels, centres[~hidden], contaminated, pixel_size, diameter, optics, contrast, blank)


def random_optics(rng: np.random.Generator, settings: SceneSettings) -> Optics:
    """Draw the settings of the microscope: 200 or 300 kV, defocus, sometimes a phase plate."""
    optics = Optics(
        voltage_kv=float(rng.choice([200.0, 300.0])),
        spherical_aberration_mm=float(rng.choice([2.7, 2.7, 2.0, 0.01])),
        amplitude_contrast=float(rng.uniform(0.05, 0.15)),
        defocus_angstrom=log_uniform(*settings.defocus_angstrom, rng),
        b_factor=float(rng.uniform(50, 400)),
    )
    optics = replace(
        optics,
        astigmatism_angstrom=optics.defocus_angstrom * rng.uniform(0, 0.05),
        astigmatism_angle=float(rng.uniform(0, np.pi)),
    )
    if rng.random() < settings.phase_plate:
        optics = replace(optics, phase_shift=float(rng.uniform(0.3, 2.0)), defocus_angstrom=float(rng.uniform(3000, 12000)))
    return optics


def draw_molecule(settings: SceneSettings, rng: np.random.Generator) -> tuple[Points, float]:
    """Draw what the particles are and how long, in Angstrom: a real structure has its own length if the settings allow it."""
    diameter = log_uniform(*settings.diameter, rng)
    name = settings.molecule
    if name is None and rng.random() < settings.real:
        name = random_structure_name(rng)
    if name not in structure_names():
        return random_molecule(rng, kind=name), diameter
    return structure_points(name, N_POINTS, rng), float(np.clip(structure(name).diameter, *settings.diameter))


def _look(settings: SceneSettings, rng: np.random.Generator) -> str:
    """Draw how particles look: "stain", "flat", or "" as they are."""
    chosen = rng.random()
    return "stain" if chosen < settings.stain else "flat" if chosen < settings.stain + settings.flat else ""


def _kind_of_picture(settings: SceneSettings, look: str, rng: np.random.Generator) -> tuple[float, tuple[float, float]]:
    """Draw the contrast, and tell the range of densities: ordinary, with strong particles, or crowded with faint ones.

    Stained and flat particles are strong in one half of the pictures, where there are strong ones at all.
    """
    strong = max(settings.strong, STRONG_WITH_LOOK) if look and settings.strong else settings.strong
    chosen = rng.random()
    if chosen < strong:
        return log_uniform(*settings.strong_contrast, rng), settings.area_density
    if chosen < strong + settings.faint:
        return log_uniform(*settings.faint_contrast, rng), settings.faint_density
    return log_uniform(*settings.contrast, rng), settings.area_density


def _covered(centres: NDArray[np.float64], layer: NDArray[np.bool_], diameter_px: float) -> NDArray[np.bool_]:
    """Tell which particles have a layer on more than half of their middle, a square of half a diameter; (n,) bool."""
    share = uniform_filter(layer.astype(np.float32), max(round(BURIED_DIAMETERS * diameter_px), 1))
    return np.asarray(_at(share, centres) > 0.5)


def _drowned(centres: NDArray[np.float64], background: Image, diameter_px: float) -> NDArray[np.bool_]:
    """Tell which particles are shallower than what lies around them, the grain of a carbon film for example; (n,) bool.

    ``background`` is in units of a particle's depth; its root mean square in a square of 1.5 diameters is what counts.
    """
    power = uniform_filter(background**2, round(DROWNED_DIAMETERS * diameter_px))
    return np.asarray(_at(power, centres) > 1)


def _at(layer: Image, centres: NDArray[np.float64]) -> NDArray[np.float32]:
    """Values of a picture at the pixels that centres lie in, or at the nearest ones inside; (n,) float32."""
    column, row = (np.clip(np.rint(centres[:, k]).astype(int), 0, layer.shape[1 - k] - 1) for k in (0, 1))
    return np.asarray(layer[row, column])


def _lone_particle(shape: tuple[int, int], view: Image) -> Image:
    layer = np.zeros(shape, np.float32)
    add_patch(layer, view, np.array([shape[1] / 2, shape[0] / 2]))
    return layer


def _signal_scale(signal: Image, mass: Image) -> float:
    """Typical depth of the imaged particles: root mean square where their mass lies."""
    inside = mass > 0.3
    return max(float(np.sqrt(np.mean(signal[inside] ** 2))), 1e-6) if inside.any() else 1.0


def _density(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    """Crowded and sparse pictures alike: uniform in one half of the cases, log-uniform in the other."""
    return float(rng.uniform(*bounds)) if rng.random() < 0.5 else log_uniform(*bounds, rng)
