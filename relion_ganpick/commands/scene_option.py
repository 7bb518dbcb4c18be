"""Option of ``ganpick train`` that changes what the synthetic micrographs hold."""

from __future__ import annotations

import argparse
from dataclasses import replace

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.synthesis.scene_settings import RANGES, SHARES, SceneSettings


def add_scene_option(parser: argparse._ArgumentGroup, text: str) -> None:
    """Add ``--scene NAME=VALUE ...``."""
    parser.add_argument(
        "--scene",
        nargs="+",
        metavar="NAME=VALUE",
        default=argparse.SUPPRESS,
        help=f"{text}. Share of pictures with {', '.join(SHARES)}, such as ice=0.5. "
        f"Range of {', '.join(RANGES)}, such as contrast=0.5,4",
    )


def read_scene(words: list[str]) -> SceneSettings:
    """Turn ``NAME=VALUE`` words into settings; what is not named keeps its default.

    Raises
    ------
    GanpickError
        If a name is unknown or a value is not what it should be.
    """
    changes: dict[str, float | tuple[float, float]] = {}
    for word in words:
        name, _, text = word.partition("=")
        if name not in (*SHARES, *RANGES):
            raise GanpickError(f"--scene {word}: {name!r} is not known; the names are {', '.join((*SHARES, *RANGES))}")
        try:
            values = [float(each) for each in text.split(",")]
        except ValueError:
            values = []
        if name in SHARES:
            if len(values) != 1 or not 0 <= values[0] <= 1:
                raise GanpickError(f"--scene {word}: give {name} as a share from 0 to 1, as in {name}=0.5")
            changes[name] = values[0]
        else:
            if len(values) != 2 or not 0 < values[0] <= values[1]:
                raise GanpickError(f"--scene {word}: give {name} as two positive numbers, the lower first, as in {name}=0.5,4")
            changes[name] = (values[0], values[1])
    return replace(SceneSettings(), **changes)  # type: ignore[arg-type]
