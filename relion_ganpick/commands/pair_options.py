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
    "pairs": "number of synthetic pairs",
    "size": "side of the synthetic pictures in pixels",
    "shape_diameter": "range of the shapes' side in pixels of 512 x 512",
    "shape_number": "range of the number of shapes on a picture",
    "walk_length": "range of the steps of a shape's random walk (Algorithm 1)",
    "fade": "range of the factor that a shape is multiplied by before it is subtracted (Algorithm 2)",
    "marker_size": "side of the black markers in pixels",
    "noise_spread": "range of the spread of a background of pure noise in grey values",
    "noise_colour": "range of the exponent with which a background of pure noise falls with the frequency",
    "smoothing": "range of the smoothing of shapes and of a background of pure noise in pixels",
}
BACKGROUNDS = "micrographs STAR file, whose areas without particles become backgrounds; pure noise without it"


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
