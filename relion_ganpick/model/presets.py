"""Settings of training; a preset is a named set of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainSettings:
    """Everything that decides what a training run does, beside the device.

    Attributes
    ----------
    preset
        Name of the recipe.
    width, levels
        Channels of the generator's first level, and number of halvings.
    discriminator_width
        Channels of the discriminator's first convolution.
    steps
        Number of updates of each network.
    batch, crop
        Pairs per update, and their side in pixels.
    learning_rate, discriminator_learning_rate
        Adam's, at its highest; the generator's falls to a hundredth along a cosine.
    beta1
        Adam's first moment.
    adversarial_weight, l1_weight, entropy_weight
        Weights w1 and w2 of equation 6, and of the cross entropy that calibrates the figure of merit.
    average
        Decay per step of the moving average of the weights, which is what is saved.
    validate_every
        Steps between validations and checkpoints.
    validation_scenes
        Number of held-out scenes.
    seed
        Names all random streams.
    """

    preset: str = "default"
    width: int = 16
    levels: int = 4
    discriminator_width: int = 12
    steps: int = 6000
    batch: int = 8
    crop: int = 192
    learning_rate: float = 1e-3
    discriminator_learning_rate: float = 2e-4
    beta1: float = 0.5
    adversarial_weight: float = 0.05
    l1_weight: float = 0.5
    entropy_weight: float = 1.0
    average: float = 0.998
    validate_every: int = 500
    validation_scenes: int = 48
    seed: int = 1


PRESETS = {"default": TrainSettings()}
