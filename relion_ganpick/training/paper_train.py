"""The paper's training (section 2.2): the same synthetic pairs over and over, discriminator and generator in turn."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from relion_ganpick.core.equalise import Grey, as_input
from relion_ganpick.core.localize import regions
from relion_ganpick.model.card import Card
from relion_ganpick.model.forward import mark
from relion_ganpick.model.networks import PatchDiscriminator
from relion_ganpick.model.paper_networks import PaperGenerator, initialise
from relion_ganpick.model.weights import Model, save_model
from relion_ganpick.synthesis.paper import HELD_OUT, TRAINING, Pair, make_pair
from relion_ganpick.training.checkpoint import TrainingRun, follow
from relion_ganpick.training.losses import data_loss, discriminator_loss, generator_loss, generator_objective
from relion_ganpick.training.presets import PaperSettings
from relion_ganpick.training.validate import HeldOut, Item, calibrate, figures_of

ORDER_STREAM, DROPOUT_STREAM = 10, 11


class PaperTrainer(TrainingRun):
    """One training run of the preset `paper` in a folder.

    Parameters
    ----------
    settings
        The recipe.
    folder
        Where checkpoint, log and weights go.
    device
        Where to train.
    areas
        Areas without particles as backgrounds, (h, w) uint8 each; pure noise without any.
    """

    parts = ("generator", "discriminator", "average", "generator_optimiser", "discriminator_optimiser")
    # No update depends on how long the run will go on, nor on when it is looked at.
    may_change = ("epochs", "validate_every")

    def __init__(self, settings: PaperSettings, folder: Path, device: torch.device, areas: Sequence[Grey] = ()) -> None:
        super().__init__(settings, folder, device)
        torch.manual_seed(settings.seed)
        self.settings, self.areas = settings, areas
        generator = PaperGenerator(settings.width, settings.levels, settings.dropout)
        discriminator = PatchDiscriminator(settings.discriminator_width)
        for network in (generator, discriminator):
            initialise(network)
        self.generator = generator.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.discriminator = discriminator.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        betas = (settings.beta1, 0.999)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.generator_optimiser = torch.optim.Adam(self.generator.parameters(), settings.learning_rate, betas)
        self.discriminator_optimiser = torch.optim.Adam(self.discriminator.parameters(), settings.learning_rate, betas)
        self.held_out = [make_pair(settings, k, areas, HELD_OUT) for k in range(settings.validation_pairs)]

    def run(self, progress: bool = True) -> Path:
        """Train to the last epoch, then calibrate on held-out pairs and save the weights with their card.

        Returns
        -------
        Path of the safetensors file.
        """
        settings, began = self.settings, time.monotonic()
        losses: list[dict[str, float]] = []
        bar = tqdm(total=settings.steps, initial=self.step, disable=not progress, desc="train", mininterval=5)
        pairs = (
            [make_pair(settings, k, self.areas, TRAINING) for k in range(settings.pairs)] if self.step < settings.steps else []
        )
        while self.step < settings.steps:
            losses.append(self.update(*self.batch(pairs)))
            bar.update()
            if self.step % settings.validate_every == 0 or self.step == settings.steps:
                means = {name: round(sum(each[name] for each in losses) / len(losses), 5) for name in losses[0]}
                figures = self.validate()
                self._log({"step": self.step, **means, **figures, "seconds": round(time.monotonic() - began, 1)})
                self.checkpoint()
                losses = []
        bar.close()
        return self.finish()

    def batch(self, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
        """Choose the pairs of the present step, twice (n, 1, size, size) in [0, 1]; each epoch has an order of its own."""
        epoch, position = divmod(self.step, self.settings.steps_per_epoch)
        order = np.random.default_rng((self.settings.seed, ORDER_STREAM, epoch)).permutation(len(pairs))
        chosen = [pairs[k] for k in order[position * self.settings.batch :][: self.settings.batch]]
        picture, truth = (
            torch.from_numpy(np.stack([as_input(getattr(pair, which)) for pair in chosen])[:, None])
            for which in ("picture", "truth")
        )
        return picture, truth

    def update(self, picture: Tensor, truth: Tensor) -> dict[str, float]:
        """Update the discriminator (equation 1 or 5), then the generator (equation 6), on pairs (n, 1, size, size)."""
        settings = self.settings
        self.generator.train()
        self.discriminator.train()
        if settings.dropout:
            # What is dropped depends on the seed and the step alone, so that a resumed run drops the same.
            sequence = np.random.SeedSequence((settings.seed, DROPOUT_STREAM, self.step))
            torch.manual_seed(int(sequence.generate_state(1)[0]))
        picture = picture.to(self.device, memory_format=torch.channels_last)
        truth = truth.to(self.device, memory_format=torch.channels_last)
        output = self.generator(picture)
        data = data_loss(truth, output)
        values = {"l1": data.item()}
        objective = generator_objective(torch.zeros_like(data), data, settings.adversarial_weight, settings.l1_weight)
        if settings.adversarial_loss != "none":
            values["discriminator"] = self._update_discriminator(picture, truth, output.detach())
            adversarial = self._deceive(picture, truth, output)
            values["adversarial"] = adversarial.item()
            objective = generator_objective(adversarial, data, settings.adversarial_weight, settings.l1_weight)
        self.generator_optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(objective)
        self.generator_optimiser.step()
        follow(self.average, self.generator, settings.average, self.step)
        self.step += 1
        return values

    def _update_discriminator(self, picture: Tensor, truth: Tensor, output: Tensor) -> float:
        on_real, on_fake = self.discriminator(picture, truth), self.discriminator(picture, output)
        loss = discriminator_loss(self.settings.adversarial_loss, on_real, on_fake)
        self.discriminator_optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.discriminator_optimiser.step()
        return loss.item()

    def _deceive(self, picture: Tensor, truth: Tensor, output: Tensor) -> Tensor:
        """Adversarial loss of the generator; no gradient is kept for the discriminator."""
        self.discriminator.requires_grad_(False)
        on_real, on_fake = self.discriminator(picture, truth), self.discriminator(picture, output)
        self.discriminator.requires_grad_(True)
        return generator_loss(self.settings.adversarial_loss, on_real, on_fake)

    def validate(self) -> dict[str, float]:
        """Pick the held-out pairs with the averaged weights: precision, recall and F1 at a quarter of the shapes' diameter."""
        return figures_of(self._items(), 0.0)

    def finish(self) -> Path:
        """Calibrate on held-out pairs and save the averaged generator with its card.

        Algorithm 3 accepts or rejects a region by its area, so that the threshold of the figure of merit is 0.
        """
        settings, items = self.settings, self._items()
        areas = [(settings.size / (4 * reach)) ** 2 for _, _, reach in items]
        calibration, _ = calibrate(HeldOut(items, [], areas))
        where = f"areas without particles of {Path(settings.backgrounds).name}" if settings.backgrounds else "pure noise"
        card = Card(
            name=settings.preset,
            preset=settings.preset,
            network={"kind": "paper", "width": settings.width, "levels": settings.levels},
            training=asdict(settings),
            data=f"{settings.pairs} synthetic pairs (relion_ganpick.synthesis.paper) on backgrounds of {where}",
            steps=self.step,
            metrics=figures_of(items, 0.0),
            threshold=0.0,
            calibration=calibration,
            localization="regions",
        )
        return save_model(Model(self.average.eval(), card), self.folder)

    def _items(self) -> list[Item]:
        self.average.eval()
        return [
            (regions(mark(self.average, as_input(pair.picture)[None], self.device)[0, 0]), pair.centres, pair.diameter / 4)
            for pair in self.held_out
        ]
