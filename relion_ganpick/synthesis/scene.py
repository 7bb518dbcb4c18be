"""A synthetic micrograph: particles with known centres among contamination, imaged and recorded with noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from relion_ganpick.synthesis import contamination
from relion_ganpick.synthesis.contamination import add_patch
from relion_ganpick.synthesis.crowd import add_fragments, add_heaps, project_views, random_centres
from relion_ganpick.synthesis.imaging import Image, Optics, contrast_transfer_function, transfer
from relion_ganpick.synthesis.molecules import Points, random_molecule
from relion_ganpick.synthesis.recording import illumination, record, specimen_noise
from relion_ganpick.synthesis.scene_settings import CLEAN, SceneSettings

__all__ = ["CLEAN", "Scene", "SceneSettings", "make_scene", "random_centres", "random_optics"]

DENSE = 0.25
VISIBLE = 0.6
BURIED_DIAMETERS = 0.5
DROWNED_DIAMETERS = 1.5


@dataclass(frozen=True)
class Scene:
    """A synthetic micrograph and the truth about it.

    Attributes
    ----------
    pixels
        (h, w) float32; particles dark.
    centres
        (n, 2) float64, (x, y) in pixels, x = column and y = row; 0 is the centre of the first pixel. Particles that
        are buried in contamination, or shallower than what is around them, are in the picture but not here: nobody
        would pick them.
    contaminated
        (h, w) bool, True on ice crystals, gold, cracks, debris, aggregates and the edge of a film, as far as they show.
    pixel_size
        Angstrom per pixel.
    diameter
        Longest extent of the particle in Angstrom.
    optics
        Settings of the microscope.
    """

    pixels: Image
    centres: NDArray[np.float64]
    contaminated: NDArray[np.bool_]
    pixel_size: float
    diameter: float
    optics: Optics


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
        (n, 3) float64 in diameters, as `random_molecule` gives; a random one by default.

    Returns
    -------
    Scene
    """
    settings = settings or SceneSettings()
    diameter = _log_uniform(settings.diameter, rng)
    pixel_size = diameter / diameter_px
    optics = random_optics(rng, settings)
    if molecule is None:
        molecule = random_molecule(rng, kind=settings.molecule)
    views, offsets = project_views(molecule, diameter_px, rng)
    typical = float(np.mean([np.percentile(view[view > 0.02 * view.max()], 75) for view in views]))
    views = [view / typical for view in views]

    particles = np.zeros(shape, np.float32)
    centres = np.empty((0, 2))
    if rng.random() >= settings.empty:
        centres = random_centres(shape, diameter_px, _density(settings.area_density, rng), rng.uniform(*settings.spacing), rng)
        which = rng.integers(0, len(views), len(centres))
        dimming = rng.uniform(0, 0.5)
        for centre, view in zip(centres, which, strict=True):
            add_patch(particles, views[view], centre + 0.5, weight=1 - dimming * rng.random())
        centres = np.floor(centres + 0.5) + offsets[which]
    film, unwanted, other = None, np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    if rng.random() >= settings.clean:
        if rng.random() < settings.fragments:
            add_fragments(other, molecule, diameter_px, typical, rng)
        film_mass, film, unwanted = _contamination(shape, views, diameter_px, rng, settings)
        other += film_mass + unwanted
        if rng.random() < settings.mottle:
            other += contamination.mottle(shape, diameter_px, rng)

    ctf = contrast_transfer_function(shape, pixel_size, optics)
    signal, background = transfer(particles, ctf), transfer(other, ctf)
    alone = _lone_particle(shape, views[0])
    depth = _signal_scale(signal, particles) if len(centres) else _signal_scale(transfer(alone, ctf), alone)
    contrast = _log_uniform(settings.contrast, rng)
    pixels = (signal + background) * np.float32(contrast / depth) + specimen_noise(shape, ctf, film, rng)
    pixels = record(pixels + illumination(shape, rng), rng, settings.denoised, settings.eight_bit)
    contaminated = (unwanted > DENSE) & (unwanted * contrast > VISIBLE)
    seen = ~_buried(centres, contaminated, diameter_px) & ~_drowned(centres, background / depth, diameter_px)
    centres = centres[seen]
    return Scene(pixels, centres, contaminated, pixel_size, diameter, optics)


def random_optics(rng: np.random.Generator, settings: SceneSettings) -> Optics:
    """Draw the settings of the microscope: 200 or 300 kV, defocus, sometimes a phase plate."""
    optics = Optics(
        voltage_kv=float(rng.choice([200.0, 300.0])),
        spherical_aberration_mm=float(rng.choice([2.7, 2.7, 2.0, 0.01])),
        amplitude_contrast=float(rng.uniform(0.05, 0.15)),
        defocus_angstrom=_log_uniform(settings.defocus_angstrom, rng),
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


def _contamination(
    shape: tuple[int, int], views: list[Image], diameter_px: float, rng: np.random.Generator, settings: SceneSettings
) -> tuple[Image, Image | None, Image]:
    """Draw what is in the picture beside particles: the mass of a film, where the film is, and the mass of what spoils particles.

    A film alone does not spoil them: particles lie on carbon as well as in holes. Its edge does.
    """
    film_mass, unwanted = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    film = None
    if rng.random() < settings.heaps:
        add_heaps(unwanted, views, diameter_px, rng)
    if rng.random() < settings.carbon:
        film_mass, edge, film = contamination.carbon_film(shape, diameter_px, rng)
        unwanted += edge
    for share, layer in (
        (settings.ice, contamination.ice_crystals),
        (settings.gold, contamination.gold_beads),
        (settings.ridges, contamination.ridges),
        (settings.debris, contamination.debris),
    ):
        if rng.random() < share:
            unwanted += layer(shape, diameter_px, rng)
    return film_mass, film, unwanted


def _buried(centres: NDArray[np.float64], contaminated: NDArray[np.bool_], diameter_px: float) -> NDArray[np.bool_]:
    """Tell which particles have contamination on more than half of their middle, a square of half a diameter; (n,) bool."""
    share = uniform_filter(contaminated.astype(np.float32), max(round(BURIED_DIAMETERS * diameter_px), 1))
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
    return float(rng.uniform(*bounds)) if rng.random() < 0.5 else _log_uniform(bounds, rng)


def _log_uniform(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]))))
