"""Adapt a model to the user's own micrographs without one label.

The paper's idea carried through: what the model is sure of becomes the truth of the next lesson. In each round the averaged
marks of four rotations are sorted into sure particles, unsure ones that do not count, and background; the generator is
fine-tuned on crops of the micrographs with these markers, mixed with synthetic pairs so that it does not forget what a
particle is. To the crops more particles are added, average shapes of the sure ones: faint ones, and close neighbours, of
which nobody has to guess where they are. Some micrographs are held back; the adapted model is kept only if its picks agree
better with themselves when those micrographs are turned.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F  # noqa: N812

from relion_ganpick.adaptation.averages import class_averages, pooled
from relion_ganpick.adaptation.lessons import AdaptSettings, Lesson, lesson, lesson_batch, turned_mark
from relion_ganpick.core.device import has_bfloat16
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.evaluate import evaluate
from relion_ganpick.core.localize import peaks
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.core.settings import MIN_DISTANCE_DIAMETERS
from relion_ganpick.model.weights import Model
from relion_ganpick.training.losses import cross_entropy_with_dice
from relion_ganpick.training.validate import calibrate, calibrate_heights, figures_of, pick_held_out, reliability

log = logging.getLogger(__name__)
Image = NDArray[np.float32]

FEWEST, FEWEST_SURE = 2, 50
FEWEST_PER_MICROGRAPH = 5
CONTAMINATION_WEIGHT = 0.3


def adapt(
    model: Model,
    pictures: Sequence[Image],
    settings: AdaptSettings | None = None,
    device: torch.device | None = None,
) -> Model | None:
    """Fine-tune a model on prepared micrographs of one particle.

    Parameters
    ----------
    model
        Where to begin; it is not changed.
    pictures
        At least two micrographs, each (h, w) float32 as `Picker.prepare` gives them.
    settings
        By default one round of 500 steps.
    device
        Where to train; the CPU by default.

    Returns
    -------
    The adapted model with its own calibration and card, or None if it is no better by its own measure.

    Raises
    ------
    GanpickError
        If there are too few micrographs or too few sure particles to learn from.
    """
    if model.card.network["kind"] != "unet":
        raise GanpickError(f"model {model.card.name} cannot be adapted, as it is one of the paper's kind: give `model` default")
    settings, device = settings or AdaptSettings(), device or torch.device("cpu")
    learned, judged = _split(_large_enough(pictures, settings), settings)
    generator = copy.deepcopy(model.generator).to(device).requires_grad_(True)
    current, n_scenes = replace(model, generator=generator), settings.calibration_scenes
    before = agreement(current, judged, device)
    for number in range(settings.rounds):
        lessons = [lesson(current, picture, settings, device) for picture in learned]
        n_sure = sum(len(each.centres) for each in lessons)
        if n_sure < max(FEWEST_SURE, FEWEST_PER_MICROGRAPH * len(learned)):
            raise GanpickError(
                f"too few particles to learn from: {n_sure} sure ones in {len(learned)} micrographs, but at least {FEWEST_SURE} "
                f"are needed, and {FEWEST_PER_MICROGRAPH} on each on average: give more and fuller micrographs, or check the "
                "diameter"
            )
        shapes = class_averages(pooled([each.picture for each in lessons], [each.centres for each in lessons]), settings.seed)
        loss = _fine_tune(generator, lessons, shapes, settings, number, device)
        log.info(f"adapt: round {number + 1} of {settings.rounds}: {n_sure} sure particles, loss {loss:.4f}")
        generator.eval()
        held_out = pick_held_out(generator, device, settings.seed, range(n_scenes))
        (calibration, threshold), heights = calibrate(held_out, model.rescorer), calibrate_heights(held_out)
        current = replace(current, card=replace(model.card, calibration=calibration, threshold=threshold, heights=heights))
    generator.requires_grad_(False)
    after = agreement(current, judged, device)
    log.info(f"adapt: picks of turned micrographs agree to {before:.4f} before and {after:.4f} after ({len(judged)} held back)")
    if after < before + settings.least_gain:
        return None
    others = pick_held_out(generator, device, settings.seed, range(n_scenes, n_scenes + max(n_scenes // 2, 1)))
    items = others.rescored(model.rescorer, current.card.calibration)
    card = replace(
        current.card,
        name=f"{model.card.name}-adapted",
        reliability=reliability(items),
        metrics=figures_of(items, current.card.threshold) | {"agreement_before": round(before, 4), "agreement": round(after, 4)},
        training=model.card.training | {"adapted": asdict(settings) | {"from": model.card.sha256}},
        data=model.card.data + f"; adapted without labels to {len(learned)} micrographs of the user",
    )
    return replace(current, generator=generator.cpu(), card=card)


def agreement(model: Model, pictures: Sequence[Image], device: torch.device) -> float:
    """Tell how well the picks of each rotation agree with the others': mean F1 at a quarter diameter, no label needed.

    An unsure model finds other particles when the picture is turned; so does one that follows the noise.
    """
    items: list[tuple[Picks, NDArray[np.float64], float]] = []
    for picture in pictures:
        found = []
        for marked in turned_mark(model.generator, picture, device):
            candidates = peaks(marked[0], PARTICLE_PX, MIN_DISTANCE_DIAMETERS * PARTICLE_PX)
            found.append(model.rescored(candidates, picture, marked).above(model.card.threshold))
        items += [(a, b.xy, PARTICLE_PX / 4) for a, b in zip(found, found[1:] + found[:1], strict=True)]
    return evaluate(items).f1


def _large_enough(pictures: Sequence[Image], settings: AdaptSettings) -> list[Image]:
    """Leave out pictures that hold no whole crop.

    Raises
    ------
    GanpickError
        If that leaves less than two.
    """
    large = [picture for picture in pictures if min(picture.shape) >= settings.crop]
    if len(large) < len(pictures):
        small = (
            f"{len(pictures) - len(large)} of {len(pictures)} micrographs are less than {settings.crop / PARTICLE_PX:g} diameters"
        )
        if len(large) < FEWEST:
            raise GanpickError(
                f"{small} across, too small to learn from: give at least two larger ones, one of them to judge the result"
            )
        log.info(f"adapt: {small} across, and are left out")
    return large


def _split(pictures: Sequence[Image], settings: AdaptSettings) -> tuple[list[Image], list[Image]]:
    if len(pictures) < FEWEST:
        raise GanpickError(
            f"{len(pictures)} micrographs are too few to learn from: give at least two, one of them to judge the result"
        )
    order = np.random.default_rng((settings.seed, 0)).permutation(len(pictures))
    n_judged = max(round(settings.held_back * len(pictures)), 1)
    return [pictures[k] for k in order[n_judged:]], [pictures[k] for k in order[:n_judged]]


def _fine_tune(
    generator: nn.Module, lessons: list[Lesson], shapes: Image, settings: AdaptSettings, number: int, device: torch.device
) -> float:
    """Update the generator on crops of the lessons and synthetic pairs; returns the mean loss of the last tenth."""
    generator.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(generator.parameters(), settings.learning_rate, (0.5, 0.999))
    bfloat16 = has_bfloat16(device)
    losses = []
    for step in range(settings.steps):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * min(1.0, 2 * (1 - step / settings.steps))
        picture, target, weight = (
            each.to(device) for each in lesson_batch(lessons, shapes, settings, number * settings.steps + step)
        )
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            logits = generator(picture.contiguous(memory_format=torch.channels_last))
        loss = cross_entropy_with_dice(logits[:, :1].float(), target[:, :1], weight)
        if logits.shape[1] > 1:
            loss = loss + CONTAMINATION_WEIGHT * F.binary_cross_entropy_with_logits(logits[:, 1:].float(), target[:, 1:])
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(generator.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    return float(np.mean(losses[-max(len(losses) // 10, 1) :]))
