"""``ganpick adapt``: fit a model to the user's own micrographs, without labels."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.settings import PickSettings, RunSettings, add_options, settings_from

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from relion_ganpick.core.picker import Picker

MOST_MICROGRAPHS = 24


def add_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its arguments."""
    parser = subparsers.add_parser(
        "adapt",
        help="fit a model to your own micrographs, without labels",
        description="Fine-tune a model on what it is sure of in your micrographs, and write DIR/<model>-adapted.safetensors with "
        "its card if its picks then agree better with themselves on micrographs that were held back. A few minutes on two cores.",
        allow_abbrev=False,
    )
    parser.add_argument("--in_mics", type=Path, required=True, metavar="STAR", help="micrographs STAR file")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the adapted model")
    parser.add_argument("--most", type=int, default=MOST_MICROGRAPHS, help=f"micrographs to use (default: {MOST_MICROGRAPHS})")
    parser.add_argument("--rounds", type=int, default=argparse.SUPPRESS, help="rounds of learning (default: 2)")
    parser.add_argument("--steps", type=int, default=argparse.SUPPRESS, help="updates in each round (default: 300)")
    parser.add_argument("--seed", type=int, default=argparse.SUPPRESS, help="names the random streams (default: 1)")
    add_options(parser, PickSettings)
    add_options(parser, RunSettings)
    parser.set_defaults(run=run)


def run(namespace: argparse.Namespace) -> int:
    """Adapt; the exit status is 1 if the adapted model is not better and so not written."""
    settings, how = settings_from(PickSettings, namespace), settings_from(RunSettings, namespace)

    import cv2
    import torch

    from relion_ganpick.core.picker import Picker
    from relion_ganpick.model.adapt import AdaptSettings, adapt
    from relion_ganpick.model.weights import save_model
    from relion_ganpick.relion.inputs import read_micrographs

    given = vars(namespace)
    changes = {each.name: given[each.name] for each in fields(AdaptSettings) if each.name in given}
    for name, value in (changes | {"most": namespace.most}).items():
        if value < (0 if name == "seed" else 1):
            raise GanpickError(f"--{name} {value}: give at least 1")
    torch.set_num_threads(how.j)
    cv2.setNumThreads(how.j)
    picker = Picker(settings, how.device_name)
    entries = read_micrographs(namespace.in_mics, how.angpix)
    every = max(len(entries) / namespace.most, 1.0)
    chosen = [entries[int(k * every)] for k in range(min(namespace.most, len(entries)))]
    pictures = list(_pictures(picker, [(entry.name, entry.pixel_size) for entry in chosen]))
    adapted = adapt(
        picker.model, pictures, replace(AdaptSettings(), **changes), picker.device, lambda line: print(line, flush=True)
    )
    if adapted is None:
        print("the adapted model is no better by its own measure: keep the one that you have")
        return 1
    namespace.out.mkdir(parents=True, exist_ok=True)
    path = save_model(adapted.generator, adapted.card, namespace.out)
    print(f"adapted model: {path}\nuse it: --model {path}")
    return 0


def _pictures(picker: Picker, micrographs: list[tuple[str, float | None]]) -> Iterator[NDArray[np.float32]]:
    """Prepare the micrographs that can be used; the others get a line on stderr."""
    from relion_ganpick.core.micrograph import read_micrograph

    for name, pixel_size in micrographs:
        try:
            yield picker.prepare(read_micrograph(name, pixel_size)).picture
        except GanpickError as error:
            print(f"ganpick: {error}", file=sys.stderr, flush=True)
