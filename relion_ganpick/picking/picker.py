"""Micrograph to picks: prepare, mark, locate."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from relion_ganpick.core.device import fastest_type, find_device
from relion_ganpick.core.equalise import PAPER_SIDE, as_input, preprocess
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.frame import ImageArea, find_image_area
from relion_ganpick.core.localize import RegionSettings, peaks, regions
from relion_ganpick.core.micrograph import Micrograph
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import FILLED, PARTICLE_PX, normalise, resize
from relion_ganpick.core.scale import Scale, working_scale
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.core.tiles import by_tiles
from relion_ganpick.model.weights import Model, load_model

Image = NDArray[np.float32]

SMALLEST_SIDE = 64
SMALLEST_PX = 4.0  # pixels on disk that a particle fills; with fewer there is nothing to be seen of it
LARGEST_SIDE = 1280
TILE_CORE = 800
TILE_MARGIN = 112


@dataclass(frozen=True)
class Prepared:
    """A micrograph at the working scale, ready for the generator.

    Attributes
    ----------
    picture
        (h, w) float32, the image area, normalised.
    scale
        From the picture to the image area.
    area
        Where the image is, in pixels of the file.
    shape
        (h, w) of the micrograph in pixels of the file.
    pixel_size
        Angstrom per pixel of the file.
    """

    picture: Image
    scale: Scale
    area: ImageArea
    shape: tuple[int, int]
    pixel_size: float


class Picker:
    """Finds particles with a generator that marks them.

    Parameters
    ----------
    settings
        What to pick; at least the diameter.
    device
        "auto", "cpu", "cuda" or "cuda:N"; see `find_device`.
    model
        A loaded model; by default the one that ``settings`` names.

    Raises
    ------
    GanpickError
        If the model cannot be loaded or the device is missing.
    """

    def __init__(self, settings: PickSettings, device: str = "auto", model: Model | None = None) -> None:
        self.model = model or load_model(settings.model)
        threshold = self.model.card.threshold if settings.threshold is None else settings.threshold
        localization = self.model.card.localization if settings.localization == "auto" else settings.localization
        self.settings = replace(settings, threshold=threshold, localization=localization)
        self.threshold = threshold
        self.device = find_device(device)
        self.as_in_paper = self.model.card.network["kind"] == "paper"
        # The paper's networks divide by the spread of few values, which half precision would not stand.
        self.dtype = torch.float32 if self.as_in_paper else fastest_type(self.device)
        self.stride = int(self.model.generator.stride)  # type: ignore[arg-type]
        fused = _fuse(self.model.generator)
        self._generator = fused.to(self.device, self.dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def pick(self, micrograph: Micrograph) -> Picks:
        """Pick one micrograph.

        Parameters
        ----------
        micrograph
            Pixels with their pixel size.

        Returns
        -------
        Picks in pixels of the file, best first, at or above the threshold.

        Raises
        ------
        GanpickError
            If the micrograph has no usable image at this diameter; the message says why.
        """
        return self.score(micrograph).above(self.threshold)

    def score(self, micrograph: Micrograph) -> Picks:
        """Pick one micrograph and keep everything above the localisation's low floor."""
        prepared = self.prepare(micrograph)
        return self.locate(prepared, self.mark(prepared.picture))

    def prepare(self, micrograph: Micrograph) -> Prepared:
        """Bring a micrograph to the working scale; needs no device and may run in any thread."""
        pixels, pixel_size = micrograph.pixels, micrograph.pixel_size
        if pixel_size is None or not pixel_size > 0:
            raise GanpickError(f"{micrograph.name}: its pixel size is not known: give --angpix")
        settings = self.settings
        diameter_px = settings.diameter_angstrom / pixel_size
        shape = (pixels.shape[0], pixels.shape[1])
        what = f"a diameter of {settings.diameter_angstrom:g} A ({diameter_px:.0f} pixels of {pixel_size:g} A)"
        if diameter_px > min(shape):
            raise GanpickError(f"{micrograph.name}: {what} is larger than the micrograph of {shape[1]} x {shape[0]} pixels")
        with np.errstate(invalid="ignore", over="ignore"):
            finite = np.isfinite(pixels.sum(dtype=np.float32))
        if not finite:
            raise GanpickError(f"{micrograph.name}: holds pixels that are not finite numbers (NaN or infinite): make it anew")
        area = find_image_area(pixels)
        inside = pixels[area.top : area.bottom, area.left : area.right]
        if self.as_in_paper:
            scale = Scale((inside.shape[0], inside.shape[1]), (PAPER_SIDE, PAPER_SIDE))
            return Prepared(self._as_in_paper(inside, micrograph.name), scale, area, shape, pixel_size)
        scale = self._scale((inside.shape[0], inside.shape[1]), pixel_size, micrograph.name)
        picture = normalise(resize(inside, scale.working_shape))
        if not picture.any():
            raise GanpickError(f"{micrograph.name}: all pixels are equal: there is no image")
        if settings.contrast == "bright":
            picture = -picture
        return Prepared(picture, scale, area, shape, pixel_size)

    def mark(self, picture: Image) -> Image:
        """Mark one prepared picture, (h, w) float32 -> (c, h, w) float32, the generator's outputs; the first is the markers."""
        return self.mark_batch([picture])[0]

    def mark_batch(self, pictures: Sequence[Image]) -> list[Image]:
        """Mark prepared pictures of one size; pictures larger than 1280 pixels go tile by tile."""
        if max(pictures[0].shape) <= LARGEST_SIDE:
            return list(self._run(np.stack(pictures)))
        return [by_tiles(each, lambda tile: self._run(tile[None])[0], TILE_CORE, TILE_MARGIN) for each in pictures]

    def locate(self, prepared: Prepared, marked: Image) -> Picks:
        """Turn what `mark` gave into picks in pixels of the file, with calibrated figures of merit, best first."""
        settings, pixel_size = self.settings, prepared.pixel_size
        picks = self.model.rescored(self._find(prepared, marked[0]), prepared.picture, marked)
        picks = prepared.scale.to_file(picks)
        picks = Picks(picks.x + prepared.area.left, picks.y + prepared.area.top, np.round(picks.score, 4))
        picks = picks.inside(*_allowed(prepared, settings))
        return picks.rounded().thinned(settings.min_distance_angstrom / pixel_size)

    def _find(self, prepared: Prepared, marked: Image) -> Picks:
        """Turn markers into picks in pixels of the working scale, with raw figures of merit."""
        settings = self.settings
        if settings.localization == "regions":
            numbers = (settings.region_threshold, settings.erosion, settings.area_tolerance, settings.region_area)
            return regions(marked, RegionSettings(*numbers))
        coarser = max(prepared.scale.factors)
        particle_px = settings.diameter_angstrom / prepared.pixel_size / coarser if self.as_in_paper else PARTICLE_PX
        return peaks(marked, particle_px, settings.min_distance_angstrom / prepared.pixel_size / coarser)

    def _scale(self, shape: tuple[int, int], pixel_size: float, name: str) -> Scale:
        """Find the working scale for an image area of (h, w) pixels of the file, or say why there is none."""
        given, assumed = self.settings.diameter_angstrom, self.settings.working_diameter_angstrom
        option, angstrom = ("working diameter", assumed) if assumed != given else ("diameter", given)
        what = f"{name}: a {option} of {angstrom:g} A ({angstrom / pixel_size:.3g} pixels of {pixel_size:g} A)"
        check = f"check {'' if assumed == given else '--working_diameter, '}--diameter and the pixel size"
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

    def _as_in_paper(self, inside: Image, name: str) -> Image:
        """Do step 1 of the paper on the image area."""
        if np.ptp(inside) == 0:
            raise GanpickError(f"{name}: all pixels are equal: there is no image")
        return as_input(preprocess(-inside if self.settings.contrast == "bright" else inside))

    def _run(self, batch: Image) -> Image:
        """Run the generator, (n, h, w) -> (n, c, h, w); sides are continued by reflection to what it can halve."""
        height, width = batch.shape[1:]
        padded = np.pad(batch, ((0, 0), (0, -height % self.stride), (0, -width % self.stride)), "symmetric")
        with torch.inference_mode():
            tensor = torch.from_numpy(padded)[:, None].to(self.device, self.dtype).contiguous(memory_format=torch.channels_last)
            marked = self._generator.mark(tensor)[:, :, :height, :width]
        return np.asarray(marked.cpu().numpy())


def _allowed(prepared: Prepared, settings: PickSettings) -> tuple[float, float, float, float]:
    """Where picks may lie, as left, top, right, bottom in pixels of the file.

    A particle may hang over the micrograph's edge as far as the margin allows, but not over a frame: what is seen of it
    there is made up.
    """
    margin = settings.edge_margin_angstrom / prepared.pixel_size
    at_frame = max(margin, 0.5 * settings.diameter_angstrom / prepared.pixel_size)
    area, (height, width) = prepared.area, prepared.shape
    return (
        area.left + (at_frame if area.left else margin),
        area.top + (at_frame if area.top else margin),
        area.right - 1 - (at_frame if area.right < width else margin),
        area.bottom - 1 - (at_frame if area.bottom < height else margin),
    )


def _fuse(generator: nn.Module) -> nn.Module:
    """Copy a network with every batch normalisation worked into the convolution before it."""
    fused = copy.deepcopy(generator).eval()
    for block in fused.modules():
        if isinstance(block, nn.Sequential):
            for k in range(len(block) - 1):
                convolution, normalisation = block[k], block[k + 1]
                if isinstance(convolution, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d):
                    block[k], block[k + 1] = fuse_conv_bn_eval(convolution, normalisation), nn.Identity()
    return fused
