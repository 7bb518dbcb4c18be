"""EMAN2's ``info/<micrograph>_info.json``: a list ``boxes`` of [x, y, kind], centres in pixels, one file a micrograph."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import read_json_object, write_atomic
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.micrograph_picks import Format, MicrographPicks, numbers
from relion_ganpick.formats.names import micrograph_stem

BOXES, SUFFIX, KIND = "boxes", "_info", "manual"


def read(path: Path) -> list[MicrographPicks]:
    """Read boxes.

    Raises
    ------
    GanpickError
        If there are none, or they are those of a tomogram.
    """
    boxes = read_json_object(path).get(BOXES)
    if not isinstance(boxes, list):
        raise GanpickError(f"{path}: has no list of {BOXES}")
    if any(not isinstance(box, list) or len(box) < 2 for box in boxes):
        raise GanpickError(f"{path}: something in {BOXES} is no box: [x, y, kind] is needed")
    if any(len(box) > 2 and isinstance(box[2], (int, float)) for box in boxes):
        raise GanpickError(f"{path}: its boxes have a third coordinate: tomograms are not read")
    x, y = (numbers([box[k] for box in boxes], path, BOXES) for k in range(2))
    stem = path.stem.removesuffix(SUFFIX)
    return [MicrographPicks(micrograph_stem(f"{stem}.json"), Picks(x, y, np.ones(len(boxes))), False, None, path)]


def write_each(folder: Path, each: MicrographPicks) -> Path:
    """Write one micrograph's boxes, in whole pixels; what else EMAN2 has in the file stays there."""
    path = folder / f"{each.stem}{SUFFIX}.json"
    content = read_json_object(path) if path.is_file() else {}
    content[BOXES] = [[int(x), int(y), KIND] for x, y in np.rint(each.picks.xy)]
    write_atomic(path, json.dumps(content, indent=0) + "\n")
    return path


def is_eman(path: Path) -> bool:
    """Tell EMAN2's JSON from that of others."""
    try:
        return BOXES in read_json_object(path)
    except GanpickError:
        return False


FORMAT = Format("eman2", "EMAN2 JSON", ".json", read, None, write_each, is_eman)
