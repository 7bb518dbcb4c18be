"""Picks as CryoSPARC's particle locations: pure numpy, without any server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryosparc_tool.data.exposures import Exposure
from cryosparc_tool.data.power import RatedPicks
from cryosparc_tool.server.interface import Field

Columns = dict[str, NDArray[Any]]

FIELDS: tuple[Field, ...] = (
    ("location/micrograph_uid", "<u8"),
    ("location/exp_group_id", "<u4"),
    ("location/micrograph_path", "|O"),
    ("location/micrograph_shape", "<u4", (2,)),
    ("location/center_x_frac", "<f4"),
    ("location/center_y_frac", "<f4"),
    ("location/min_dist_A", "<f4"),
    ("location/micrograph_psize_A", "<f4"),
    ("pick_stats/ncc_score", "<f4"),
    ("pick_stats/power", "<f4"),
    ("pick_stats/template_idx", "<u4"),
    ("pick_stats/angle_rad", "<f4"),
)


def all_fields(expected: Sequence[Field]) -> list[Field]:
    """Columns that the server expects, and those of ours that it does not name."""
    names = {field[0] for field in expected}
    return [*expected, *(field for field in FIELDS if field[0] not in names)]


def pick_columns(items: Sequence[tuple[Exposure, RatedPicks]], min_distance: float) -> Columns:
    """Put the picks of many micrographs into columns.

    An index k of N pixels is stored as k / N, x along the columns and y along the rows of the file, without any flip.

    Parameters
    ----------
    items
        Exposures with their picks in pixels.
    min_distance
        Smallest distance between two picks in Angstrom.

    Returns
    -------
    Columns by name, one row for each pick, in the types of `FIELDS`.
    """
    counts = [len(picks) for _, picks in items]

    def repeated(values: Sequence[Any], kind: Any) -> NDArray[Any]:
        return np.repeat(np.array(values, dtype=kind), counts, axis=0)

    def joined(name: str) -> NDArray[np.float64]:
        return np.concatenate([getattr(picks, name) for _, picks in items]) if items else np.empty(0)

    exposures = [exposure for exposure, _ in items]
    shapes = repeated([each.shape for each in exposures], np.uint32).reshape(-1, 2)
    n = int(sum(counts))
    return {
        "location/micrograph_uid": repeated([each.uid for each in exposures], np.uint64),
        "location/exp_group_id": repeated([each.group for each in exposures], np.uint32),
        "location/micrograph_path": repeated([each.path for each in exposures], object),
        "location/micrograph_shape": shapes,
        "location/center_x_frac": (joined("x") / shapes[:, 1]).astype(np.float32),
        "location/center_y_frac": (joined("y") / shapes[:, 0]).astype(np.float32),
        "location/min_dist_A": np.full(n, min_distance, np.float32),
        "location/micrograph_psize_A": repeated([each.pixel_size or 0.0 for each in exposures], np.float32),
        "pick_stats/ncc_score": joined("score").astype(np.float32),
        "pick_stats/power": joined("power").astype(np.float32),
        "pick_stats/template_idx": np.zeros(n, np.uint32),
        "pick_stats/angle_rad": np.zeros(n, np.float32),
    }


def pick_dataset(dataset_class: Any, columns: Columns, expected: Sequence[Field]) -> Any:
    """Fill a dataset of the client.

    Parameters
    ----------
    dataset_class
        ``cryosparc.dataset.Dataset``.
    columns
        As `pick_columns` gives.
    expected
        Columns that the server asks for; those unknown to us stay 0 or empty.
    """
    dataset = dataset_class.allocate(len(columns["location/micrograph_uid"]), all_fields(expected))
    for name, values in columns.items():
        dataset[name] = values
    return dataset
