"""The two ways to pick behind one interface: prepare a picture, mark it, locate particles in the marks.

`DefaultMethod` works at the scale at which a particle is 16 pixels wide; `PaperMethod` on 512 x 512 pixels, as Kong et al. do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from relion_ganpick.core.blank import Mask, find_blank
from relion_ganpick.core.device import fastest_type
from relion_ganpick.core.equalise import PAPER_SIDE, as_input, preprocess
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.localize import RegionSettings, peaks, regions
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import FILLED, PARTICLE_PX, resize
from relion_ganpick.core.scale import Scale, working_scale
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.core.standardise import filled, standardise
from relion_ganpick.core.tiles import by_tiles
from relion_ganpick.model.card import Card
from relion_ganpick.picking.memory import in_halves, with_smaller

Image = NDArray[np.float32]

SMALLEST_SIDE = 64  # working pixels: four particles; the network's deepest level needs about as many
SMALLEST_PX = 4.0  # pixels on disk that a particle fills; with fewer there is nothing to be seen of it
LARGEST_SIDE = 1280  # a picture of this side takes about 1 GiB in the network; larger ones go tile by tile
TILE_CORE = 800
SMALLER_CORES = (400, 208, 96)  # where there is no memory for more
TILE_MARGIN = 112  # more than the network's reach, so that tiles give the marks of the whole picture


class Method(ABC):
    """How a micrograph's image area becomes a picture, and how marks on that become particles.

    Attributes
    ----------
    follows_size
        Whether the network is shown every particle at one size, so that it matters which diameter it assumes.
    """

    follows_size: bool

    @abstractmethod
    def precision(self, device: torch.device) -> torch.dtype:
        """Type of numbers that the network may compute with on a device."""

    @abstractmethod
    def prepare(self, inside: Image, pixel_size: float, settings: PickSettings, name: str) -> tuple[Image, Scale, Mask | None]:
        """Turn a micrograph's image area into what the generator sees.

        Parameters
        ----------
        inside
            (h, w) float32, the image area.
        pixel_size
            Angstrom per pixel.
        settings
            What to pick.
        name
            Of the micrograph, for messages.

        Returns
        -------
        The picture, (h', w') float32, the scale from it to the image area, and where in it there is no image, (h', w') bool;
        None where there is image everywhere.

        Raises
        ------
        GanpickError
            If there is no usable image at this diameter.
        """

    @abstractmethod
    def mark(self, network: Callable[[Image], Image], pictures: Sequence[Image]) -> list[Image]:
        """Mark pictures of one size: each (h, w) -> (c, h, w) float32; the first channel is the markers."""

    @abstractmethod
    def particle_px(self, settings: PickSettings, coarser: float, pixel_size: float) -> float:
        """Diameter of a particle in pixels of the picture, which has ``coarser`` pixels of the file in each of its own."""

    def locate(self, marks: Image, settings: PickSettings, scale: Scale, pixel_size: float) -> Picks:
        """Find particles in the markers, (h, w) float32; picks in pixels of the picture with raw scores."""
        if settings.localization == "regions":
            numbers = (settings.region_threshold, settings.erosion, settings.area_tolerance, settings.region_area)
            return regions(marks, RegionSettings(*numbers))
        coarser = max(scale.factors)
        least = settings.min_distance_angstrom / pixel_size / coarser
        return peaks(marks, self.particle_px(settings, coarser, pixel_size), least)


class DefaultMethod(Method):
    """Every particle at the size that the network knows, pictures of any size."""

    follows_size = True

    def precision(self, device: torch.device) -> torch.dtype:
        """Half precision where the device computes in it."""
        return fastest_type(device)

    def prepare(self, inside: Image, pixel_size: float, settings: PickSettings, name: str) -> tuple[Image, Scale, Mask | None]:
        """Bring the image area to the working scale, and its background and contrast to the same everywhere."""
        scale = _working_scale((inside.shape[0], inside.shape[1]), pixel_size, settings, name)
        picture, blank = standardise(resize(inside, scale.working_shape), PARTICLE_PX, settings.contrast)
        if not picture.any():
            raise _no_image(name)
        return picture, scale, blank

    def mark(self, network: Callable[[Image], Image], pictures: Sequence[Image]) -> list[Image]:
        """Mark pictures together, those larger than 1280 pixels tile by tile; where memory ends, fewer, and smaller tiles."""
        if max(pictures[0].shape) <= LARGEST_SIDE:
            return in_halves(network, pictures, lambda each: self._by_tiles(network, each, SMALLER_CORES))
        return [self._by_tiles(network, each, (TILE_CORE, *SMALLER_CORES)) for each in pictures]

    def _by_tiles(self, network: Callable[[Image], Image], picture: Image, cores: Sequence[int]) -> Image:
        """Mark one picture tile by tile, by the largest tiles for which there is memory."""
        ways = [partial(by_tiles, picture, lambda tile: network(tile[None])[0], core, TILE_MARGIN) for core in cores]
        return with_smaller(ways)

    def particle_px(self, settings: PickSettings, coarser: float, pixel_size: float) -> float:
        """Give that of the working scale."""
        return PARTICLE_PX


class PaperMethod(Method):
    """Section 2 of the paper: the whole image area at 512 x 512, its histogram equalised."""

    follows_size = False

    def precision(self, device: torch.device) -> torch.dtype:
        """Full precision: the paper's networks divide by the spread of few values, which half precision would not stand."""
        return torch.float32

    def prepare(self, inside: Image, pixel_size: float, settings: PickSettings, name: str) -> tuple[Image, Scale, Mask | None]:
        """Do step 1 of the paper on the image area."""
        if np.ptp(inside) == 0:
            raise _no_image(name)
        scale = Scale((inside.shape[0], inside.shape[1]), (PAPER_SIDE, PAPER_SIDE))
        dark = -inside if settings.contrast == "bright" else inside
        diameter_px = settings.diameter / pixel_size
        blank = _blank_at(dark, diameter_px, scale.working_shape)
        return as_input(preprocess(dark if blank is None else filled(dark, blank, diameter_px))), scale, blank

    def mark(self, network: Callable[[Image], Image], pictures: Sequence[Image]) -> list[Image]:
        """Mark pictures together; where memory ends, fewer: this network sees a micrograph whole or not at all."""
        return in_halves(network, pictures)

    def particle_px(self, settings: PickSettings, coarser: float, pixel_size: float) -> float:
        """Diameter at the scale of the more reduced side."""
        return settings.diameter / pixel_size / coarser


