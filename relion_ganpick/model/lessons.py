"""What a model is adapted with: the user's micrographs, marked by the model itself, and synthetic pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from relion_ganpick.core.calibration import rescored
from relion_ganpick.core.localize import MARKER_RADIUS, peaks
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.core.settings import MIN_DISTANCE_DIAMETERS
from relion_ganpick.model.validate import mark
from relion_ganpick.synthesis.pairs import make_batch, markers

Image = NDArray[np.float32]


@dataclass(frozen=True)
class AdaptSettings:
    """What decides how a model is adapted.

    Attributes
    ----------
    rounds, steps
        Lessons, and updates in each.
    learning_rate
        Adam's.
    batch, crop
        Crops per update and their side in pixels.
    synthetic_share
        Share of synthetic pairs in a batch.
    sure, unsure
        Figures of merit from which a peak is a particle, and below which it is background.
    held_back
        Share of the micrographs that judge and are not learned from.
    calibration_scenes
        Number of synthetic scenes that calibrate the adapted model's figure of merit.
    seed
        Names all random streams.
    """

    rounds: int = 3
    steps: int = 300
    learning_rate: float = 3e-4
    batch: int = 8
    crop: int = 192
    synthetic_share: float = 0.3
    sure: float = 0.8
    unsure: float = 0.5
    held_back: float = 0.25
    calibration_scenes: int = 48
    seed: int = 1


@dataclass(frozen=True)
class Lesson:
    """One micrograph with the markers that the model gave it.

    Attributes
    ----------
    picture
        (h, w) float32, prepared for the generator.
    marker
        (h, w) float32 in [0, 1].
    weight
        (h, w) float32, 0 around unsure peaks.
    contaminated
        (h, w) float32 in [0, 1], what the model's second output says; the lesson is not to forget it.
    """

    picture: Image
    marker: Image
    weight: Image
    contaminated: Image


def turned_mark(generator: nn.Module, picture: Image, device: torch.device) -> list[Image]:
    """Mark a picture in four rotations, each turned back, 4 times (h, w) float32."""
    generator.eval()
    return [np.rot90(mark(generator, np.ascontiguousarray(np.rot90(picture, k)), device), -k).copy() for k in range(4)]


def lesson(
    generator: nn.Module,
    picture: Image,
    settings: AdaptSettings,
    device: torch.device,
    calibration: Mapping[str, Sequence[float]],
) -> tuple[Lesson, int]:
    """Sort the peaks of the averaged marks into sure, unsure and background; returns the lesson and the number of sure ones."""
    marked = np.asarray(np.mean(turned_mark(generator, picture, device), axis=0), dtype=np.float32)
    found = peaks(marked, PARTICLE_PX, MIN_DISTANCE_DIAMETERS * PARTICLE_PX)
    found = rescored(found, picture.size / PARTICLE_PX**2, calibration)
    sure = found.above(settings.sure)
    unsure = found.where((found.score < settings.sure) & (found.score >= settings.unsure))
    shape = (picture.shape[0], picture.shape[1])
    marker = markers(shape, sure.xy, MARKER_RADIUS * PARTICLE_PX)
    hidden = markers(shape, unsure.xy, 2 * MARKER_RADIUS * PARTICLE_PX)
    contaminated = mark(generator, picture, device, "contamination")
    return Lesson(picture, marker, np.where(marker > 0, np.float32(1), 1 - hidden), contaminated), len(sure)


def lesson_batch(lessons: list[Lesson], settings: AdaptSettings, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Crops of the lessons, turned and mirrored at random, and synthetic pairs.

    Returns
    -------
    pictures, targets, weights
        (batch, 1, crop, crop), (batch, 2, crop, crop) with markers and contamination, and (batch, 1, crop, crop) float32.
    """
    rng = np.random.default_rng((settings.seed, 1, step))
    n_synthetic = round(settings.synthetic_share * settings.batch)
    pictures, targets = make_batch(settings.seed, step, n_synthetic, settings.crop)
    rows = [np.concatenate([*pair, np.ones_like(pair[0])]) for pair in zip(pictures, targets, strict=True)]
    for _ in range(settings.batch - n_synthetic):
        chosen = lessons[int(rng.integers(len(lessons)))]
        top, left = (int(rng.integers(0, side - settings.crop + 1)) for side in chosen.picture.shape)
        turn, flip = int(rng.integers(4)), bool(rng.integers(2))
        window = (slice(top, top + settings.crop), slice(left, left + settings.crop))
        layers = (chosen.picture, chosen.marker, chosen.contaminated, chosen.weight)
        piece = np.rot90(np.stack([layer[window] for layer in layers]), turn, axes=(1, 2))
        rows.append(piece[:, :, ::-1] if flip else piece)
    stack = torch.from_numpy(np.stack(rows))
    return stack[:, :1], stack[:, 1:3], stack[:, 3:]
