"""Drawn particles: discs and molecules at a known contrast on even noise, picked by our External job; F1 at each contrast.

The contrast is the depth of a particle in standard deviations of the noise, where both are averaged to the scale at which a
particle is 16 pixels wide. Micrographs are drawn three times as fine, so that a particle fills 48 pixels there. Nothing else
is in them, and particles do not touch. No training draws from the random streams used here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from every_set import Find, Shown
from particles import Drawn, Image, Points, apart, typical_mass
from scipy.spatial.transform import Rotation
from scoring import Item
from stage import write_mrc

from relion_ganpick.core.evaluate import Figures, best_threshold, evaluate
from relion_ganpick.synthesis.molecules import project, random_molecule

CONTRASTS = (0.3, 0.5, 0.75, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
KINDS = ("disc", "globule", "dihedral", "shell")
STREAM = 52_000
DIAMETER = 180.0
DIAMETER_PX = 48
FINER = 3  # as many pixels for each one of the scale at which the contrast holds
SIDE = 1008
MICROGRAPHS = 3
TRIES = 400
SPACING = 1.2
MOST = 70
SOFTNESS = 0.04
VIEWS = 24


@dataclass(frozen=True)
class AtContrast:
    """What was found at one contrast: counts by default, and F1 at the best threshold."""

    kind: str
    contrast: float
    default: Figures
    best: float


def draw(kind: str, contrast: float, number: int, side: int = SIDE) -> Drawn:
    """Draw one micrograph.

    Parameters
    ----------
    kind
        "disc", or a kind of molecule.
    contrast
        Depth of the particles in sigma of the noise, see above.
    number
        Which of the micrographs of this kind; places and views depend on it, and not on the contrast.
    side
        In pixels.
    """
    rng = np.random.default_rng((STREAM, KINDS.index(kind), number))
    centres = places(side, rng)
    masks = [disc()] if kind == "disc" else views(kind)
    depth = np.zeros((side, side), np.float32)
    for x, y in centres.astype(int):
        mask = masks[int(rng.integers(len(masks)))]
        half = len(mask) // 2
        depth[y - half : y + half + 1, x - half : x + half + 1] += mask
    noise = FINER * rng.standard_normal((side, side), dtype=np.float32)
    return Drawn(noise - np.float32(contrast) * depth, centres)


def places(side: int, rng: np.random.Generator) -> Points:
    """Draw whole-pixel places that keep their distance from each other and from the edge, (n, 2) float64."""
    margin = int(0.75 * DIAMETER_PX) + 1
    tried = rng.integers(margin, side - margin, (TRIES, 2)).astype(np.float64)
    return apart(tried, SPACING * DIAMETER_PX, MOST)


def disc() -> Image:
    """Draw a disc of depth 1 with an even edge, (s, s) float32, s odd."""
    half = DIAMETER_PX // 2 + 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    return np.asarray(np.clip(DIAMETER_PX / 2 - np.hypot(x, y) + 0.5, 0, 1), np.float32)


def views(kind: str) -> list[Image]:
    """Project one molecule of a kind in many directions; its typical depth, root mean square over where it is, is 1."""
    molecule = random_molecule(np.random.default_rng((STREAM, 100, KINDS.index(kind))), kind=kind)
    turns = Rotation.from_quat(np.random.default_rng((STREAM, 101)).normal(size=(VIEWS, 4)))
    found = [project(molecule, turns[k], DIAMETER_PX, SOFTNESS, np.zeros(2)) for k in range(VIEWS)]
    typical = float(np.mean([typical_mass(view) for view in found]))
    shown = [view / typical for view in found]
    depth = float(np.sqrt(np.mean(np.concatenate([view[view > 0.3] for view in shown]) ** 2)))
    return [np.asarray(view / depth, np.float32) for view in shown]


def at_contrasts(find: Find, kinds: Sequence[str] = KINDS, contrasts: Sequence[float] = CONTRASTS) -> list[AtContrast]:
    """Draw and pick one job for each kind and contrast."""
    found = []
    for kind in kinds:
        for contrast in contrasts:
            with tempfile.TemporaryDirectory() as folder:
                drawn = [draw(kind, contrast, number) for number in range(MICROGRAPHS)]
                paths = [Path(folder) / f"{kind}_{number}.mrc" for number in range(MICROGRAPHS)]
                for path, each in zip(paths, drawn, strict=True):
                    write_mrc(path, each.pixels, DIAMETER / DIAMETER_PX)
                default, scored = find(Shown(paths, DIAMETER / DIAMETER_PX, DIAMETER))
            chosen: list[Item] = [(default[p], each.centres, DIAMETER_PX / 4) for p, each in zip(paths, drawn, strict=True)]
            every: list[Item] = [(scored[p], each.centres, DIAMETER_PX / 4) for p, each in zip(paths, drawn, strict=True)]
            figures = evaluate(chosen, -np.inf)
            found.append(AtContrast(kind, contrast, figures, max(best_threshold(every)[1].f1, figures.f1)))
    return found


def table(found: Sequence[AtContrast]) -> str:
    """Format a table: a line for each kind, a column for each contrast."""
    contrasts = list(dict.fromkeys(each.contrast for each in found))
    lines = [["drawn, sigma", *(f"{contrast:g}" for contrast in contrasts)], ["---"] * (len(contrasts) + 1)]
    for kind in dict.fromkeys(each.kind for each in found):
        here = {each.contrast: each for each in found if each.kind == kind}
        lines.append([kind, *(f"{here[c].default.f1:.3f} ({here[c].best:.3f})" if c in here else "" for c in contrasts)])
    pooled = [[each for each in found if each.contrast == c] for c in contrasts]
    lines.append(["all", *(f"{pooled_f1([each.default for each in part]):.3f}" for part in pooled)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def pooled_f1(parts: Sequence[Figures]) -> float:
    """F1 of counts added up."""
    return Figures(sum(p.hits for p in parts), sum(p.picks for p in parts), sum(p.truth for p in parts)).f1
