"""Micrograph to picks: prepare, mark, locate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from relion_ganpick.core.blank import Mask, distance_from
from relion_ganpick.core.cut import Cut
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.frame import ImageArea, find_image_area
from relion_ganpick.core.micrograph import Micrograph
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.scale import Scale
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.evidence.approved import picked_like
from relion_ganpick.evidence.assess import gather_evidence, judged
from relion_ganpick.evidence.record import Evidence
from relion_ganpick.evidence.view import View, view_of
from relion_ganpick.model.weights import Model, load_model
from relion_ganpick.picking.network import MarkingNetwork

if TYPE_CHECKING:
    from relion_ganpick.picking.seen import Marks

Image = NDArray[np.float32]
LEAST_IMAGE = 0.04  # share of the image area where there must be an image
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
    name
        The file as the caller named it.
    blank
        (h, w) bool, where in the picture there is no image; None where there is image everywhere.
    """

    picture: Image
    scale: Scale
    area: ImageArea
    shape: tuple[int, int]
    pixel_size: float
    name: str = ""
    blank: Mask | None = None

    @property
    def without_image(self) -> float:
        """Share of the image area that holds no image."""
        return 0.0 if self.blank is None else float(self.blank.mean())


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
    weighs_sets
        Whether picks are judged by the evidence of their set: by a model with a judge, where markers become picks by peaks.
    knows_particle
        Whether the model has learned from particles that a user has kept, and picks by them.
    evidence
        What is known of the set that is picked (`with_evidence`); None where each micrograph is a set of its own.
    asked_threshold
        The threshold that was given, if one was.
    marks
        What this picker has marked already of the run that it is for; None if nothing.

    Raises
    ------
    GanpickError
        If the model cannot be loaded or the device is missing.
    """

    def __init__(self, settings: PickSettings, device: str = "auto", model: Model | None = None) -> None:
        self._take(settings, MarkingNetwork(model or load_model(settings.model), device))

    def _take(self, settings: PickSettings, network: MarkingNetwork) -> None:
        card = network.model.card
        localization = card.localization if settings.localization == "auto" else settings.localization
        self.network, self.method, self.model = network, network.method, network.model
        of_sets = localization == "peaks" and self.method.follows_size
        self.knows_particle = self.model.approved is not None and of_sets
        self.weighs_sets = self.model.judge is not None and of_sets and not self.knows_particle
        threshold = settings.threshold
        if threshold is None:
            threshold = card.strict if self.weighs_sets else card.threshold
        self.settings = replace(settings, threshold=threshold, localization=localization)
        self.threshold, self.asked_threshold = threshold, settings.threshold
        self.evidence: Evidence | None = None
        self.marks: Marks | None = None

    def with_settings(self: AnyPicker, settings: PickSettings) -> AnyPicker:
        """Make a picker of the same kind with the same network and other settings."""
        other = object.__new__(type(self))
        other._take(settings, self.network)
        return other

    def at(self: AnyPicker, working_diameter: float) -> AnyPicker:
        """Make a picker that looks at the particle as if it had another diameter, in Angstrom."""
        return self.with_settings(replace(self.settings, working_diameter=working_diameter, threshold=self.asked_threshold))

    def with_evidence(self: AnyPicker, evidence: Evidence) -> AnyPicker:
        """Make a picker that knows the set that it picks; the set's cut is its threshold, unless one was given."""
        other = self.with_settings(replace(self.settings, threshold=self.asked_threshold))
        other.evidence = evidence
        if self.asked_threshold is None:
            other.threshold = evidence.point.cut
            other.settings = replace(other.settings, threshold=other.threshold)
        return other

    @property
    def cut(self) -> Cut:
        """Which of the scored picks of a micrograph are kept."""
        return Cut(self.threshold, self.settings.best, self.settings.most)

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
        Picks in pixels of the file, best first, at or above the threshold, and no more than ``best`` and ``most`` allow.

        Raises
        ------
        GanpickError
            If the micrograph has no usable image at this diameter; the message says why.
        """
        picks, threshold = self._picked(micrograph)
        return replace(self.cut, threshold=threshold).keep(picks)

    def score(self, micrograph: Micrograph) -> Picks:
        """Pick one micrograph and keep everything above a low floor."""
        return self._picked(micrograph)[0]

    def score_alone(self, micrograph: Micrograph) -> Picks:
        """Pick one micrograph by what the generator says and no more: no evidence of a set counts."""
        prepared = self.prepare(micrograph)
        return self._in_file(prepared, self._located_alone(prepared, self.mark(prepared.picture)))

    def prepare(self, micrograph: Micrograph) -> Prepared:
        """Bring a micrograph to the working scale; needs no device and may run in any thread."""
        pixels, pixel_size = micrograph.pixels, checked_pixel_size(micrograph)
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
        picture, scale, blank = self.method.prepare(inside, pixel_size, self.settings, micrograph.name)
        if blank is not None and np.count_nonzero(~blank) < LEAST_IMAGE * blank.size:
            raise GanpickError(f"{micrograph.name}: {blank.mean():.0%} of it holds no image: too little is left to pick from")
        return Prepared(picture, scale, area, shape, pixel_size, micrograph.name, blank)

    def mark(self, picture: Image) -> Image:
        """Mark one prepared picture, (h, w) float32 -> (c, h, w) float32, the generator's outputs; the first is the markers."""
        return self.mark_batch([picture])[0]

    def mark_batch(self, pictures: Sequence[Image]) -> list[Image]:
        """Mark prepared pictures of one size."""
        return self.method.mark(self.network, pictures)

    def locate(self, prepared: Prepared, marked: Image) -> Picks:
        """Turn what `mark` gave into picks in pixels of the file, with calibrated figures of merit, best first.

        Without evidence of a set, the micrograph is a set of its own.
        """
        if self.knows_particle:
            return self._in_file(prepared, picked_like(self.model, prepared.picture, marked, self.min_distance_px(prepared)))
        if not self.weighs_sets:
            return self._in_file(prepared, self._located_alone(prepared, marked))
        view = view_of(prepared.picture, marked, prepared.blank)
        evidence = self.evidence or self.gather([(prepared, view)])
        return self._in_file(prepared, judged(self.model, view, prepared.name, evidence, self.min_distance_px(prepared)))

    def view(self, prepared: Prepared) -> View:
        """Mark a prepared micrograph for `gather`."""
        return view_of(prepared.picture, self.mark(prepared.picture), prepared.blank)

    def gather(self, looked_at: Sequence[tuple[Prepared, View]]) -> Evidence:
        """Find out what micrographs of one particle say together (`evidence.assess`)."""
        names = [prepared.name for prepared, _ in looked_at]
        distance = self.min_distance_px(looked_at[0][0])
        return gather_evidence(self.model, [view for _, view in looked_at], names, distance)

    def _picked(self, micrograph: Micrograph) -> tuple[Picks, float]:
        """Pick one micrograph, and tell the threshold that holds for it: its own where it is a set of its own."""
        prepared = self.prepare(micrograph)
        marked = self.mark(prepared.picture)
        if not self.weighs_sets or self.evidence is not None:
            return self.locate(prepared, marked), self.threshold
        of_itself = self.with_evidence(self.gather([(prepared, view_of(prepared.picture, marked, prepared.blank))]))
        return of_itself.locate(prepared, marked), of_itself.threshold

    def _located_alone(self, prepared: Prepared, marked: Image) -> Picks:
        """Turn markers into picks in pixels of the working scale, judged by this micrograph alone."""
        found = self.method.locate(marked[0], self.settings, prepared.scale, prepared.pixel_size)
        return self.model.rescored(found, prepared.picture, marked, 1 - prepared.without_image)

    def _in_file(self, prepared: Prepared, picks: Picks) -> Picks:
        """Bring picks to pixels of the file, as far as they are allowed and apart from each other."""
        picks = prepared.scale.to_file(picks)
        picks = Picks(picks.x + prepared.area.left, picks.y + prepared.area.top, np.round(picks.score, 4))
        picks = _off_blank(picks.inside(*_allowed(prepared, self.settings)), prepared, self.settings)
        return picks.rounded().thinned(self.settings.min_distance_angstrom / prepared.pixel_size)

    def min_distance_px(self, prepared: Prepared) -> float:
        """Smallest distance between two picks in pixels of the working scale."""
        return self.settings.min_distance_angstrom / prepared.pixel_size / max(prepared.scale.factors)


