"""Adapt a model to the user's own micrographs without one label.

The paper's idea carried through: what the model is sure of becomes the truth of the next lesson. In each round the averaged
marks of four rotations are sorted into sure particles, unsure ones that do not count, and background; the generator is
fine-tuned on crops of the micrographs with these markers, mixed with synthetic pairs so that it does not forget what a
particle is. Some micrographs are held back; the adapted model is kept only if its picks agree better with themselves when
those micrographs are turned.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.evaluate import evaluate
from relion_ganpick.core.localize import MARKER_RADIUS, peaks
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.core.settings import MIN_DISTANCE_DIAMETERS
from relion_ganpick.model.validate import calibrate, mark, validation_items
from relion_ganpick.model.weights import Model
from relion_ganpick.synthesis.pairs import make_batch, markers

Image = NDArray[np.float32]

FEWEST_SURE = 50


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
        Raw figures of merit from which a peak is a particle, and below which it is background.
    held_back
        Share of the micrographs that judge and are not learned from.
    seed
        Names all random streams.
    """

    rounds: int = 2
    steps: int = 300
    learning_rate: float = 3e-4
    batch: int = 8
    crop: int = 192
    synthetic_share: float = 0.3
    sure: float = 0.9
    unsure: float = 0.3
    held_back: float = 0.25
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
    """

    picture: Image
    marker: Image
    weight: Image


def adapt(
    model: Model,
    pictures: Sequence[Image],
    settings: AdaptSettings | None = None,
    device: torch.device | None = None,
    say: Callable[[str], None] = print,
) -> Model | None:
    """Fine-tune a model on prepared micrographs of one particle.

    Parameters
    ----------
    model
        Where to begin; it is not changed.
    pictures
        At least two micrographs, each (h, w) float32 as `Picker.prepare` gives them.
    settings
        By default two rounds of 300 steps.
    device
        Where to train; the CPU by default.
    say
        Takes lines about the progress.

    Returns
    -------
    The adapted model with its own calibration and card, or None if it is no better by its own measure.

    Raises
    ------
    GanpickError
        If there are too few micrographs or too few sure particles to learn from.
    """
    if model.card.network["kind"] != "unet":
        raise GanpickError(f"model {model.card.name} is of the paper's kind, which cannot be adapted: take the default one")
    settings, device = settings or AdaptSettings(), device or torch.device("cpu")
    learned, judged = _split(pictures, settings)
    generator = copy.deepcopy(model.generator).to(device).requires_grad_(True)
    before = agreement(model.generator.to(device), judged, device, model.card.metrics.get("raw_threshold", 0.5))
    for number in range(settings.rounds):
        lessons = [lesson(generator, picture, settings, device) for picture in learned]
        n_sure = sum(int(each[1]) for each in lessons)
        if n_sure < FEWEST_SURE:
            raise GanpickError(
                f"only {n_sure} sure particles in {len(learned)} micrographs, at least {FEWEST_SURE} are needed to adapt: "
                "give more micrographs, or check the diameter"
            )
        loss = _fine_tune(generator, [each[0] for each in lessons], settings, number, device)
        say(f"adapt: round {number + 1} of {settings.rounds}: {n_sure} sure particles, loss {loss:.4f}")
    generator.eval().requires_grad_(False)
    items = validation_items(generator, device, settings.seed, int(model.card.training.get("validation_scenes", 48)))
    calibration, threshold, figures = calibrate(items)
    after = agreement(generator, judged, device, figures["raw_threshold"])
    say(f"adapt: picks of turned micrographs agree to {before:.4f} before and {after:.4f} after ({len(judged)} held back)")
    if after <= before:
        return None
    card = replace(
        model.card,
        name=f"{model.card.name}-adapted",
        calibration=calibration,
        threshold=threshold,
        metrics=figures | {"agreement_before": round(before, 4), "agreement": round(after, 4)},
        training=model.card.training | {"adapted": asdict(settings) | {"from": model.card.sha256}},
        data=model.card.data + f"; adapted without labels to {len(learned)} micrographs of the user",
    )
    return Model(generator.cpu(), card)


def turned_mark(generator: nn.Module, picture: Image, device: torch.device) -> list[Image]:
    """Mark a picture in four rotations, each turned back, 4 times (h, w) float32."""
    generator.eval()
    return [np.rot90(mark(generator, np.ascontiguousarray(np.rot90(picture, k)), device), -k).copy() for k in range(4)]


def lesson(generator: nn.Module, picture: Image, settings: AdaptSettings, device: torch.device) -> tuple[Lesson, int]:
    """Sort the peaks of the averaged marks into sure, unsure and background; returns the lesson and the number of sure ones."""
    marked = np.asarray(np.mean(turned_mark(generator, picture, device), axis=0), dtype=np.float32)
    found = peaks(marked, PARTICLE_PX, MIN_DISTANCE_DIAMETERS * PARTICLE_PX)
    sure = found.above(settings.sure)
    unsure = found.where((found.score < settings.sure) & (found.score >= settings.unsure))
    shape = (picture.shape[0], picture.shape[1])
    marker = markers(shape, sure.xy, MARKER_RADIUS * PARTICLE_PX)
    hidden = markers(shape, unsure.xy, 2 * MARKER_RADIUS * PARTICLE_PX)
    return Lesson(picture, marker, np.where(marker > 0, np.float32(1), 1 - hidden)), len(sure)


def agreement(generator: nn.Module, pictures: Sequence[Image], device: torch.device, threshold: float) -> float:
    """Tell how well the picks of each rotation agree with the others': mean F1 at a quarter diameter, no label needed.

    An unsure model finds other particles when the picture is turned; so does one that follows the noise.
    """
    items: list[tuple[Picks, NDArray[np.float64], float]] = []
    for picture in pictures:
        found = [
            peaks(marked, PARTICLE_PX, MIN_DISTANCE_DIAMETERS * PARTICLE_PX).above(threshold)
            for marked in turned_mark(generator, picture, device)
        ]
        items += [(a, b.xy, PARTICLE_PX / 4) for a, b in zip(found, found[1:] + found[:1], strict=True)]
    return evaluate(items).f1


def _split(pictures: Sequence[Image], settings: AdaptSettings) -> tuple[list[Image], list[Image]]:
    if len(pictures) < 2:
        raise GanpickError(f"{len(pictures)} micrographs are too few to adapt to: at least two are needed, one of them to judge")
    if min(min(picture.shape) for picture in pictures) < settings.crop:
        small = min(min(picture.shape) for picture in pictures)
        raise GanpickError(f"micrographs of {small / PARTICLE_PX:.1f} diameters across are too small to adapt to")
    order = np.random.default_rng((settings.seed, 0)).permutation(len(pictures))
    n_judged = max(round(settings.held_back * len(pictures)), 1)
    return [pictures[k] for k in order[n_judged:]], [pictures[k] for k in order[:n_judged]]


def _fine_tune(generator: nn.Module, lessons: list[Lesson], settings: AdaptSettings, number: int, device: torch.device) -> float:
    """Update the generator on crops of the lessons and synthetic pairs; returns the mean loss of the last tenth."""
    generator.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(generator.parameters(), settings.learning_rate, (0.5, 0.999))
    bfloat16 = device.type == "cuda" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    losses = []
    for step in range(settings.steps):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * min(1.0, 2 * (1 - step / settings.steps))
        picture, marker, weight = (each.to(device) for each in _batch(lessons, settings, number * settings.steps + step))
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            logits = generator(picture.contiguous(memory_format=torch.channels_last))
        loss = _weighted_loss(logits.float(), marker, weight)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(generator.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    return float(np.mean(losses[-max(len(losses) // 10, 1) :]))


def _weighted_loss(logits: Tensor, marker: Tensor, weight: Tensor) -> Tensor:
    """Cross entropy plus 1 - Dice over the pixels that count."""
    entropy = (F.binary_cross_entropy_with_logits(logits, marker, reduction="none") * weight).sum() / weight.sum().clamp(min=1)
    probability = torch.sigmoid(logits) * weight
    overlap = 2 * (probability * marker).sum() + 1
    return entropy + 1 - overlap / (probability.sum() + (marker * weight).sum() + 1)


def _batch(lessons: list[Lesson], settings: AdaptSettings, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Crops of the lessons, turned and mirrored at random, and synthetic pairs, each (batch, 1, crop, crop)."""
    rng = np.random.default_rng((settings.seed, 1, step))
    n_synthetic = round(settings.synthetic_share * settings.batch)
    pictures, targets = make_batch(settings.seed, step, n_synthetic, settings.crop)
    parts = [[*pictures[:, 0]], [*targets[:, 0]], [np.ones((settings.crop, settings.crop), np.float32)] * n_synthetic]
    for _ in range(settings.batch - n_synthetic):
        chosen = lessons[int(rng.integers(len(lessons)))]
        top, left = (int(rng.integers(0, side - settings.crop + 1)) for side in chosen.picture.shape)
        turn, flip = int(rng.integers(4)), bool(rng.integers(2))
        for part, source in zip(parts, (chosen.picture, chosen.marker, chosen.weight), strict=True):
            piece = np.rot90(source[top : top + settings.crop, left : left + settings.crop], turn)
            part.append(piece[:, ::-1] if flip else piece)
    picture, marker, weight = (torch.from_numpy(np.stack(part)[:, None].astype(np.float32)) for part in parts)
    return picture, marker, weight
