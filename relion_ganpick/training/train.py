"""Adversarial training on synthetic pairs: seeded, resumable, logged."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.evaluate import best_threshold
from relion_ganpick.model.card import Card
from relion_ganpick.model.networks import PatchDiscriminator
from relion_ganpick.model.weights import Model, build_generator, load_model, save_model
from relion_ganpick.synthesis.pairs import make_batch
from relion_ganpick.training.checkpoint import TrainingRun, follow
from relion_ganpick.training.judge_sets import SETS, with_judge
from relion_ganpick.training.loading import in_order
from relion_ganpick.training.losses import cross_entropy_with_dice, data_loss, discriminator_loss, generator_loss
from relion_ganpick.training.presets import TrainSettings
from relion_ganpick.training.validate import HeldOut, calibrate_heights, figures_of, pick_held_out, reliability, with_rescorer

WARM_UP = 200


class StepPairs(Dataset[tuple[Tensor, Tensor]]):
    """The pairs of step k, made anew from the seed, so that a resumed run sees what an undisturbed one sees."""

    def __init__(self, settings: TrainSettings, first: int) -> None:
        self.settings, self.first = settings, first

    def __len__(self) -> int:
        return self.settings.steps - self.first

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        settings = self.settings
        pictures, targets = make_batch(settings.seed, self.first + index, settings.batch, settings.crop, settings.scene)
        return torch.from_numpy(pictures), torch.from_numpy(targets)


class Trainer(TrainingRun):
    """One training run in a folder: its networks, optimisers, average, log and checkpoint."""

    parts = ("generator", "discriminator", "average", "generator_optimiser", "discriminator_optimiser")

    def __init__(self, settings: TrainSettings, folder: Path, device: torch.device, bfloat16: bool) -> None:
        super().__init__(settings, folder, device)
        torch.manual_seed(settings.seed)
        self.settings, self.bfloat16 = settings, bfloat16
        layout = torch.channels_last
        self.generator = build_generator(settings.network).to(device).to(memory_format=layout)  # type: ignore[call-overload]
        self.discriminator = PatchDiscriminator(settings.discriminator_width).to(device).to(memory_format=layout)  # type: ignore[call-overload]
        self.origin = "" if not settings.init else self._start_from(settings.init)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        betas = (settings.beta1, 0.999)
        self.generator_optimiser = torch.optim.Adam(self.generator.parameters(), settings.learning_rate, betas)
        self.discriminator_optimiser = torch.optim.Adam(
            self.discriminator.parameters(), settings.discriminator_learning_rate, betas
        )

    def _start_from(self, name: str) -> str:
        """Take the weights of a model's generator, and say which it is.

        Raises
        ------
        GanpickError
            If there is no such model, or its network has another size.
        """
        model = load_model(name)
        if model.card.network != self.settings.network:
            raise GanpickError(
                f"--init {name}: its network is {model.card.network}, this run's is {self.settings.network}; "
                "give the same --width, --levels and --contamination_weight"
            )
        self.generator.load_state_dict(model.generator.state_dict())
        return f"; started from {model.card.name} with sha256 {model.card.sha256[:12]} of version {model.card.code_version}"

    def run(self, progress: bool = True, workers: int = 1) -> Path:
        """Train to the last step, then calibrate and save the weights with their card.

        Returns
        -------
        Path of the safetensors file.
        """
        began, losses = time.monotonic(), []
        bar = tqdm(total=self.settings.steps, initial=self.step, disable=not progress, desc="train", mininterval=5)
        for picture, target in self._pairs(workers):
            losses.append(self.update(picture, target))
            bar.update()
            if self.step % self.settings.validate_every == 0 or self.step == self.settings.steps:
                figures = self.validate(workers)
                means = {name: round(sum(each[name] for each in losses) / len(losses), 5) for name in losses[0]}
                self._log({"step": self.step, **means, **figures, "seconds": round(time.monotonic() - began, 1)})
                self.checkpoint()
                losses = []
        bar.close()
        return self.finish(workers)

    def update(self, picture: Tensor, target: Tensor) -> dict[str, float]:
        """Update the discriminator, then the generator, on one batch of pairs, (n, 1, h, w) and (n, 2, h, w)."""
        self.generator.train()
        self.discriminator.train()
        picture = picture.to(self.device, memory_format=torch.channels_last)
        target = target.to(self.device)
        marker, contaminated = target[:, :1], target[:, 1:]
        settings = self.settings
        rate = settings.learning_rate * _schedule(self.step, settings.steps)
        for group in self.generator_optimiser.param_groups:
            group["lr"] = rate
        with self._precision():
            logits = self.generator(picture)
        logits, on_contamination = logits[:, :1].float(), logits[:, 1:].float()
        generated = torch.sigmoid(logits)
        values = {}
        loss = settings.l1_weight * data_loss(marker, generated)
        values["l1"] = loss.item()
        if settings.entropy_weight:
            entropy = cross_entropy_with_dice(logits, marker)
            loss = loss + settings.entropy_weight * entropy
            values["entropy"] = entropy.item()
        if settings.contamination_weight:
            dirt = cross_entropy_with_dice(on_contamination, contaminated)
            loss = loss + settings.contamination_weight * dirt
            values["contamination"] = dirt.item()
        if settings.adversarial_weight and settings.adversarial_loss != "none":
            adversarial, judged = self._adversarial(picture, marker, generated)
            loss = loss + settings.adversarial_weight * adversarial
            values |= {"adversarial": adversarial.item(), "discriminator": judged}
        self.generator_optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.generator.parameters(), 1.0)
        self.generator_optimiser.step()
        follow(self.average, self.generator, self.settings.average, self.step)
        self.step += 1
        return values

    def _adversarial(self, picture: Tensor, marker: Tensor, generated: Tensor) -> tuple[Tensor, float]:
        with self._precision():
            on_real = self.discriminator(picture, marker)
            on_fake = self.discriminator(picture, generated.detach())
        judged = discriminator_loss(self.settings.adversarial_loss, on_real.float(), on_fake.float())
        self.discriminator_optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(judged)
        self.discriminator_optimiser.step()
        self.discriminator.requires_grad_(False)
        with self._precision():
            on_fake = self.discriminator(picture, generated)
        self.discriminator.requires_grad_(True)
        return generator_loss(self.settings.adversarial_loss, on_real.float(), on_fake.float()), judged.item()

    def validate(self, workers: int = 0) -> dict[str, float]:
        """Score the averaged generator on held-out scenes: F1 at a quarter diameter, average precision, of raw scores."""
        items = self._held_out(range(self.settings.validation_scenes), workers).items
        return figures_of(items, best_threshold(items)[0])

    def _held_out(self, scenes: range, workers: int) -> HeldOut:
        self.average.eval()
        return pick_held_out(self.average, self.device, self.settings.seed, scenes, self.settings.scene, workers)

    def finish(self, workers: int = 0) -> Path:
        """Fit rescorer and calibration of the averaged generator on held-out scenes, and save all with the card.

        The card's figures are of the validation scenes, which nothing was fitted to.
        """
        settings, first = self.settings, self.settings.validation_scenes
        held_out = self._held_out(range(first, first + settings.calibration_scenes), workers)
        rescorer, calibration, threshold = with_rescorer(held_out, settings.seed, settings.rescorers)
        judged = self._held_out(range(first), workers).rescored(rescorer, calibration)
        card = Card(
            name=settings.preset,
            preset=settings.preset,
            network=dict(settings.network),
            training=asdict(settings),
            data="synthetic pictures only (relion_ganpick.synthesis)" + self.origin,
            steps=self.step,
            metrics=figures_of(judged, threshold),
            threshold=threshold,
            calibration=calibration,
            heights=calibrate_heights(held_out),
            reliability=reliability(judged),
        )
        model = Model(self.average.eval(), card, rescorer)
        if settings.judge_sets and settings.judges:
            model = with_judge(model, self.device, settings, self.folder / SETS, workers)
        return save_model(model, self.folder)

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.bfloat16 else nullcontext()

    def _pairs(self, workers: int) -> Iterator[tuple[Tensor, Tensor]]:
        if self.step >= self.settings.steps:
            return iter(())
        return iter(in_order(StepPairs(self.settings, self.step), workers))


def _schedule(step: int, steps: int) -> float:
    warm = min((step + 1) / WARM_UP, 1.0)
    return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / max(steps, 1))))