def checked_pixel_size(micrograph: Micrograph) -> float:
    """Give Angstrom per pixel of a micrograph.

    Raises
    ------
    GanpickError
        If they are not known.
    """
    if micrograph.pixel_size is None or not micrograph.pixel_size > 0:
        raise GanpickError(f"{micrograph.name}: its pixel size is not known: give `angpix`")
    return micrograph.pixel_size


def _allowed(prepared: Prepared, settings: PickSettings) -> tuple[float, float, float, float]:
    """Where picks may lie, as left, top, right, bottom in pixels of the file.

    A particle may hang over the micrograph's edge as far as the margin allows, but not over a frame: what is seen of it
    there is made up.
    """
    margin, at_frame = settings.edge_margin_angstrom / prepared.pixel_size, _from_frame(prepared, settings)
    area, (height, width) = prepared.area, prepared.shape
    return (
        area.left + (at_frame if area.left else margin),
        area.top + (at_frame if area.top else margin),
        area.right - 1 - (at_frame if area.right < width else margin),
        area.bottom - 1 - (at_frame if area.bottom < height else margin),
    )


def _off_blank(picks: Picks, prepared: Prepared, settings: PickSettings) -> Picks:
    """Leave out the picks, in pixels of the file, that are as near to an area without image as none may be to a frame."""
    if prepared.blank is None:
        return picks
    away = distance_from(prepared.blank, prepared.scale.factors)
    here = prepared.scale.to_working(Picks(picks.x - prepared.area.left, picks.y - prepared.area.top, picks.score))
    row = np.clip(np.rint(here.y).astype(int), 0, away.shape[0] - 1)
    column = np.clip(np.rint(here.x).astype(int), 0, away.shape[1] - 1)
    return picks.where(away[row, column] >= _from_frame(prepared, settings))


def _from_frame(prepared: Prepared, settings: PickSettings) -> float:
    """Smallest distance of a pick from where there is no image, in pixels of the file."""
    return max(settings.edge_margin_angstrom, 0.5 * settings.diameter) / prepared.pixel_size