METHODS: dict[str, Method] = {"unet": DefaultMethod(), "paper": PaperMethod()}


def method_of(card: Card) -> Method:
    """Find the method that a model was trained for."""
    return METHODS[card.network["kind"]]


def _blank_at(inside: Image, diameter_px: float, shape: tuple[int, int]) -> Mask | None:
    """Find where an image area of any scale holds no image, (h, w) bool of the given shape; single pixels are enough for that."""
    step = max(int(diameter_px / PARTICLE_PX), 1)
    blank = find_blank(np.ascontiguousarray(inside[::step, ::step]), diameter_px / step)
    if blank is None:
        return None
    return np.asarray(cv2.resize(blank.astype(np.uint8), (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST) > 0)


def _working_scale(shape: tuple[int, int], pixel_size: float, settings: PickSettings, name: str) -> Scale:
    """Find the working scale for an image area of (h, w) pixels of the file, or say why there is none."""
    given, assumed = settings.diameter, settings.working_diameter_angstrom
    option, angstrom = ("working diameter", assumed) if assumed != given else ("diameter", given)
    what = f"{name}: a {option} of {angstrom:g} A ({angstrom / pixel_size:.3g} pixels of {pixel_size:g} A)"
    check = f"check {'' if assumed == given else '`working_diameter`, '}`diameter` and the pixel size"
    filled = FILLED * assumed / pixel_size
    if filled < SMALLEST_PX:
        raise GanpickError(f"{what} is too small to be seen; at least {SMALLEST_PX / FILLED:.1f} pixels are needed: {check}")
    scale = working_scale(shape, filled, PARTICLE_PX)
    if min(scale.working_shape) < SMALLEST_SIDE:
        raise GanpickError(
            f"{what} leaves only {min(shape) * pixel_size / angstrom:.1f} diameters across the image; at least "
            f"{SMALLEST_SIDE * FILLED / PARTICLE_PX:.2g} are needed: {check}"
        )
    return scale


def _no_image(name: str) -> GanpickError:
    return GanpickError(f"{name}: all pixels are equal: there is no image")
