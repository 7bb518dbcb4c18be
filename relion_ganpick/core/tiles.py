"""Cut a picture that is too large for one pass into overlapping tiles, and put the results together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Tile:
    """Rows and columns of the picture that a tile reads, and of the part of its result that is kept."""

    read: tuple[slice, slice]
    keep: tuple[slice, slice]
    within: tuple[slice, slice]


def tiles(shape: tuple[int, int], core: int, margin: int) -> Iterator[Tile]:
    """Cover a picture with tiles.

    Parameters
    ----------
    shape
        (h, w) in pixels.
    core
        Side of the part of a tile that is kept.
    margin
        Pixels around it that are read but not kept; where it is at least the network's reach, the assembled result
        is the same as that of one pass.
    """
    for top in range(0, shape[0], core):
        for left in range(0, shape[1], core):
            bottom, right = min(top + core, shape[0]), min(left + core, shape[1])
            y0, x0 = max(top - margin, 0), max(left - margin, 0)
            y1, x1 = min(bottom + margin, shape[0]), min(right + margin, shape[1])
            yield Tile(
                (slice(y0, y1), slice(x0, x1)),
                (slice(top, bottom), slice(left, right)),
                (slice(top - y0, bottom - y0), slice(left - x0, right - x0)),
            )


def by_tiles(picture: Image, function: Callable[[Image], Image], core: int, margin: int) -> Image:
    """Apply a function (h, w) -> (..., h, w) to a picture tile by tile."""
    out: Image | None = None
    for tile in tiles((picture.shape[0], picture.shape[1]), core, margin):
        found = function(picture[tile.read])
        if out is None:
            out = np.empty((*found.shape[:-2], *picture.shape), found.dtype)
        out[(..., *tile.keep)] = found[(..., *tile.within)]
    assert out is not None
    return out
