"""The two networks of the conditional GAN: a generator that marks particles and a discriminator that judges marks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CONTAMINATED = 0.5


class DoubleConvolution(nn.Sequential):
    """Twice: convolution 3 x 3, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class UNetGenerator(nn.Module):
    """U-Net (Ronneberger et al. 2015) from a picture to the logit of its markers and, with two outputs, of contamination.

    Parameters
    ----------
    width
        Channels of the first level; each level doubles them.
    levels
        Number of halvings; sides of the input must be multiples of 2 ** levels.
    outputs
        1 for markers alone, 2 for markers and contamination.
    """

    def __init__(self, width: int = 16, levels: int = 4, outputs: int = 1) -> None:
        super().__init__()
        channels = [width * 2**level for level in range(levels + 1)]
        self.stride, self.outputs = 2**levels, outputs
        self.encoder = nn.ModuleList([DoubleConvolution(a, b) for a, b in zip([1, *channels[:-2]], channels[:-1], strict=True)])
        self.bottom = DoubleConvolution(channels[-2], channels[-1])
        self.upward = nn.ModuleList([nn.ConvTranspose2d(2 * c, c, 2, stride=2) for c in channels[-2::-1]])
        self.decoder = nn.ModuleList([DoubleConvolution(2 * c, c) for c in channels[-2::-1]])
        self.head = nn.Conv2d(width, outputs, 1)

    def forward(self, picture: Tensor) -> Tensor:
        """Mark a batch of pictures, (n, 1, h, w) -> (n, outputs, h, w) logits."""
        skips = []
        x = picture
        for level in self.encoder:
            x = level(x)
            skips.append(x)
            x = nn.functional.max_pool2d(x, 2)
        x = self.bottom(x)
        for upward, level, skip in zip(self.upward, self.decoder, reversed(skips), strict=True):
            x = level(torch.cat([upward(x), skip], dim=1))
        logits: Tensor = self.head(x)
        return logits

    def mark(self, picture: Tensor) -> Tensor:
        """Give the probability of a marker and, with two outputs, of contamination, (n, 1, h, w) -> (n, outputs, h, w) float32.

        Where contamination is likelier than not, that of a marker is 0.
        """
        return self.probabilities(self(picture), self.outputs)

    @staticmethod
    def probabilities(logits: Tensor, outputs: int) -> Tensor:
        """Turn logits into what `mark` gives, (n, outputs, h, w) -> the same, float32."""
        probability = torch.sigmoid(logits.float())
        if outputs == 1:
            return probability
        marker, contamination = probability[:, :1], probability[:, 1:]
        return torch.cat([marker * (contamination < CONTAMINATED), contamination], dim=1)


class PatchDiscriminator(nn.Module):
    """Convolutional discriminator of pix2pix (Isola et al. 2016) on (picture, marker) pairs.

    Five convolutions 4 x 4, three of them halving, tanh at the end: one judgement in (-1, 1) for each patch.

    Parameters
    ----------
    width
        Channels of the first convolution.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(2, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for level, step in ((1, 2), (2, 2), (3, 1)):
            layers += [
                nn.Conv2d(width * 2 ** (level - 1), width * 2**level, 4, step, 1, bias=False),
                nn.BatchNorm2d(width * 2**level),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width * 8, 1, 4, 1, 1), nn.Tanh())

    def forward(self, picture: Tensor, marker: Tensor) -> Tensor:
        """Judge pairs, twice (n, 1, h, w) -> (n, 1, h / 8 - 2, w / 8 - 2)."""
        judgement: Tensor = self.layers(torch.cat([picture, marker], dim=1))
        return judgement


def n_parameters(network: nn.Module) -> int:
    """Count the trainable numbers of a network."""
    return sum(weight.numel() for weight in network.parameters())
