"""Ranges that synthetic micrographs are drawn from, free of imports: the command line is filled from here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SceneSettings:
    """Ranges (low, high) that scenes are drawn from, and how often each kind of contamination occurs.

    Attributes
    ----------
    diameter
        Of the particle in Angstrom.
    defocus_angstrom
        Of the micrograph.
    contrast
        Depth of the imaged particles in standard deviations of the noise, at the working scale.
    area_density
        Share of the area that circles of one diameter cover.
    spacing
        Smallest distance between two centres in diameters.
    empty, clean
        Share of pictures without particles, and of those without any contamination.
    phase_plate
        Share of pictures taken with one.
    ice, gold, carbon, ridges, debris, fragments, heaps, mottle
        Share of the other pictures with this kind of contamination, see `contamination` and `crowd`.
    denoised, eight_bit
        Share of pictures that were smoothed, and that were stored in 8 bits.
    molecule
        Kind of the particles, None for a random one.
    """

    diameter: tuple[float, float] = (70.0, 420.0)
    defocus_angstrom: tuple[float, float] = (5000.0, 40000.0)
    contrast: tuple[float, float] = (0.5, 5.0)
    area_density: tuple[float, float] = (0.03, 0.75)
    spacing: tuple[float, float] = (0.6, 1.15)
    empty: float = 0.25
    clean: float = 0.2
    phase_plate: float = 0.08
    ice: float = 0.4
    gold: float = 0.12
    carbon: float = 0.25
    ridges: float = 0.1
    debris: float = 0.25
    fragments: float = 0.35
    heaps: float = 0.2
    mottle: float = 0.4
    denoised: float = 0.4
    eight_bit: float = 0.25
    molecule: str | None = None


CLEAN = SceneSettings(
    empty=0, clean=1, ice=0, gold=0, carbon=0, ridges=0, debris=0, fragments=0, heaps=0, mottle=0, denoised=0, eight_bit=0
)
