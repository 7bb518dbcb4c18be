"""Synthetic pictures made in other processes while this one trains or picks."""

from __future__ import annotations

from typing import Any

import cv2
from torch.utils.data import DataLoader, Dataset


def in_order(pictures: Dataset[Any], workers: int) -> DataLoader[Any]:
    """Iterate over a data set in order, item by item, made ahead in worker processes; 0 makes them in this one."""
    return DataLoader(
        pictures,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_one_thread,
        collate_fn=_as_it_is,
    )


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)


def _as_it_is(item: Any) -> Any:
    return item
