"""Settings of training; a preset is a named set of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.synthesis.pair_settings import PairSettings
from relion_ganpick.synthesis.scene_settings import SceneSettings

ADVERSARIAL_LOSSES = ("cross_entropy", "mean_squared", "none")


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
    adversarial_loss
        "cross_entropy" (equation 1), "mean_squared" (equations 2, 3 and 5), or "none".
    adversarial_weight, l1_weight, entropy_weight
        Weights w1 and w2 of equation 6, and of the cross entropy that calibrates the figure of merit.
    contamination_weight
        Weight of the second output's loss, which learns where contamination is; with 0 there is no second output.
    average
        Decay per step of the moving average of the weights, which is what is saved.
    validate_every
        Steps between validations and checkpoints.
    validation_scenes
        Number of held-out scenes.
    calibration_scenes
        Number of further held-out scenes that rescorer and calibration are fitted to at the end.
    rescorers
        Members of the rescorer, which judges a micrograph's candidates beside each other; with 0 there is none.
    seed
        Names all random streams.
    init
        Name or path of a model whose generator the run starts from; empty for random weights.
    scene
        What the synthetic micrographs hold.
    """

    preset: str = "default"
    width: int = 16
    levels: int = 4
    discriminator_width: int = 12
    steps: int = 5500
    batch: int = 8
    crop: int = 192
    learning_rate: float = 1e-3
    discriminator_learning_rate: float = 2e-4
    beta1: float = 0.5
    adversarial_loss: str = "mean_squared"
    adversarial_weight: float = 0.05
    l1_weight: float = 0.1
    entropy_weight: float = 1.0
    contamination_weight: float = 0.3
    average: float = 0.998
    validate_every: int = 500
    validation_scenes: int = 48
    calibration_scenes: int = 1500
    rescorers: int = 3
    judge_sets: int = 1500
    judges: int = 4
    seed: int = 1
    init: str = ""
    scene: SceneSettings = field(default_factory=SceneSettings)

    @property
    def network(self) -> dict[str, str | int]:
        """Kind and size of the generator, as the card describes it."""
        return {"kind": "unet", "width": self.width, "levels": self.levels, "outputs": 2 if self.contamination_weight else 1}


@dataclass(frozen=True)
class PaperSettings(PairSettings):
    """The paper's training run; what the paper does not say is as in pix2pix.

    Attributes
    ----------
    preset
        Name of the recipe.
    width, levels
        Channels of the generator's first layer, and number of its encoding and of its decoding layers.
    discriminator_width
        Channels of the discriminator's first layer.
    epochs
        How often every pair is shown.
    batch
        Pairs per update.
    learning_rate, beta1
        Adam's, for both networks.
    adversarial_loss
        "cross_entropy" (equation 1), "mean_squared" (equations 2, 3 and 5), or "none".
    adversarial_weight, l1_weight
        Weights w1 and w2 of equation 6.
    dropout
        Share of the values that the first three decoding layers drop in training; none are dropped when picking.
    average
        Decay per step of the moving average of the weights, which is what is saved; 0 saves those of the last step.
    backgrounds
        STAR file of micrographs whose areas without particles are the backgrounds; empty for pure noise.
    validate_every
        Steps between validations and checkpoints.
    validation_pairs
        Number of held-out pairs.
    """

    preset: str = "paper"
    width: int = 64
    levels: int = 9
    discriminator_width: int = 64
    epochs: int = 200
    batch: int = 1
    learning_rate: float = 2e-4
    beta1: float = 0.5
    adversarial_loss: str = "mean_squared"
    adversarial_weight: float = 1.0
    l1_weight: float = 100.0
    dropout: float = 0.5
    average: float = 0.998
    backgrounds: str = ""
    validate_every: int = 500
    validation_pairs: int = 10

    def __post_init__(self) -> None:
        """Check what the networks demand of the pictures."""
        super().__post_init__()
        if not 0 <= self.dropout < 1:
            raise GanpickError(f"`dropout` {self.dropout:g}: give a share from 0 to less than 1")
        if self.levels < 2:
            raise GanpickError(f"`levels` {self.levels}: give at least 2 encoding and as many decoding layers")
        if self.size % 2**self.levels:
            raise GanpickError(
                f"`size` {self.size}: give a multiple of {2**self.levels} (2 to the power of `levels`), or fewer `levels`"
            )

    @property
    def steps(self) -> int:
        """Number of updates of each network."""
        return self.epochs * self.steps_per_epoch

    @property
    def steps_per_epoch(self) -> int:
        """Number of updates while every pair is shown once."""
        return ceil(self.pairs / self.batch)


PRESETS: dict[str, TrainSettings | PaperSettings] = {"default": TrainSettings(), "paper": PaperSettings()}
