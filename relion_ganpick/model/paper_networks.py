"""The paper's generator (section 2.2.1): nine encoding and nine decoding layers, layer i joined to layer 19 - i.

Its discriminator, five layers on (input, output) pairs with tanh at the end, is pix2pix's: `networks.PatchDiscriminator`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

LAYERS = 9
WIDEST = 8
DROPPING = 3
# Kernel, stride and padding. Between 2 x 2 and 1 x 1 pixels only the middle 2 x 2 of a padded 4 x 4 kernel ever meets the
# picture: the two innermost layers have no more than that.
USUAL, INNERMOST = (4, 2, 1), (2, 2, 0)


class PictureNorm(nn.Module):
    """Batch normalisation whose statistics are those of the present pictures, in training and after it.

    In pix2pix, on which the paper builds, a batch is one picture, and a picture to be translated is normalised by its own
    statistics, too. In training this is batch normalisation; afterwards every picture is normalised by itself, so that
    what comes out does not depend on what else is in the batch.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (n, channels, h, w)."""
        if self.training:
            return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)
        return F.instance_norm(x, None, None, self.weight, self.bias, eps=self.eps)


class EncodingLayer(nn.Module):
    """Convolution 4 x 4 that halves, normalisation (but for a single pixel), ReLU."""

    def __init__(self, in_channels: int, out_channels: int, innermost: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(in_channels, out_channels, *(INNERMOST if innermost else USUAL), bias=innermost)
        self.norm = nn.Identity() if innermost else PictureNorm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Encode (n, in, h, w) -> (n, out, h / 2, w / 2)."""
        return F.relu(self.norm(self.convolution(x)))


class DecodingLayer(nn.Module):
    """Transposed convolution 4 x 4 that doubles, normalisation, dropout, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, innermost: bool, dropout: float) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose2d(in_channels, out_channels, *(INNERMOST if innermost else USUAL), bias=False)
        self.norm = PictureNorm(out_channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Decode (n, in, h, w) -> (n, out, 2 h, 2 w)."""
        return F.relu(self.dropout(self.norm(self.convolution(x))))


class PaperGenerator(nn.Module):
    """U-Net that darkens the particles: its output is its input minus what its eighteen layers make of it.

    Channels are pix2pix's: the width, doubled by each layer up to eight times the width. The innermost layer, whose
    pictures are one pixel large, has nothing to normalise; the last one ends in tanh instead.

    Parameters
    ----------
    width
        Channels of the first layer, 64 in pix2pix.
    layers
        Number of encoding layers and of decoding layers: 9 in the paper, which take 512 x 512 pixels to 1 x 1.
    dropout
        Share of the values that the first three decoding layers drop in training, 0.5 in pix2pix.
    """

    def __init__(self, width: int = 64, layers: int = LAYERS, dropout: float = 0.0) -> None:
        super().__init__()
        self.stride = 2**layers
        channels = [1] + [width * min(2**k, WIDEST) for k in range(layers)]
        self.encoding = nn.ModuleList([EncodingLayer(channels[k], channels[k + 1], k == layers - 1) for k in range(layers)])
        # The first decoding layer sees only the innermost picture, the others also the encoding layer of their size.
        self.decoding = nn.ModuleList()
        for k in range(layers, 1, -1):
            first, drops = k == layers, layers - k < DROPPING
            seen = channels[k] if first else 2 * channels[k]
            self.decoding.append(DecodingLayer(seen, channels[k - 1], first, dropout if drops else 0.0))
        self.last = nn.ConvTranspose2d(2 * channels[1], 1, *USUAL)

    def subtracted(self, picture: Tensor) -> Tensor:
        """Give the paper's gen(input), (n, 1, h, w) in [0, 1] -> (n, 1, h, w) in (-1, 1): what makes the markers."""
        joined = []
        x = picture
        for encode in self.encoding:
            x = encode(x)
            joined.append(x)
        # Layers are numbered 1 to 18 as in the paper: layer 10 takes layer 9's output, layer 19 - i also layer i's.
        x = self.decoding[0](joined.pop())
        for decode in [*self.decoding[1:], self.last]:
            x = decode(torch.cat([x, joined.pop()], dim=1))
        return torch.tanh(x)

    def forward(self, picture: Tensor) -> Tensor:
        """Give the output image input - gen(input), (n, 1, h, w) in [0, 1] -> (n, 1, h, w)."""
        return picture - self.subtracted(picture)

    def mark(self, picture: Tensor) -> Tensor:
        """Give the marker image input - output of Algorithm 3, (n, 1, h, w) -> (n, 1, h, w) float32."""
        return self.subtracted(picture).float()


def initialise(network: nn.Module) -> None:
    """Draw the weights as pix2pix does: Gaussian with a standard deviation of 0.02, about 1 where a normalisation scales."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d | PictureNorm):
            nn.init.normal_(layer.weight, 1.0, 0.02)
            nn.init.zeros_(layer.bias)
