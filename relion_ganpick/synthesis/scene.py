"""A synthetic micrograph: particles with known centres among contamination, imaged and recorded with noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from relion_ganpick.synthesis import contamination
from relion_ganpick.synthesis.contamination import add_patch
from relion_ganpick.synthesis.imaging import Image, Optics, coloured_noise, contrast_transfer_function, transfer
from relion_ganpick.synthesis.molecules import Points, project, random_molecule, random_views

N_VIEWS = 24


@dataclass(frozen=True)
class Scene:
    """A synthetic micrograph and the truth about it.

    Attributes
    ----------
    pixels
        (h, w) float32; particles dark.
    centres
        (n, 2) float64, (x, y) in pixels, x = column and y = row; 0 is the centre of the first pixel.
    pixel_size
        Angstrom per pixel.
    diameter
        Longest extent of the particle in Angstrom.
    optics
        Settings of the microscope.
    """

    pixels: Image
    centres: NDArray[np.float64]
    pixel_size: float
    diameter: float
    optics: Optics


@dataclass(frozen=True)
class SceneSettings:
    """Ranges (low, high) that scenes are drawn from, and how often each kind of contamination occurs."""

    diameter: tuple[float, float] = (70.0, 420.0)
    defocus_angstrom: tuple[float, float] = (5000.0, 40000.0)
    contrast: tuple[float, float] = (0.6, 4.0)
    area_density: tuple[float, float] = (0.03, 0.75)
    spacing: tuple[float, float] = (0.6, 1.15)
    empty: float = 0.25
    phase_plate: float = 0.08
    ice: float = 0.3
    gold: float = 0.12
    carbon: float = 0.25
    ridges: float = 0.1
    debris: float = 0.25
    fragments: float = 0.35
    heaps: float = 0.2
    mottle: float = 0.3
    denoised: float = 0.35
    eight_bit: float = 0.25
    molecule: str | None = None


CLEAN = SceneSettings(
    empty=0, ice=0, gold=0, carbon=0, ridges=0, debris=0, fragments=0, heaps=0, mottle=0, denoised=0, eight_bit=0
)


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
    views, offsets = _views(molecule, diameter_px, rng)
    typical = float(np.mean([np.percentile(view[view > 0.02 * view.max()], 75) for view in views]))
    views = [view / typical for view in views]

    mass = np.zeros(shape, np.float32)
    empty = rng.random() < settings.empty
    centres = np.empty((0, 2))
    if not empty:
        centres = random_centres(shape, diameter_px, _density(settings.area_density, rng), rng.uniform(*settings.spacing), rng)
        which = rng.integers(0, len(views), len(centres))
        dimming = rng.uniform(0, 0.5)
        for centre, view in zip(centres, which, strict=True):
            add_patch(mass, views[view], centre + 0.5, weight=1 - dimming * rng.random())
        centres = np.floor(centres + 0.5) + offsets[which]
    particles = mass.copy()
    if rng.random() < settings.fragments:
        _add_fragments(mass, molecule, diameter_px, typical, rng)
    if rng.random() < settings.heaps:
        _add_heaps(mass, views, diameter_px, rng)
    mass, film = _add_contamination(mass, diameter_px, rng, settings)

    ctf = contrast_transfer_function(shape, pixel_size, optics)
    reference = particles if len(centres) else _lone_particle(shape, views[0])
    signal_scale = _signal_scale(transfer(reference, ctf), reference)
    contrast = _log_uniform(settings.contrast, rng)
    pixels = transfer(mass, ctf) * np.float32(contrast / signal_scale) + _noise(shape, ctf, film, rng)
    pixels = _record(pixels + _illumination(shape, rng), rng, settings)
    return Scene(pixels, centres, pixel_size, diameter, optics)


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


def random_centres(
    shape: tuple[int, int], diameter_px: float, area_density: float, spacing: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Throw particle centres that keep a minimum distance, evenly or gathered in patches.

    Parameters
    ----------
    shape
        (h, w) in pixels.
    diameter_px
        Particle diameter in pixels.
    area_density
        Share of the area that circles of one diameter cover, if there is room for as many.
    spacing
        Smallest distance between two centres, in diameters.

    Returns
    -------
    (n, 2) float64, (x, y).
    """
    wanted = int(area_density * shape[0] * shape[1] / (np.pi / 4 * diameter_px**2)) + 1
    size = np.array([shape[1], shape[0]], float)
    thrown = rng.uniform(0, 1, (3 * wanted + 10, 2)) * size
    if rng.random() < 0.3:
        hubs = rng.uniform(0, 1, (max(wanted // 12, 1), 2)) * size
        near = hubs[rng.integers(0, len(hubs), len(thrown))] + rng.normal(0, diameter_px * rng.uniform(1.0, 3.0), thrown.shape)
        thrown = np.where(rng.random((len(thrown), 1)) < rng.uniform(0.3, 0.9), near, thrown)
        thrown = thrown[((thrown > 0) & (thrown < size)).all(axis=1)]
    neighbours = cKDTree(thrown).query_ball_point(thrown, spacing * diameter_px)
    kept = np.zeros(len(thrown), bool)
    count = 0
    for index, near_by in enumerate(neighbours):
        if count == wanted:
            break
        if not kept[near_by].any():
            kept[index] = True
            count += 1
    return np.asarray(thrown[kept] - 0.5)


def _views(molecule: Points, diameter_px: float, rng: np.random.Generator) -> tuple[list[Image], NDArray[np.float64]]:
    offsets = rng.uniform(-0.5, 0.5, (N_VIEWS, 2))
    softness = rng.uniform(0.02, 0.06)
    rotations = random_views(N_VIEWS, rng)
    return [project(molecule, rotations[k], diameter_px, softness, offsets[k]) for k in range(N_VIEWS)], offsets


def _add_fragments(mass: Image, molecule: Points, diameter_px: float, typical: float, rng: np.random.Generator) -> None:
    """Pieces of the molecule, cut off by a plane: broken complexes and free subunits."""
    cut = rng.normal(size=3)
    along = molecule @ cut
    piece = molecule[along > np.quantile(along, rng.uniform(0.5, 0.85))]
    piece = piece - piece.mean(axis=0)
    views, _ = _views(piece, diameter_px, rng)
    n_pieces = int(mass.size / diameter_px**2 * rng.uniform(0.01, 0.15)) + 1
    for _ in range(n_pieces):
        centre = rng.uniform(0, 1, 2) * np.array([mass.shape[1], mass.shape[0]])
        add_patch(mass, views[int(rng.integers(N_VIEWS))] / np.float32(typical), centre, weight=len(piece) / len(molecule))


def _add_heaps(mass: Image, views: list[Image], diameter_px: float, rng: np.random.Generator) -> None:
    """Pile up particles so closely that nobody would pick one: aggregates."""
    for _ in range(int(rng.integers(1, 4))):
        hub = rng.uniform(0, 1, 2) * np.array([mass.shape[1], mass.shape[0]])
        spread = diameter_px * rng.uniform(0.5, 1.5)
        for _ in range(int(rng.integers(6, 30) * (spread / diameter_px) ** 2) + 3):
            add_patch(mass, views[int(rng.integers(len(views)))], hub + rng.normal(0, spread, 2))


def _add_contamination(
    mass: Image, diameter_px: float, rng: np.random.Generator, settings: SceneSettings
) -> tuple[Image, Image | None]:
    shape = (mass.shape[0], mass.shape[1])
    film = None
    if rng.random() < settings.carbon:
        carbon, film = contamination.carbon_film(shape, diameter_px, rng)
        mass = mass + carbon
    for share, layer in (
        (settings.ice, contamination.ice_crystals),
        (settings.gold, contamination.gold_beads),
        (settings.ridges, contamination.ridges),
        (settings.debris, contamination.debris),
        (settings.mottle, contamination.mottle),
    ):
        if rng.random() < share:
            mass = mass + layer(shape, diameter_px, rng)
    return mass, film


def _lone_particle(shape: tuple[int, int], view: Image) -> Image:
    layer = np.zeros(shape, np.float32)
    add_patch(layer, view, np.array([shape[1] / 2, shape[0] / 2]))
    return layer


def _signal_scale(signal: Image, mass: Image) -> float:
    """Typical depth of the imaged particles: root mean square where their mass lies."""
    inside = mass > 0.3
    return max(float(np.sqrt(np.mean(signal[inside] ** 2))), 1e-6) if inside.any() else 1.0


def _noise(shape: tuple[int, int], ctf: Image, film: Image | None, rng: np.random.Generator) -> Image:
    """Noise of unit variance: ice that was imaged like the particles, and the detector's own, of random colour."""
    ice = transfer(coloured_noise(shape, rng.uniform(0.0, 0.5), rng), ctf)
    ice /= max(float(ice.std()), 1e-6)
    detector = coloured_noise(shape, rng.uniform(-0.2, 0.6), rng)
    share = np.float32(rng.uniform(0, 0.8))
    noise = np.sqrt(share) * ice + np.sqrt(1 - share) * detector
    if film is not None:
        noise = noise * (1 + film * np.float32(rng.uniform(-0.3, 0.6)))
    return np.asarray(noise, dtype=np.float32)


def _illumination(shape: tuple[int, int], rng: np.random.Generator) -> Image:
    """Smooth unevenness of beam and ice, several standard deviations of the noise."""
    coarse = rng.normal(size=(int(rng.integers(2, 6)), int(rng.integers(2, 6)))).astype(np.float32)
    smooth = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth * np.float32(rng.uniform(0, 3)), dtype=np.float32)


def _record(pixels: Image, rng: np.random.Generator, settings: SceneSettings) -> Image:
    """Do what programs do to a picture before we see it: denoising, clipping, eight bits."""
    if rng.random() < settings.denoised:
        blur = cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.4, 1.5)))
        keep = np.float32(rng.uniform(0, 0.5) if rng.random() < 0.5 else 0)
        pixels = blur + keep * (pixels - blur)
    if rng.random() < settings.eight_bit:
        middle, spread = float(np.median(pixels)), float(pixels.std())
        reach = rng.uniform(2.5, 6.0)
        pixels = np.round(np.clip((pixels - middle) / (reach * spread), -1, 1) * 127) * np.float32(reach * spread / 127)
    return pixels.astype(np.float32)


def _density(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    """Crowded and sparse pictures alike: uniform in one half of the cases, log-uniform in the other."""
    return float(rng.uniform(*bounds)) if rng.random() < 0.5 else _log_uniform(bounds, rng)


def _log_uniform(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]))))
