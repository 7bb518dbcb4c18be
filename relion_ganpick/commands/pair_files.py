"""Training pairs of the paper as files, so that they can be looked at."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import cv2

from relion_ganpick.core.equalise import Grey
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.synthesis.pair_settings import PairSettings
from relion_ganpick.synthesis.paper import make_pair
from relion_ganpick.version import __version__


def write_pairs(settings: PairSettings, folder: Path, areas: Sequence[Grey] = ()) -> Iterator[tuple[Path, int]]:
    """Write input/NNN.png, truth/NNN.png and centres/NNN.csv of every pair, and pairs.json with the settings.

    They are the pairs that a training run with these settings sees.

    Yields
    ------
    Path of the input picture, and number of shapes, as soon as a pair is there.

    Raises
    ------
    GanpickError
        If a file cannot be written.
    """
    for name in ("input", "truth", "centres"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "pairs.json").write_text(json.dumps({"version": __version__, "settings": asdict(settings)}, indent=1) + "\n")
    for index in range(settings.pairs):
        pair = make_pair(settings, index, areas)
        stem = f"{index:03d}"
        for name, picture in (("input", pair.picture), ("truth", pair.truth)):
            path = folder / name / f"{stem}.png"
            if not cv2.imwrite(str(path), picture):
                raise GanpickError(f"{path}: the picture cannot be written")
        with open(folder / "centres" / f"{stem}.csv", "w", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(("x", "y"))
            writer.writerows((int(x), int(y)) for x, y in pair.centres)
        yield folder / "input" / f"{stem}.png", len(pair.centres)
