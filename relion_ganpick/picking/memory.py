"""Where there is no memory for all at once: half of the batch, then one picture, then tiles of it, ever smaller."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from relion_ganpick.core.faults import out_of_memory

log = logging.getLogger(__name__)

Image = NDArray[np.float32]


def in_halves(
    network: Callable[[Image], Image], pictures: Sequence[Image], alone: Callable[[Image], Image] | None = None
) -> list[Image]:
    """Mark pictures of one size together, or in ever smaller parts.

    Parameters
    ----------
    network
        Marks (n, h, w) float32 -> (n, c, h, w) float32.
    pictures
        What to mark.
    alone
        Marks a single picture for which even the network alone has no memory.

    Raises
    ------
    RuntimeError or MemoryError
        If there is no memory for a single picture.
    """
    try:
        return list(network(np.stack(pictures)))
    except Exception as error:
        if not out_of_memory(error) or (len(pictures) == 1 and alone is None):
            raise
        log.debug("no memory for %d pictures of %s pixels at a time", len(pictures), pictures[0].shape)
    # outside of the except clause: the error holds on to the memory that it was short of
    _give_back()
    if len(pictures) > 1:
        half = len(pictures) // 2
        return [*in_halves(network, pictures[:half], alone), *in_halves(network, pictures[half:], alone)]
    assert alone is not None
    return [alone(pictures[0])]


def with_smaller(ways: Sequence[Callable[[], Image]]) -> Image:
    """Try the first way, and the next one where there is no memory for it.

    Raises
    ------
    RuntimeError or MemoryError
        If there is none even for the last.
    """
    for way in ways[:-1]:
        try:
            return way()
        except Exception as error:
            if not out_of_memory(error):
                raise
        _give_back()
    return ways[-1]()


def _give_back() -> None:
    """Let go of what torch keeps of a GPU's memory for later."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
