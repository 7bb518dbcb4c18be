"""Synthetic data sets: several micrographs of one molecule, with what goes wrong in all of them and in some of them.

A set may be crowded or hold three particles on a micrograph, be faint or strong, clean or full of ice, film and rods; some of
its micrographs, or all, hold no particles. So nothing but the particles themselves tells whether there are any.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.preprocess import PARTICLE_PX, normalise
from relion_ganpick.synthesis.molecules import random_molecule
from relion_ganpick.synthesis.pairs import DIAMETER_ERROR
from relion_ganpick.synthesis.scene import make_scene
from relion_ganpick.synthesis.scene_settings import SceneSettings
from relion_ganpick.synthesis.textures import balls, crystalline, dried_film, granular, rods

Image = NDArray[np.float32]

SETS_STREAM = 192_837_465
SIZES, SIZE_SHARES = (1, 2, 3, 4, 6), (0.35, 0.2, 0.2, 0.15, 0.1)
SIDES_ALONE, SIDES = (260, 460), (200, 400)
PREVALENCES, PREVALENCE_SHARES = (0.0, 0.3, 0.8, 1.0), (0.5, 0.2, 0.15, 0.15)
SPREAD_IN_SET = 0.15  # of the contrast's logarithm
TEXTURES: tuple[tuple[Callable[..., Image], bool, float], ...] = (
    (granular, False, 0.22),
    (crystalline, False, 0.12),
    (dried_film, False, 0.1),
    (rods, True, 0.15),
    (balls, True, 0.25),
)
KINDS, KIND_SHARES = ("empty", "faint", "sparse", "any"), (0.25, 0.2, 0.25, 0.3)


@dataclass(frozen=True)
class SyntheticMicrograph:
    """One micrograph of a synthetic set: the prepared picture, (h, w) float32, and (n, 2) float64 true centres in its pixels."""

    picture: Image
    centres: NDArray[np.float64]


def make_set(seed: int, number: int) -> tuple[str, list[SyntheticMicrograph]]:
    """Make one set; the same seed and number give the same one.

    Returns
    -------
    kind
        "empty", "faint" (crowded and hardly visible), "sparse" or "any".
    micrographs
        One to six of them.
    """
    rng = np.random.default_rng((seed, SETS_STREAM, number))
    kind = str(rng.choice(KINDS, p=KIND_SHARES))
    n_micrographs = int(rng.choice(SIZES, p=SIZE_SHARES))
    sides = SIDES_ALONE if n_micrographs == 1 else SIDES
    diameter_px = PARTICLE_PX * float(np.clip(rng.normal(1.0, 0.12), *DIAMETER_ERROR))
    settings, contrast, density = _of_set(kind, rng)
    textures = [(make, spoils, float(rng.choice([0.3, 1.0]))) for make, spoils, share in TEXTURES if rng.random() < share]
    without = 1.0 if kind == "empty" else float(rng.choice([0.0, 0.15, 0.5], p=[0.6, 0.25, 0.15])) * (n_micrographs > 1)
    molecule = random_molecule(rng)
    micrographs = []
    for _ in range(n_micrographs):
        shape = (int(rng.integers(*sides)), int(rng.integers(*sides)))
        one = replace(
            settings,
            contrast=(contrast * float(np.exp(SPREAD_IN_SET * rng.normal())),) * 2,
            area_density=(float(np.clip(density * np.exp(0.4 * rng.normal()), 0.002, 0.8)),) * 2,
            empty=1.0 if rng.random() < without else 0.0,
        )
        scene = make_scene(shape, diameter_px, rng, one, molecule, _some_of(textures, rng))
        micrographs.append(SyntheticMicrograph(normalise(scene.pixels), scene.centres))
    return kind, micrographs


def _of_set(kind: str, rng: np.random.Generator) -> tuple[SceneSettings, float, float]:
    """Draw what the micrographs of a set have in common: how often each contamination occurs, contrast and density."""

    def often() -> float:
        return float(rng.choice(PREVALENCES, p=PREVALENCE_SHARES))

    dirt = {name: often() for name in ("ice", "gold", "carbon", "ridges", "debris", "fragments", "heaps", "mottle")}
    if kind == "empty":
        dirt |= {"fragments": 0.0, "heaps": 0.0}
    settings = replace(
        SceneSettings(),
        diameter=(_log_uniform(70, 420, rng),) * 2,
        clean=float(rng.choice([0.0, 0.3, 1.0], p=[0.6, 0.2, 0.2])),
        phase_plate=float(rng.random() < 0.08),
        denoised=float(rng.random() < 0.4),
        eight_bit=float(rng.random() < 0.25),
        gold=0.4 * dirt.pop("gold"),
        **dirt,
    )
    contrasts = {"empty": (0.4, 5.0), "faint": (0.3, 0.9), "sparse": (0.6, 6.0), "any": (0.4, 8.0)}[kind]
    densities = {"empty": (0.01, 0.5), "faint": (0.15, 0.75), "sparse": (0.005, 0.06), "any": (0.03, 0.75)}[kind]
    density = _log_uniform(*densities, rng) if kind == "sparse" or rng.random() < 0.4 else float(rng.uniform(*densities))
    return settings, _log_uniform(*contrasts, rng), density


def _some_of(
    textures: list[tuple[Callable[..., Image], bool, float]], rng: np.random.Generator
) -> Callable[[tuple[int, int], float, np.random.Generator], tuple[Image, Image]]:
    """Choose what lies in one micrograph of what occurs in its set."""
    chosen = [(make, spoils) for make, spoils, share in textures if rng.random() < share]

    def layers(shape: tuple[int, int], diameter_px: float, rng: np.random.Generator) -> tuple[Image, Image]:
        beside, spoiling = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        for make, spoils in chosen:
            layer = make(shape, diameter_px, rng)
            if spoils:
                spoiling += layer
            else:
                beside += layer
        return beside, spoiling

    return layers


def _log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
