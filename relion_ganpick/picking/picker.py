"""Micrograph to picks: prepare, mark, locate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.frame import ImageArea, find_image_area
from relion_ganpick.core.micrograph import Micrograph
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.scale import Scale
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.model.weights import Model, load_model
from relion_ganpick.picking.network import MarkingNetwork

Image = NDArray[np.float32]
AnyPicker = TypeVar("AnyPicker", bound="Picker")


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
        "auto", "cpu", "cuda" or "cuda:N"; see `core.device.find_device`.
    model
        A loaded model; by default the one that ``settings`` names.

    Attributes
    ----------
    settings
        With the model's own threshold and localisation, where none were given.

    Raises
    ------
    GanpickError
        If the model cannot be loaded or the device is missing.
    """

    def __init__(self, settings: PickSettings, device: str = "auto", model: Model | None = None) -> None:
        self._take(settings, MarkingNetwork(model or load_model(settings.model), device))

    def _take(self, settings: PickSettings, network: MarkingNetwork) -> None:
        card = network.model.card
        threshold = card.threshold if settings.threshold is None else settings.threshold
        localization = card.localization if settings.localization == "auto" else settings.localization
        self.network, self.method, self.model = network, network.method, network.model
        self.settings = replace(settings, threshold=threshold, localization=localization)
        self.threshold = threshold

    def with_settings(self: AnyPicker, settings: PickSettings) -> AnyPicker:
        """Make a picker of the same kind with the same network and other settings."""
        other = object.__new__(type(self))
        other._take(settings, self.network)
        return other

    def at(self: AnyPicker, working_diameter: float) -> AnyPicker:
        """Make a picker that looks at the particle as if it had another diameter, in Angstrom."""
        return self.with_settings(replace(self.settings, working_diameter=working_diameter))

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return self.network.device

    @property
    def dtype(self) -> torch.dtype:
        """In which precision it does."""
        return self.network.dtype

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
            raise GanpickError(f"{micrograph.name}: its pixel size is not known: give `angpix`")
        diameter_px = self.settings.diameter / pixel_size
        shape = (pixels.shape[0], pixels.shape[1])
        what = f"a diameter of {self.settings.diameter:g} A ({diameter_px:.0f} pixels of {pixel_size:g} A)"
        if diameter_px > min(shape):
            raise GanpickError(f"{micrograph.name}: {what} is larger than the micrograph of {shape[1]} x {shape[0]} pixels")
        with np.errstate(invalid="ignore", over="ignore"):
            finite = np.isfinite(pixels.sum(dtype=np.float32))
        if not finite:
            raise GanpickError(f"{micrograph.name}: some pixels are NaN or infinite: make the micrograph again")
        area = find_image_area(pixels)
        inside = pixels[area.top : area.bottom, area.left : area.right]
        picture, scale = self.method.prepare(inside, pixel_size, self.settings, micrograph.name)
        return Prepared(picture, scale, area, shape, pixel_size)

    def mark(self, picture: Image) -> Image:
        """Mark one prepared picture, (h, w) float32 -> (c, h, w) float32, the generator's outputs; the first is the markers."""
        return self.mark_batch([picture])[0]

    def mark_batch(self, pictures: Sequence[Image]) -> list[Image]:
        """Mark prepared pictures of one size."""
        return self.method.mark(self.network, pictures)

    def locate(self, prepared: Prepared, marked: Image) -> Picks:
        """Turn what `mark` gave into picks in pixels of the file, with calibrated figures of merit, best first."""
        found = self.method.locate(marked[0], self.settings, prepared.scale, prepared.pixel_size)
        picks = prepared.scale.to_file(self.model.rescored(found, prepared.picture, marked))
        picks = Picks(picks.x + prepared.area.left, picks.y + prepared.area.top, np.round(picks.score, 4))
        picks = picks.inside(*_allowed(prepared, self.settings))
        return picks.rounded().thinned(self.settings.min_distance_angstrom / prepared.pixel_size)


def _allowed(prepared: Prepared, settings: PickSettings) -> tuple[float, float, float, float]:
    """Where picks may lie, as left, top, right, bottom in pixels of the file.

    A particle may hang over the micrograph's edge as far as the margin allows, but not over a frame: what is seen of it
    there is made up.
    """
    margin = settings.edge_margin_angstrom / prepared.pixel_size
    at_frame = max(margin, 0.5 * settings.diameter / prepared.pixel_size)
    area, (height, width) = prepared.area, prepared.shape
    return (
        area.left + (at_frame if area.left else margin),
        area.top + (at_frame if area.top else margin),
        area.right - 1 - (at_frame if area.right < width else margin),
        area.bottom - 1 - (at_frame if area.bottom < height else margin),
    )
