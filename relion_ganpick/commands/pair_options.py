"""Options of the paper's training pairs, for ``ganpick train`` and ``ganpick simulate``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relion_ganpick.core.equalise import Grey
    from relion_ganpick.synthesis.pair_settings import PairSettings

PAIR_TEXTS = {
    "pairs": "number of training pairs",
    "size": "side of the pictures in pixels",
    "shape_diameter": "smallest and largest side of a shape, in pixels of 512 x 512",
    "shape_number": "smallest and largest number of shapes on a picture",
    "walk_length": "fewest and most steps of a shape's random walk (Algorithm 1)",
    "fade": "smallest and largest factor by which a shape is faded (Algorithm 2)",
    "marker_size": "side of the black markers in pixels",
    "noise_spread": "smallest and largest spread of the noise, in grey values",
    "noise_colour": "how fast the noise falls with the frequency: smallest and largest exponent",
    "smoothing": "smallest and largest smoothing of shapes and noise, in pixels",
}
BACKGROUNDS = "micrographs STAR file: areas without particles become backgrounds (default: pure noise)"


def add_setting(parser: argparse._ArgumentGroup, name: str, text: str, defaults: Mapping[str, Any]) -> None:
    """Add one option that takes the type of its defaults, which are given by preset; ranges take two values."""
    first = next(iter(defaults.values()))
    shown = "; ".join(f"{preset}: {_words(value)}" for preset, value in defaults.items())
    if isinstance(first, tuple):
        parser.add_argument(
            f"--{name}",
            type=type(first[0]),
            nargs=2,
            metavar=("LOW", "HIGH"),
            default=argparse.SUPPRESS,
            help=f"{text} ({shown})",
        )
    else:
        parser.add_argument(f"--{name}", type=type(first), default=argparse.SUPPRESS, help=f"{text} ({shown})")


def find_backgrounds(star: str, settings: PairSettings, picture: Path) -> list[Grey]:
    """Find areas without particles in the micrographs of a STAR file, and say where they are shown."""
    from relion_ganpick.commands.backgrounds import find_areas, locate_files
    from relion_ganpick.formats.micrographs_star import read_micrographs

    path = Path(star)
    files = locate_files([entry.name for entry in read_micrographs(path)], path)
    areas = find_areas(files, settings.shape_diameter, picture)
    print(f"{len(areas)} areas without particles: see {picture}", flush=True)
    return areas


def _words(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(f"{each:g}" for each in value)
    return f"{value:g}" if isinstance(value, int | float) else str(value) or "none"
