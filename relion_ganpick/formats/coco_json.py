"""COCO's JSON for detection: images, annotations with boxes, one category; one file for many micrographs.

COCO measures from the picture's outer corner, so that the first pixel's centre lies at (0.5, 0.5). A box is its corner of
smallest x and y, its width and its height. Rows of TIFF files count as they lie in the file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import read_json_object, write_atomic
from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.micrograph_picks import Format, MicrographPicks, corner, full_name, known_shape, numbers

ANNOTATIONS = "annotations"


def read(path: Path) -> list[MicrographPicks]:
    """Read boxes by image, of all categories.

    Raises
    ------
    GanpickError
        If it is no such file, or something in it is no box.
    """
    content = read_json_object(path)
    try:
        images = {each["id"]: each for each in content["images"]}
        by_image: dict[Any, list[Any]] = {key: [] for key in images}
        for each in content[ANNOTATIONS]:
            by_image[each["image_id"]].append(each)
        return [_image(path, images[key], rows) for key, rows in by_image.items()]
    except (KeyError, TypeError, IndexError) as error:
        raise GanpickError(f"{path}: not a COCO file with boxes: {error!r} is missing or wrong") from error


def write(path: Path, micrographs: Sequence[MicrographPicks]) -> None:
    """Write all micrographs, those without picks too."""
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for number, each in enumerate(micrographs, 1):
        height, width = known_shape(each)
        images.append({"id": number, "file_name": full_name(each), "width": width, "height": height})
        x, y, side = corner(each)
        for left, top, merit in zip(x, y, each.merit, strict=True):
            box = [float(left) + 0.5, float(top) + 0.5, float(side), float(side)]
            row: dict[str, object] = {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "bbox": box}
            row |= {"area": float(side * side), "iscrowd": 0} | ({"score": float(merit)} if each.scored else {})
            annotations.append(row)
    content = {"images": images, "categories": [{"id": 1, "name": "particle"}], ANNOTATIONS: annotations}
    write_atomic(path, json.dumps(content, indent=1) + "\n")


def is_coco(path: Path) -> bool:
    """Tell COCO's JSON from that of others."""
    try:
        return ANNOTATIONS in read_json_object(path)
    except GanpickError:
        return False


def _image(path: Path, image: Any, rows: list[Any]) -> MicrographPicks:
    left, top, width, height = (numbers([row["bbox"][k] for row in rows], path, "bbox") for k in range(4))
    scored = bool(rows) and all("score" in row for row in rows)
    merit = numbers([row["score"] for row in rows], path, "score") if scored else np.ones(len(rows))
    picks = Picks(left + width / 2 - 0.5, top + height / 2 - 0.5, merit)
    box = float(np.median((width + height) / 2)) if rows else None
    shape = (int(image["height"]), int(image["width"])) if "height" in image and "width" in image else None
    return MicrographPicks(str(image["file_name"]), picks, scored, box, path, shape)


FORMAT = Format("coco", "COCO JSON", ".json", read, write, None, is_coco, needs_box=True, file_rows=True)
