"""One micrograph as the page shows it: grey layers as small pictures, picks with their figure of merit and local power."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.frame import ImageArea, find_image_area
from relion_ganpick.core.micrograph import Micrograph, read_micrograph
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.power import local_power
from relion_ganpick.core.preprocess import FILLED, PARTICLE_PX, resize
from relion_ganpick.core.scale import Scale, working_scale
from relion_ganpick.core.standardise import standardise
from relion_ganpick.formats.pick_files import State, inspect_picks, read_picks
from relion_ganpick.inspect.job import Job
from relion_ganpick.inspect.scores import scored_picks
from relion_ganpick.report.overlays import LONGEST_SIDE, shrunk

if TYPE_CHECKING:
    from relion_ganpick.picking.stream import Sight

Image = NDArray[np.float32]
Grey = NDArray[np.uint8]

QUALITY = 62  # of JPEG: the noise keeps its looks, and a report its size
FILTERED_REACH = 4.0  # spreads about the median that become black and white
PLAIN_PERCENTILES = (0.2, 99.8)
HAND = -1.0
"""Stands for the figure of merit of a pick that a person has set."""


@dataclass(frozen=True)
class Looks:
    """A micrograph at the working scale and at the size that the page shows.

    Attributes
    ----------
    shape
        (h, w) of the micrograph in pixels of the file.
    pixel_size
        Angstrom per pixel of the file.
    area
        Where the image is, in pixels of the file.
    scale
        From the working scale to the image area.
    picture
        (h', w') float32, the image area as the network sees it; bright particles are made dark.
    plain
        (h'', w'') uint8, the whole micrograph, only shrunk.
    """

    shape: tuple[int, int]
    pixel_size: float
    area: ImageArea
    scale: Scale
    picture: Image
    plain: Grey

    def power(self, picks: Picks, diameter: float) -> NDArray[np.float64]:
        """Local power at picks in pixels of the file, (n,) float64; ``diameter`` in Angstrom."""
        at = self.scale.to_working(Picks(picks.x - self.area.left, picks.y - self.area.top, picks.score))
        diameter_px = diameter / self.pixel_size / float(np.mean(self.scale.factors))
        return local_power(self.picture, at.x, at.y, diameter_px)


def look_at(path: Path, pixel_size: float | None, diameter: float, contrast: str = "dark") -> Looks:
    """Read a micrograph and shrink it.

    Parameters
    ----------
    path
        The micrograph.
    pixel_size
        Angstrom per pixel; None takes the file's own.
    diameter
        Working diameter in Angstrom.
    contrast
        "dark" or "bright" particles.

    Raises
    ------
    GanpickError
        If the file cannot be read, or nobody says how large its pixels are.
    """
    return look_into(read_micrograph(path, pixel_size), diameter, contrast)


def look_into(micrograph: Micrograph, diameter: float, contrast: str = "dark") -> Looks:
    """Shrink a micrograph that has been read, see `look_at`."""
    if not micrograph.pixel_size:
        raise GanpickError(f"{micrograph.name}: its pixel size is not known")
    pixels = micrograph.pixels
    area = find_image_area(pixels)
    inside = pixels[area.top : area.bottom, area.left : area.right]
    scale = working_scale((inside.shape[0], inside.shape[1]), FILLED * diameter / micrograph.pixel_size, PARTICLE_PX)
    picture, _ = standardise(resize(inside, scale.working_shape), PARTICLE_PX, contrast)
    shape = (pixels.shape[0], pixels.shape[1])
    return Looks(shape, micrograph.pixel_size, area, scale, picture, _grey(shrunk(pixels)))


def looks_of(sight: Sight) -> Looks:
    """Take what a run has seen of a micrograph while picking it."""
    prepared = sight.prepared
    return Looks(prepared.shape, prepared.pixel_size, prepared.area, prepared.scale, prepared.picture, _grey(sight.small))


def filtered(picture: Image) -> Grey:
    """Grey values of what the network sees: the median is the middle, four spreads either way black and white."""
    return np.asarray(np.clip(127.5 + 127.5 / FILTERED_REACH * picture, 0, 255), np.uint8)


def details(job: Job, index: int, looks: Looks | None, scored: Picks | None = None) -> dict[str, Any]:
    """Everything that the page shows of one micrograph, ready for JSON.

    Parameters
    ----------
    job
        The job.
    index
        Number of the micrograph.
    looks
        Its picture; None where it cannot be read: then there are circles only.
    scored
        Every scored pick; by default they are read.
    """
    picks = scored_picks(job, index) if scored is None else scored
    content: dict[str, Any] = {
        "index": index,
        "picks": columns(picks),
        "file": None,
        "layers": {},
        "size": None,
        "diameter_px": None,
    }
    if looks is not None:
        content["size"] = [looks.shape[1], looks.shape[0]]
        content["diameter_px"] = job.diameter / looks.pixel_size
        content["picks"]["power"] = looks.power(picks, job.diameter).round(3).tolist()
        content["layers"] = layers(looks)
    if inspect_picks(job.coordinates[index]).state is State.EDITED:
        content["file"] = columns(read_picks(job.coordinates[index]))
    return content


def layers(looks: Looks) -> dict[str, Any]:
    """Pictures by layer: where they lie in pixels of the file (left, top, width, height), and a data address."""
    area, (height, width) = looks.area, looks.shape
    box = [area.left, area.top, area.right - area.left, area.bottom - area.top]
    return {
        "filtered": {"box": box, "picture": _jpeg(_at_most(filtered(looks.picture)))},
        "plain": {"box": [0, 0, width, height], "picture": _jpeg(looks.plain)},
    }


def contamination_layer(share: Image, area: ImageArea) -> dict[str, Any]:
    """Layer of a contamination map, (h, w) float32 chances at the working scale of an image area."""
    small = _at_most(np.asarray(np.clip(255 * share, 0, 255), np.uint8), LONGEST_SIDE // 2)
    box = [area.left, area.top, area.right - area.left, area.bottom - area.top]
    return {"box": box, "picture": _jpeg(small), "share": round(float((share >= 0.5).mean()), 4)}


def columns(picks: Picks) -> dict[str, list[float]]:
    """Columns of picks for JSON; a figure of merit that is none, as Display writes it, becomes that of a pick by hand."""
    score = np.where((picks.score >= 0) & (picks.score <= 1), picks.score, HAND)
    return {"x": picks.x.round(2).tolist(), "y": picks.y.round(2).tolist(), "score": score.round(4).tolist()}


def _grey(small: Image) -> Grey:
    low, high = np.percentile(small, PLAIN_PERCENTILES)
    return np.asarray(np.clip(255 * (small - low) / max(float(high - low), 1e-6), 0, 255), np.uint8)


def _at_most(picture: Grey, side: int = LONGEST_SIDE) -> Grey:
    shrink = max(picture.shape) / side
    if shrink <= 1:
        return picture
    size = (max(round(picture.shape[1] / shrink), 1), max(round(picture.shape[0] / shrink), 1))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _jpeg(picture: Grey) -> str:
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
