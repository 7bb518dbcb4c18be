"""``ganpick adapt``: fit a model to the user's own micrographs, without labels."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from relion_ganpick.adaptation.options import MOST_LEARNED_FROM
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.options import add_options, settings_from
from relion_ganpick.core.settings import PickSettings, RunSettings

LEARNED_FROM = ("diameter", "working_diameter", "contrast", "model")
HOW = ("angpix", "gpu", "device", "j")


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
    parser.add_argument("--most", type=int, default=MOST_LEARNED_FROM, help=f"micrographs to use (default: {MOST_LEARNED_FROM})")
    parser.add_argument("--rounds", type=int, default=argparse.SUPPRESS, help="rounds of learning (default: 1)")
    parser.add_argument("--steps", type=int, default=argparse.SUPPRESS, help="updates in each round (default: 500)")
    parser.add_argument("--seed", type=int, default=argparse.SUPPRESS, help="names the random streams (default: 1)")
    add_options(parser, PickSettings, LEARNED_FROM)
    add_options(parser, RunSettings, HOW)
    parser.set_defaults(run=run)


def run(namespace: argparse.Namespace) -> int:
    """Adapt; the exit status is 1 if the adapted model is not better and so not written."""
    settings, how = settings_from(PickSettings, namespace), settings_from(RunSettings, namespace)

    import cv2
    import torch

    from relion_ganpick.adaptation.choice import adapted_model, check_adaptable, prepared_pictures, settings_of, spread
    from relion_ganpick.formats.micrographs_star import read_micrographs
    from relion_ganpick.picking.auto_diameter import preferred, resolve_diameter
    from relion_ganpick.picking.picker import Picker
    from relion_ganpick.picking.stream import Task
    from relion_ganpick.picking.working_diameter import with_working_diameter

    changes = {name: getattr(namespace, name) for name in ("rounds", "steps", "seed") if name in namespace}
    for name, value in (changes | {"most": namespace.most}).items():
        if value < (0 if name == "seed" else 1):
            raise GanpickError(f"--{name} {value}: give at least 1")
    torch.set_num_threads(how.j)
    cv2.setNumThreads(how.j)
    entries = read_micrographs(namespace.in_mics, how.angpix)
    tasks = [Task(each.name, Path(each.name), each.pixel_size) for each in (entries[k] for k in preferred(len(entries)))]
    settings = resolve_diameter(settings, tasks, how.device_name)
    picker = Picker(settings, how.device_name)
    check_adaptable(picker.model.card)
    picker = with_working_diameter(picker, tasks)
    chosen = spread(entries, namespace.most)
    pictures = prepared_pictures(picker, [(Path(entry.name), entry.pixel_size) for entry in chosen], _complain)
    path = adapted_model(picker, pictures, settings_of(**changes), namespace.out, lambda line: print(line, flush=True))
    if path is None:
        print("the adapted model is no better by its own measure: keep the one that you have")
        return 1
    given, assumed = settings.diameter_angstrom, picker.settings.working_diameter_angstrom
    print(f"adapted model: {path}\nuse it: --model {path} --diameter {given:g} --working_diameter {assumed:g}")
    return 0


def _complain(line: str) -> None:
    print(f"ganpick: {line}", file=sys.stderr, flush=True)
