"""What a model is adapted with: the user's micrographs, marked by the model itself, and synthetic pairs."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from relion_ganpick.adaptation.averages import free_places, paste
from relion_ganpick.core.localize import MARKER_RADIUS, peaks
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.core.settings import MIN_DISTANCE_DIAMETERS
from relion_ganpick.model.forward import mark
from relion_ganpick.model.networks import CONTAMINATED
from relion_ganpick.model.weights import Model
from relion_ganpick.synthesis.pairs import make_batch, markers

Image = NDArray[np.float32]

DISC = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * int(PARTICLE_PX / 4) + 1,) * 2)


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
    pasted
        Most average particles that are added to a crop of a micrograph.
    contrast
        How much fainter or stronger than the average they are.
    spacing
        Smallest distance from the next particle, in diameters.
    held_back
        Share of the micrographs that judge and are not learned from.
    least_gain
        By how much the picks of turned micrographs must agree better than before for the adapted model to be taken.
    calibration_scenes
        Number of synthetic scenes that calibrate the adapted model's figure of merit.
    seed
        Names all random streams.
    """

    rounds: int = 1
    steps: int = 500
    learning_rate: float = 3e-4
    batch: int = 8
    crop: int = 128
    synthetic_share: float = 0.3
    sure: float = 0.8
    unsure: float = 0.2
    pasted: int = 6
    contrast: tuple[float, float] = (0.5, 1.1)
    spacing: tuple[float, float] = (0.6, 1.1)
    held_back: float = 0.25
    least_gain: float = 0.005
    calibration_scenes: int = 150
    seed: int = 1


@dataclass(frozen=True)
class Lesson:
    """One micrograph with the markers that the model gave it.

    Attributes
    ----------
    picture
        (h, w) float32, prepared for the generator.
    centres
        (n, 2) float64, the particles that it is sure of.
    marker
        (h, w) float32 in [0, 1].
    weight
        (h, w) float32, 0 around unsure peaks.
    contaminated
        (h, w) float32 in [0, 1], what the model's second output says; the lesson is not to forget it.
    """

    picture: Image
    centres: NDArray[np.float64]
    marker: Image
    weight: Image
    contaminated: Image


def turned_mark(generator: nn.Module, picture: Image, device: torch.device) -> list[Image]:
    """Mark a picture in four rotations, each turned back, 4 times (c, h, w) float32."""
    generator.eval()
    turned = [mark(generator, np.ascontiguousarray(np.rot90(picture, k))[None], device)[0] for k in range(4)]
    return [np.rot90(marked, -k, axes=(1, 2)).copy() for k, marked in enumerate(turned)]


def lesson(model: Model, picture: Image, settings: AdaptSettings, device: torch.device) -> Lesson:
    """Sort the peaks of the averaged marks into sure, unsure and background."""
    marked = np.asarray(np.mean(turned_mark(model.generator, picture, device), axis=0), dtype=np.float32)
    found = peaks(marked[0], PARTICLE_PX, MIN_DISTANCE_DIAMETERS * PARTICLE_PX)
    found = model.rescored(found, picture, marked)
    sure = found.above(settings.sure)
    unsure = found.where((found.score < settings.sure) & (found.score >= settings.unsure))
    shape = (picture.shape[0], picture.shape[1])
    marker = markers(shape, sure.xy, MARKER_RADIUS * PARTICLE_PX)
    hidden = markers(shape, unsure.xy, 2 * MARKER_RADIUS * PARTICLE_PX)
    contaminated = marked[1] if len(marked) > 1 else np.zeros_like(marker)
    return Lesson(picture, sure.xy, marker, np.where(marker > 0, np.float32(1), 1 - hidden), contaminated)


def lesson_batch(lessons: list[Lesson], shapes: Image, settings: AdaptSettings, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Crops of the lessons with average particles added to them, turned and mirrored at random, and synthetic pairs.

    Parameters
    ----------
    lessons
        What is known of the micrographs.
    shapes
        (k, s, s) float32, `averages.class_averages` of the sure particles.
    settings, step
        Sizes, seed, and what names the random stream.

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
        layers = np.stack(
            [layer[window] for layer in (chosen.picture, chosen.marker, chosen.contaminated, chosen.weight)], dtype=np.float32
        )
        _add_particles(layers, chosen.centres - (left, top), shapes, settings, rng)
        piece = np.rot90(layers, turn, axes=(1, 2))
        rows.append(piece[:, :, ::-1] if flip else piece)
    stack = torch.from_numpy(np.stack(rows))
    return stack[:, :1], stack[:, 1:3], stack[:, 3:]


def _add_particles(
    layers: Image, centres: NDArray[np.float64], shapes: Image, settings: AdaptSettings, rng: np.random.Generator
) -> None:
    """Add average particles to a crop in place, where nothing speaks against it: they are faint, close, and surely known.

    ``layers`` is (4, h, w): picture, markers, contamination, weight.
    """
    if not len(shapes):
        return
    picture, marker, contaminated, weight = layers
    unsure = cv2.dilate(((weight < 1) | (contaminated > CONTAMINATED)).astype(np.uint8), DISC)
    spacing = (settings.spacing[0] * PARTICLE_PX, settings.spacing[1] * PARTICLE_PX)
    places = free_places(unsure == 0, centres, int(rng.integers(settings.pasted + 1)), spacing, rng)
    layers[0] = paste(picture, shapes, places, settings.contrast, rng)
    layers[1] = np.maximum(marker, markers((marker.shape[0], marker.shape[1]), places, MARKER_RADIUS * PARTICLE_PX))
