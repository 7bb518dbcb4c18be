"""Average shapes of particles that a model is sure of, and their way into other places of the same micrographs."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from relion_ganpick.core.preprocess import PARTICLE_PX

Image = NDArray[np.float32]
Points = NDArray[np.float64]

HALF = int(np.ceil(PARTICLE_PX))
N_CLASSES, FEWEST_OF_CLASS = 8, 20
N_TURNS, N_ROUNDS = 24, 6
MOST_PATCHES = 600
INNER, OUTER = 0.55, 0.8
"""Diameters from the centre within which an average counts fully, and beyond which not at all."""


def class_averages(patches: Image, seed: int) -> Image:
    """Sort patches by what they look like, turned and mirrored as fits best, and average each class.

    The k-means of two-dimensional classification without its statistics (as in Penczek et al. 1992, multi-reference
    alignment): in turn every patch joins the class, rotation and mirror image that it correlates with best, and the classes
    become the means of what joined them. They begin as means of random parts.

    Parameters
    ----------
    patches
        (n, s, s) float32 of odd side, with the particle in the middle.
    seed
        Names the random streams.

    Returns
    -------
    (k, s, s) float32, on a background of 0 and faded out beyond the particle; of 8 classes those that at least 20 patches joined,
    and of fewer than 40 patches one; of none, none.
    """
    if not len(patches):
        return patches
    rng = np.random.default_rng((seed, 2))
    patches = patches[rng.permutation(len(patches))[:MOST_PATCHES]]
    n_classes = max(min(N_CLASSES, len(patches) // FEWEST_OF_CLASS), 1)
    fitted, member = sorted_patches(patches, n_classes, N_ROUNDS, rng)
    fade = _fade(patches.shape[1])
    kept = [k for k in range(n_classes) if (member == k).sum() >= min(FEWEST_OF_CLASS, len(patches))] or [
        int(np.bincount(member).argmax())
    ]
    return np.stack([_on_zero(fitted[member == k].mean(axis=0), fade) for k in kept])


def sorted_patches(patches: Image, n_classes: int, rounds: int, rng: np.random.Generator) -> tuple[Image, NDArray[np.intp]]:
    """Sort patches by what they look like, see `class_averages`.

    Returns
    -------
    fitted
        (n, s, s) float32, the patches turned and mirrored as fits their class best.
    member
        (n,) the class of each; some may stay empty.
    """
    fade = _fade(patches.shape[1])
    turned = np.stack([[_turned(each, k) for k in range(2 * N_TURNS)] for each in patches])
    looks = turned * fade
    looks = (looks - looks.mean(axis=(2, 3), keepdims=True) * (fade > 0)).reshape(*turned.shape[:2], -1)
    member = rng.integers(n_classes, size=len(patches))
    turn = np.zeros(len(patches), int)
    each = np.arange(len(patches))
    for _ in range(rounds):
        means = np.stack(
            [
                looks[each, turn][member == k].mean(axis=0) if (member == k).any() else looks[rng.integers(len(looks)), 0]
                for k in range(n_classes)
            ]
        )
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
        likeness = looks @ means.T
        best = likeness.reshape(len(looks), -1).argmax(axis=1)
        turn, member = best // n_classes, best % n_classes
    return turned[each, turn], member


def nearest_average(patches: Image, averages: Image) -> NDArray[np.intp]:
    """Find the average that each patch looks most like, see `best_fits`; (n,) numbers of averages."""
    return best_fits(patches, averages)[0]


def best_fits(patches: Image, averages: Image) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the average that each patch looks most like, turned and mirrored as fits best.

    The averages are turned instead of the patches, which makes it fast for many patches.

    Parameters
    ----------
    patches
        (n, s, s) float32.
    averages
        (k, s, s) float32.

    Returns
    -------
    nearest
        (n,) numbers of averages.
    turn
        (n,) how the patch must be turned to lie as the average does, see `turned_by`.
    """
    fade = _fade(patches.shape[-1])
    inside = fade > 0  # half of the pixels; the others count for nothing
    turned = np.stack([[_turned(each, k)[inside] for k in range(2 * N_TURNS)] for each in averages]) * fade[inside]
    means = turned.reshape(len(averages) * 2 * N_TURNS, -1)
    means = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    looks = patches * fade
    looks = looks[:, inside] - looks.mean(axis=(1, 2))[:, None]
    best = (looks @ means.T).argmax(axis=1)
    turn = best % (2 * N_TURNS)
    return np.asarray(best // (2 * N_TURNS)), np.asarray(np.where(turn < N_TURNS, -turn % N_TURNS, turn))


def turned_by(patches: Image, turn: NDArray[np.intp]) -> Image:
    """Turn each patch, (n, s, s) float32, by its number of 24 steps; from 24 on the mirror image, which is its own inverse."""
    return np.stack([_turned(patch, int(k)) for patch, k in zip(patches, turn, strict=True)])


def cut_out(picture: Image, centres: Points) -> Image:
    """Cut squares of two diameters around those centres that are far enough from the edge, (n, s, s) float32."""
    height, width = picture.shape
    at = np.rint(centres).astype(int).reshape(-1, 2)
    inside = ((at >= HALF) & (at < np.array([width, height]) - HALF)).all(axis=1)
    squares = [picture[y - HALF : y + HALF + 1, x - HALF : x + HALF + 1] for x, y in at[inside]]
    return np.stack(squares) if squares else np.empty((0, 2 * HALF + 1, 2 * HALF + 1), np.float32)


def free_places(
    allowed: NDArray[np.bool_], taken: Points, wanted: int, spacing: tuple[float, float], rng: np.random.Generator
) -> Points:
    """Find places for more particles: half of them beside one that is there already, as close as particles touch.

    Parameters
    ----------
    allowed
        (h, w) bool, where a centre may lie.
    taken
        (n, 2) centres that are there already.
    wanted
        Number of places; fewer are found where there is no room.
    spacing
        Smallest distance between centres in pixels, drawn anew for each place within these limits.

    Returns
    -------
    (m, 2) float64.
    """
    height, width = allowed.shape
    found: list[Points] = []
    for _ in range(4 * wanted):
        distance = rng.uniform(*spacing)
        centres = np.concatenate([taken.reshape(-1, 2), np.array(found).reshape(-1, 2)])
        if len(centres) and rng.random() < 0.5:
            angle = rng.uniform(0, 2 * np.pi)
            place = centres[rng.integers(len(centres))] + (distance + 0.1) * np.array([np.cos(angle), np.sin(angle)])
        else:
            place = rng.uniform((0, 0), (width - 1, height - 1))
        x, y = np.rint(place).astype(int)
        if not (0 <= x < width and 0 <= y < height and allowed[y, x]):
            continue
        if len(centres) and cKDTree(centres).query(place)[0] < distance:
            continue
        found.append(place)
        if len(found) == wanted:
            break
    return np.array(found).reshape(-1, 2)


def paste(picture: Image, shapes: Image, centres: Points, contrast: tuple[float, float], rng: np.random.Generator) -> Image:
    """Add shapes to a picture at centres, each one drawn at random, turned, and made fainter or stronger."""
    out = np.pad(picture, HALF + 1)
    middle = float(HALF)
    for x, y in centres:
        shape = shapes[rng.integers(len(shapes))]
        shape = shape[:, ::-1] if rng.integers(2) else shape
        column, row = int(np.floor(x)), int(np.floor(y))
        matrix = cv2.getRotationMatrix2D((middle, middle), rng.uniform(0, 360), 1.0)
        matrix[:, 2] += (x - column, y - row)
        turned = cv2.warpAffine(np.ascontiguousarray(shape), matrix, (2 * HALF + 2, 2 * HALF + 2))
        out[row + 1 : row + 2 * HALF + 3, column + 1 : column + 2 * HALF + 3] += np.float32(rng.uniform(*contrast)) * turned
    return out[HALF + 1 : -HALF - 1, HALF + 1 : -HALF - 1]


def _turned(patch: Image, k: int) -> Image:
    """Turn by k of 24 steps; from 24 on the mirror image."""
    side = patch.shape[0]
    matrix = cv2.getRotationMatrix2D((side // 2, side // 2), 360 / N_TURNS * (k % N_TURNS), 1.0)
    source = np.ascontiguousarray(patch[:, ::-1]) if k >= N_TURNS else patch
    return np.asarray(cv2.warpAffine(source, matrix, (side, side), borderMode=cv2.BORDER_REFLECT), dtype=np.float32)


def _away(side: int) -> NDArray[np.float64]:
    steps = np.arange(side) - side // 2
    return np.asarray(np.hypot(steps[:, None], steps[None, :])) / PARTICLE_PX


def _fade(side: int) -> Image:
    """1 on a particle, 0 far from it, a cosine between."""
    part = np.clip((_away(side) - INNER) / (OUTER - INNER), 0, 1)
    return np.asarray(0.5 * (1 + np.cos(np.pi * part)), dtype=np.float32)


def _on_zero(average: Image, fade: Image) -> Image:
    """Subtract what is around the particle and fade it out."""
    around = (fade > 0) & (fade < 0.5)
    return np.asarray((average - average[around].mean()) * fade, dtype=np.float32)


def pooled(pictures: Sequence[Image], centres: Sequence[Points]) -> Image:
    """Cut out the particles of several pictures, (n, s, s) float32."""
    return np.concatenate([cut_out(picture, points) for picture, points in zip(pictures, centres, strict=True)])
