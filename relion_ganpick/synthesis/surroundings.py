"""What lies around the particles of one picture: every kind of contamination, each with its probability."""

from __future__ import annotations

import numpy as np

from relion_ganpick.synthesis import contamination, filaments, textures
from relion_ganpick.synthesis.crowd import add_fragments, add_heaps
from relion_ganpick.synthesis.edges import foil
from relion_ganpick.synthesis.imaging import Image
from relion_ganpick.synthesis.molecules import Points
from relion_ganpick.synthesis.scene_settings import SceneSettings


class Surroundings:
    """Layers of mass beside particles, in units of the mass that a particle typically projects.

    Attributes
    ----------
    mass
        (h, w) float32, everything together.
    unwanted
        (h, w) float32, the part of it that spoils particles. A texture or a film alone does not: particles lie on carbon as
        well as in holes, and in granular ice as well as in good ice. Its edge does.
    film
        (h, w) float32, 1 on a film and 0 beside it; None where there is none.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.mass, self.unwanted = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self.film: Image | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) in pixels."""
        return self.mass.shape[0], self.mass.shape[1]


def add_contamination(
    around: Surroundings,
    views: list[Image],
    molecule: Points,
    typical: float,
    diameter_px: float,
    stronger: float,
    rng: np.random.Generator,
    settings: SceneSettings,
) -> None:
    """Draw what is in the picture beside particles.

    Parameters
    ----------
    around
        Where it is added.
    views
        Of the particle, in units of its typical mass.
    molecule, typical
        The particle's points, and its typical mass.
    stronger
        What everything is multiplied with that is not made of particles.
    """
    particles_alike = np.zeros(around.shape, np.float32)
    if rng.random() < settings.fragments:
        add_fragments(particles_alike, molecule, diameter_px, typical, rng)
    if rng.random() < settings.mottle:
        particles_alike += textures.mottle(around.shape, diameter_px, rng)
    _add_unwanted(around, diameter_px, rng, settings)
    _add_textures(around, diameter_px, rng, settings)
    around.mass *= np.float32(stronger)
    around.unwanted *= np.float32(stronger)
    if rng.random() < settings.heaps:
        heaps = np.zeros(around.shape, np.float32)
        add_heaps(heaps, views, diameter_px, rng)
        around.unwanted += heaps
        particles_alike += heaps
    around.mass += particles_alike


def _add_unwanted(around: Surroundings, diameter_px: float, rng: np.random.Generator, settings: SceneSettings) -> None:
    for share, layer in (
        (settings.ice, contamination.ice_crystals),
        (settings.gold, contamination.gold_beads),
        (settings.ridges, filaments.ridges),
        (settings.rods, filaments.rods),
        (settings.debris, contamination.debris),
    ):
        if rng.random() < share:
            mass = layer(around.shape, diameter_px, rng)
            around.unwanted += mass
            around.mass += mass
    if rng.random() < settings.dried:
        mass = textures.dried_film(around.shape, diameter_px, rng)
        around.mass += mass
        around.unwanted += textures.soften(mass, diameter_px / 4)
    if rng.random() < settings.foil:
        mass, cover = foil(around.shape, diameter_px, rng)
        around.mass += mass
        around.unwanted = np.maximum(around.unwanted, cover)


def _add_textures(around: Surroundings, diameter_px: float, rng: np.random.Generator, settings: SceneSettings) -> None:
    if rng.random() < settings.carbon:
        film_mass, edge, around.film = contamination.carbon_film(around.shape, diameter_px, rng)
        around.mass += film_mass + edge
        around.unwanted += edge
    if rng.random() < settings.granular:
        around.mass += textures.granular_ice(around.shape, diameter_px, rng)
    if rng.random() < settings.crystalline:
        around.mass += textures.crystalline_ice(around.shape, diameter_px, rng)
