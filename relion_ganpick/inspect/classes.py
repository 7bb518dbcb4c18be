"""Class averages of a job's picks: what it is, on the whole, that was picked."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from relion_ganpick.adaptation.averages import HALF, N_TURNS, best_fits, cut_out, nearest_average, turned_by
from relion_ganpick.core.picks import Picks
from relion_ganpick.inspect.pictures import Looks

Image = NDArray[np.float32]

N_CLASSES = 20
FEW_PATCHES, FIRST_ROUNDS = 300, 7
MOST_PATCHES, LAST_ROUNDS = 1000, 3
AT_ONCE = 4000
"""Patches that are sorted at a time: to turn the averages takes as long as to compare so many."""
FEWEST_PATCHES, FEWEST_OF_CLASS = 20, 5
SIDE = 96
REACH = 4.0
"""Spreads of an average's pixels about their mean that become black and white."""


@dataclass(frozen=True)
class Averages:
    """Averages of picks that look alike.

    Attributes
    ----------
    pictures
        (k, s, s) float32, the class with most members first.
    counts
        (k,) members among the picks that were sorted.
    merits
        (k,) their mean figure of merit.
    n_micrographs
        From how many micrographs they come.
    """

    pictures: Image
    counts: tuple[int, ...]
    merits: tuple[float, ...]
    n_micrographs: int

    def payload(self) -> dict[str, Any]:
        """For the page, ready for JSON."""
        classes = [
            {"picture": _png(picture), "count": count, "merit": round(merit, 4)}
            for picture, count, merit in zip(self.pictures, self.counts, self.merits, strict=True)
        ]
        return {"classes": classes, "n": sum(self.counts), "micrographs": self.n_micrographs}


def averages_of(looks: Mapping[int, Looks], kept: Mapping[int, Picks], seed: int = 1) -> Averages | None:
    """Sort the picks of some micrographs into at most 20 classes by what they look like, and average each.

    Parameters
    ----------
    looks
        Pictures by micrograph.
    kept
        Picks by micrograph, in pixels of the file. At most 1000 of them make the classes; all are counted.
    seed
        Names the random streams.

    Returns
    -------
    The averages; None where there are fewer than 20 picks.
    """
    patches = [patches_of(looks[index], kept[index]) for index in looks]
    every = np.concatenate(patches) if patches else np.empty((0, 1, 1), np.float32)
    if len(every) < FEWEST_PATCHES:
        return None
    merit = np.concatenate([kept[index].score for index in looks])
    rng = np.random.default_rng((seed, 3))
    n_classes = max(min(N_CLASSES, len(every) // FEWEST_OF_CLASS), 1)
    means = _means(every[rng.permutation(len(every))[:MOST_PATCHES]], n_classes, rng)
    nearest = nearest_average(every, means)
    counts = np.bincount(nearest, minlength=len(means))
    order = [int(k) for k in np.argsort(-counts, kind="stable") if counts[k]]
    merits = tuple(float(merit[nearest == k].mean()) for k in order)
    return Averages(np.asarray(means[order]), tuple(int(counts[k]) for k in order), merits, len(patches))


def _means(patches: Image, n_classes: int, rng: np.random.Generator) -> Image:
    """Find averages by k-means, (k, s, s) float32: in turn patches join the nearest one, turned and mirrored as fits best.

    They begin as means of random parts, and settle on few patches before all are sorted; a class that nobody joins is left out.
    """
    some = patches[:FEW_PATCHES]
    means = _mean_of_each(some, rng.integers(n_classes, size=len(some)), rng.integers(2 * N_TURNS, size=len(some)))
    for sorted_now in [some] * FIRST_ROUNDS + [patches] * LAST_ROUNDS:
        means = _mean_of_each(sorted_now, *best_fits(sorted_now, means))
    return means


def _mean_of_each(patches: Image, member: NDArray[np.intp], turn: NDArray[np.intp]) -> Image:
    fitted = turned_by(patches, turn)
    return np.stack([fitted[member == k].mean(axis=0) for k in np.unique(member)])


def classes_of(looks: Looks, picks: Picks, averages: Averages) -> NDArray[np.intp]:
    """Find the number of the average that each pick looks most like, (n,)."""
    patches = patches_of(looks, picks)
    return nearest_average(patches, averages.pictures) if len(patches) else np.empty(0, np.intp)


def classes_of_each(
    looks: Mapping[int, Looks], picks: Mapping[int, Picks], averages: Averages
) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Do the same for micrographs by number, several at a time; yields each number with the classes of its picks."""
    waiting: dict[int, Image] = {}
    for index in looks:
        waiting[index] = patches_of(looks[index], picks[index])
        if sum(map(len, waiting.values())) >= AT_ONCE:
            yield from _sorted(waiting, averages)
            waiting = {}
    yield from _sorted(waiting, averages)


def _sorted(patches: Mapping[int, Image], averages: Averages) -> Iterator[tuple[int, NDArray[np.intp]]]:
    if any(map(len, patches.values())):
        classes = nearest_average(np.concatenate(list(patches.values())), averages.pictures)
    else:
        classes = np.empty(0, np.intp)
    ends = np.cumsum([len(each) for each in patches.values()])
    yield from zip(patches, np.split(classes, ends)[:-1], strict=True)


def patches_of(looks: Looks, picks: Picks) -> Image:
    """Cut a square of two diameters around every pick, (n, s, s) float32; beyond the edge the picture is mirrored."""
    at = looks.scale.to_working(Picks(picks.x - looks.area.left, picks.y - looks.area.top, picks.score))
    height, width = looks.picture.shape
    middle = np.clip(np.rint(at.xy), 0, (width - 1, height - 1))
    return cut_out(np.pad(looks.picture, HALF + 1, "symmetric"), middle + HALF + 1)


def _png(picture: Image) -> str:
    spread = REACH * float(picture.std()) or 1.0
    grey = np.clip(127.5 + 127.5 * (picture - picture.mean()) / spread, 0, 255).astype(np.uint8)
    large = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return "data:image/png;base64," + base64.b64encode(cv2.imencode(".png", large)[1].tobytes()).decode()
