"""Pictures of RELION's 2D class averages: the largest first, good ones framed in green, the others in red."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import mrcfile
from relion_runs import read_classes

COLUMNS = 10


def draw_classes(model: Path, good: Sequence[int], path: Path) -> None:
    """Draw the averages of a classification.

    Parameters
    ----------
    model
        The model STAR file of its last iteration; the averages lie beside it.
    good
        Numbers of the good classes, from 1.
    path
        The PNG file.
    """
    averages = mrcfile.read(model.with_name(model.name.replace("_model.star", "_classes.mrcs")))
    table = read_classes(model).sort_values("share", ascending=False)
    columns = min(COLUMNS, len(table))
    rows = -(-len(table) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(columns, 1.25 * rows), squeeze=False, layout="constrained")
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (number, facts) in zip(axes.flat, table.iterrows(), strict=False):
        axis.set_axis_on()
        axis.imshow(averages[int(str(number)) - 1], cmap="gray")
        axis.set(xticks=[], yticks=[])
        axis.set_title(f"{100 * facts['share']:.0f} %, {facts['resolution']:.0f} A", fontsize=6)
        for side in axis.spines.values():
            side.set(color="limegreen" if number in good else "red", linewidth=2)
    figure.savefig(path, dpi=130)
    plt.close(figure)
