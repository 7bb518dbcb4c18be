"""Synthetic data sets: several micrographs of one molecule, with what goes wrong in all of them and in some of them.

A set may be crowded or hold three particles on a micrograph, be faint or strong, clean or full of ice, film and rods; some of
its micrographs, or all, hold no particles. So nothing but the particles themselves tells whether there are any.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.blank import Mask
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.synthesis.grid import left_out, resized
from relion_ganpick.synthesis.molecules import Points
from relion_ganpick.synthesis.pairs import COARSER, DIAMETER_ERROR, prepared_with_blank
from relion_ganpick.synthesis.scene import Scene, draw_molecule, make_scene
from relion_ganpick.synthesis.scene_settings import SceneSettings
from relion_ganpick.synthesis.textures import log_uniform

Image = NDArray[np.float32]

SETS_STREAM = 192_837_465
SIZES, SIZE_SHARES = (1, 2, 3, 4, 6, 10), (0.35, 0.2, 0.15, 0.15, 0.1, 0.05)
SIDES_ALONE, SIDES = (260, 460), (200, 400)
PREVALENCES = (0.3, 0.7, 1.0)
# How much more often than in training's scenes a kind of contamination occurs in a set, and the most. In dirty sets it is more:
# as often with particles as without, so that no dirt says that there are none.
MORE_OFTEN, MOST_OFTEN = 1.6, 0.6
DIRTY, MORE_IN_DIRTY = 0.5, 3.0
IN_PART = (
    "ice",
    "gold",
    "carbon",
    "ridges",
    "debris",
    "fragments",
    "heaps",
    "mottle",
    "rods",
    "granular",
    "crystalline",
    "dried",
)
ALWAYS = ("phase_plate", "stain", "flat", "denoised", "eight_bit")
BLIND, BLINDNESS = 0.3, (1.0, 6.0)
CONTRAST_SPREAD, DENSITY_SPREAD = 0.15, 0.4  # of logarithms, between the micrographs of a set
WITHOUT, WITHOUT_SHARES = (0.0, 0.15, 0.5), (0.6, 0.25, 0.15)

# Share of the kinds of sets, and from what their contrast and the covered share of the area are drawn.
KINDS: dict[str, tuple[float, tuple[float, float], tuple[float, float]]] = {
    "empty": (0.3, (0.4, 6.0), (0.01, 0.5)),
    "faint": (0.25, (0.25, 0.9), (0.15, 0.75)),
    "sparse": (0.2, (0.6, 8.0), (0.005, 0.08)),
    "any": (0.25, (0.4, 15.0), (0.03, 0.75)),
}


@dataclass(frozen=True)
class SyntheticMicrograph:
    """One micrograph of a synthetic set.

    Attributes
    ----------
    picture
        (h, w) float32, prepared.
    centres
        (n, 2) float64, the true centres in its pixels.
    blank
        (h, w) bool, where in it no image was found; None where there is image everywhere.
    """

    picture: Image
    centres: NDArray[np.float64]
    blank: Mask | None = None


@dataclass(frozen=True)
class SyntheticSet:
    """Several micrographs of one molecule.

    Attributes
    ----------
    kind
        One of `KINDS`: "empty", "faint" (crowded and hardly visible), "sparse" or "any".
    micrographs
        One to ten of them.
    blindness
        What is taken off the log odds of the generator's marks, at least 0. Some molecules are unlike all that a generator was
        trained with, and it hardly marks them, though they can be seen; a judge learns that this happens.
    """

    kind: str
    micrographs: list[SyntheticMicrograph]
    blindness: float = 0.0


def make_set(seed: int, number: int, settings: SceneSettings | None = None) -> SyntheticSet:
    """Make one set; the same seed and number give the same one.

    Parameters
    ----------
    seed, number
        Name the random stream.
    settings
        How often each kind of contamination and of recording occurs; by default as in training.
    """
    rng = np.random.default_rng((seed, SETS_STREAM, number))
    settings = settings or SceneSettings()
    kind = str(rng.choice(list(KINDS), p=[share for share, _, _ in KINDS.values()]))
    molecule, diameter = draw_molecule(settings, rng)
    _, contrasts, densities = KINDS[kind]
    contrast = log_uniform(*contrasts, rng)
    density = log_uniform(*densities, rng) if kind == "sparse" or rng.random() < 0.4 else float(rng.uniform(*densities))
    n_micrographs = int(rng.choice(SIZES, p=SIZE_SHARES))
    without = 1.0 if kind == "empty" else float(rng.choice(WITHOUT, p=WITHOUT_SHARES)) * (n_micrographs > 1)
    common = replace(_of_set(kind, settings, rng), diameter=(diameter, diameter))
    grid, chosen = 1.0, rng.random()
    if chosen < settings.aliased + settings.regridded:
        grid = 0.5 if chosen < settings.aliased else log_uniform(*COARSER, rng)
    diameter_px = PARTICLE_PX * float(np.clip(rng.normal(1.0, 0.12), *DIAMETER_ERROR))
    micrographs = []
    for _ in range(n_micrographs):
        one = replace(
            common,
            contrast=(contrast * float(np.exp(CONTRAST_SPREAD * rng.normal())),) * 2,
            area_density=(float(np.clip(density * np.exp(DENSITY_SPREAD * rng.normal()), 0.002, 0.8)),) * 2,
            empty=float(rng.random() < without),
        )
        scene = _scene(SIDES_ALONE if n_micrographs == 1 else SIDES, diameter_px, grid, one, molecule, rng)
        picture, blank = prepared_with_blank(scene)
        micrographs.append(SyntheticMicrograph(picture, scene.centres, blank))
    blindness = float(rng.uniform(*BLINDNESS)) if rng.random() < BLIND else 0.0
    return SyntheticSet(kind, micrographs, blindness)


def _of_set(kind: str, settings: SceneSettings, rng: np.random.Generator) -> SceneSettings:
    """Draw what the micrographs of a set have in common: in what share of them each kind of contamination occurs."""
    shares: dict[str, float] = {}
    more = MORE_IN_DIRTY if rng.random() < DIRTY else 1.0
    for name in IN_PART:
        occurs = rng.random() < min(more * MORE_OFTEN * getattr(settings, name), MOST_OFTEN)
        shares[name] = float(rng.choice(PREVALENCES)) if occurs else 0.0
    for name in ALWAYS:
        shares[name] = float(rng.random() < getattr(settings, name))
    if kind == "empty":  # what is made of particles has no place there
        shares |= {"fragments": 0.0, "heaps": 0.0}
    clean = float(rng.choice([0.0, 0.3, 1.0], p=[0.8, 0.1, 0.1]))
    return replace(settings, clean=clean, strong=0.0, faint=0.0, **shares)  # type: ignore[arg-type]


def _scene(
    sides: tuple[int, int],
    diameter_px: float,
    grid: float,
    settings: SceneSettings,
    molecule: Points,
    rng: np.random.Generator,
) -> Scene:
    """Simulate one micrograph on pixels ``grid`` times as large as those of the working scale, and bring it there."""
    shape = int(rng.integers(*sides)), int(rng.integers(*sides))
    if grid == 1:
        return make_scene(shape, diameter_px, rng, settings, molecule)
    scene = make_scene((round(shape[0] / grid), round(shape[1] / grid)), diameter_px / grid, rng, settings, molecule)
    return left_out(scene) if grid == 0.5 else resized(scene, shape)
