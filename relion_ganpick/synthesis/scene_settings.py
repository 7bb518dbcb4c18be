"""Ranges that synthetic micrographs are drawn from, free of imports: the command line is filled from here.

A scene with what you choose, and nothing else, is made from `CLEAN`, in which every share is 0:

    make_scene(shape, 16.0, rng, replace(CLEAN, contrast=(0.5, 0.5), area_density=(0.4, 0.4)), molecule)
    make_scene(shape, 16.0, rng, replace(CLEAN, clean=0, ice=1, rods=1, empty=1))    # ice and rods, no particles
    make_scene(shape, 16.0, rng, replace(SceneSettings(), faint=0, strong=0, contrast=(1.0, 1.0)))    # anything, at 1 sigma
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True)
class SceneSettings:
    """Ranges (low, high) that scenes are drawn from, and how often each kind of contamination occurs.

    Attributes
    ----------
    diameter
        Of the particle in Angstrom. A real structure has its own.
    defocus_angstrom
        Of the micrograph.
    contrast
        Depth of the imaged particles in standard deviations of the noise, at the working scale.
    strong_contrast, faint_contrast
        The same for pictures that are strong, and for faint crowds.
    area_density, faint_density
        Share of the area that circles of one diameter cover; the same for faint crowds.
    spacing
        Smallest distance between two centres in diameters.
    strong, faint
        Share of pictures with particles that stand out, and of those crowded with hardly visible ones.
    empty, clean
        Share of pictures without particles, and of those without any contamination.
    phase_plate, drift
        Share of pictures taken with one, and of those that moved during the exposure.
    stain, flat
        Share of pictures in negative stain, particles in a bright halo, and of those with particles like hard discs.
    ice, gold, carbon, ridges, debris, fragments, heaps, mottle, rods, granular, crystalline, dried, foil
        Share of the pictures that are not clean with this kind of contamination, see `contamination`, `textures`,
        `filaments` and `crowd`.
    blank
        Share of pictures a part of which has no image: grid bars, the edge of the beam, cut corners (`edges`).
    denoised, eight_bit
        Share of pictures that were smoothed, and that were stored in 8 bits.
    regridded, aliased
        Share of pictures whose pixels were coarser or hardly finer than the working scale's, and of those that were
        shrunk by leaving pixels out; `pairs.random_scene` alone knows of them.
    real
        Share of pictures with a real structure (`structures`) where no kind of molecule is asked for.
    molecule
        Kind of the particles, one of `molecules.KINDS` or the name of a structure; None for a random one.
    """

    diameter: tuple[float, float] = (70.0, 420.0)
    defocus_angstrom: tuple[float, float] = (5000.0, 40000.0)
    contrast: tuple[float, float] = (0.3, 5.0)
    strong_contrast: tuple[float, float] = (5.0, 30.0)
    faint_contrast: tuple[float, float] = (0.25, 0.8)
    area_density: tuple[float, float] = (0.005, 0.75)
    faint_density: tuple[float, float] = (0.2, 0.75)
    spacing: tuple[float, float] = (0.6, 1.15)
    strong: float = 0.2
    faint: float = 0.15
    empty: float = 0.25
    clean: float = 0.2
    phase_plate: float = 0.08
    drift: float = 0.08
    stain: float = 0.06
    flat: float = 0.12
    ice: float = 0.4
    gold: float = 0.12
    carbon: float = 0.25
    ridges: float = 0.1
    debris: float = 0.25
    fragments: float = 0.35
    heaps: float = 0.2
    mottle: float = 0.35
    rods: float = 0.12
    granular: float = 0.12
    crystalline: float = 0.08
    dried: float = 0.07
    foil: float = 0.06
    blank: float = 0.08
    denoised: float = 0.4
    eight_bit: float = 0.25
    regridded: float = 0.3
    aliased: float = 0.06
    real: float = 0.33
    molecule: str | None = None


SHARES = tuple(each.name for each in fields(SceneSettings) if isinstance(each.default, float))
RANGES = tuple(each.name for each in fields(SceneSettings) if isinstance(each.default, tuple))
CLEAN = replace(SceneSettings(), **dict.fromkeys(SHARES, 0.0) | {"clean": 1.0})  # type: ignore[arg-type]
