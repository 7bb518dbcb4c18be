"""``ganpick adapt``: fit a model to the user's own micrographs, without labels."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from relion_ganpick.adaptation.options import MOST_LEARNED_FROM
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.options import add_options, settings_from
from relion_ganpick.core.settings import PickRequest, RunSettings

if TYPE_CHECKING:
    from relion_ganpick.picking.picker import Picker
    from relion_ganpick.picking.stream import Task
    from relion_ganpick.runs.request import RunRequest

LEARNED_FROM = ("diameter", "working_diameter", "contrast", "model")
HOW = ("angpix", "gpu", "device", "j")


def add_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its arguments."""
    parser = subparsers.add_parser(
        "adapt",
        help="fit a model to your own micrographs, without labels",
        description="Fit a model to your micrographs, without labels. It learns from the particles that it is sure of. "
        "On micrographs that are kept back, both models are compared: a good model picks the same particles when a "
        "micrograph is turned. If the adapted model does better, it is written to DIR/<model>-adapted.safetensors with "
        "its card. Takes some minutes. With --approved, particles that you have kept say which picks are right: the model is not "
        "trained, only corrected, which takes seconds for each micrograph.",
        allow_abbrev=False,
    )
    parser.add_argument("--in_mics", type=Path, required=True, metavar="STAR", help="micrographs STAR file")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the adapted model")
    parser.add_argument(
        "--approved",
        metavar="PATH",
        help="learn from particles that you have kept: particles.star of a Select job, CryoSPARC's particles, or any picks",
    )
    parser.add_argument(
        "--most",
        type=int,
        default=MOST_LEARNED_FROM,
        help=f"learn from at most so many micrographs (default: {MOST_LEARNED_FROM})",
    )
    parser.add_argument("--rounds", type=int, default=argparse.SUPPRESS, help="rounds of learning (default: 1)")
    parser.add_argument("--steps", type=int, default=argparse.SUPPRESS, help="steps in each round (default: 500)")
    parser.add_argument("--seed", type=int, default=argparse.SUPPRESS, help="number that random choices start from (default: 1)")
    add_options(parser, PickRequest, LEARNED_FROM)
    add_options(parser, RunSettings, HOW)
    parser.set_defaults(run=run)


def run(namespace: argparse.Namespace) -> int:
    """Adapt; the exit status is 1 if the adapted model is not better and so not written."""
    asked = argparse.Namespace(**{name: value for name, value in vars(namespace).items() if name in LEARNED_FROM})
    pick, how = settings_from(PickRequest, asked), settings_from(RunSettings, namespace)
    changes = {name: getattr(namespace, name) for name in ("rounds", "steps", "seed") if name in namespace}
    for name, value in (changes | {"most": namespace.most}).items():
        least = 0 if name == "seed" else 1
        if value < least:
            raise GanpickError(f"--{name} {value}: give at least {least}")

    from relion_ganpick.adaptation.choice import adapted_model, check_adaptable, prepared_pictures, settings_of, spread
    from relion_ganpick.formats.micrographs_star import read_micrographs
    from relion_ganpick.model.weights import find_model, read_card
    from relion_ganpick.picking.picker import Picker
    from relion_ganpick.picking.stream import Task
    from relion_ganpick.runs.prepare import make_picker
    from relion_ganpick.runs.request import RunRequest
    from relion_ganpick.runs.source import FileSource
    from relion_ganpick.runs.terminal import Terminal

    check_adaptable(read_card(find_model(pick.model)))
    entries = read_micrographs(namespace.in_mics, how.angpix)
    tasks = [Task(each.name, Path(each.name), each.pixel_size) for each in entries]
    if namespace.approved is not None:
        return _from_approved(RunRequest(pick, how), tasks, namespace)
    with Terminal("ganpick: ").listening():
        picker = make_picker(RunRequest(pick, how), FileSource(tasks), Picker, "ganpick")
        pictures = prepared_pictures(picker, spread(tasks, namespace.most), logging.ERROR)
        path = adapted_model(picker, pictures, settings_of(**changes), namespace.out)
    if path is None:
        print("the adapted model is no better: keep the one that you have")
        return 1
    _say(path, picker)
    return 0


def _from_approved(request: RunRequest, tasks: Sequence[Task], namespace: argparse.Namespace) -> int:
    """Correct the model by particles that the user has kept."""
    from relion_ganpick.adaptation.approved import learn_approved
    from relion_ganpick.adaptation.choice import spread
    from relion_ganpick.formats.approved import read_approved
    from relion_ganpick.model.weights import save_model
    from relion_ganpick.picking.picker import Picker
    from relion_ganpick.runs.prepare import make_picker
    from relion_ganpick.runs.source import FileSource
    from relion_ganpick.runs.terminal import Terminal

    approved = read_approved(Path(namespace.approved))
    named = [task for task in tasks if len(approved.of(PurePath(task.name).stem, 1.0))]
    with Terminal("ganpick: ").listening():
        picker = make_picker(request, FileSource(tasks), Picker, "ganpick")
        learned = learn_approved(picker, spread(named, namespace.most), approved)
    print(learned.text)
    if learned.model is None:
        return 1
    namespace.out.mkdir(parents=True, exist_ok=True)
    _say(save_model(learned.model, namespace.out), picker)
    return 0


def _say(path: Path, picker: Picker) -> None:
    given, assumed = picker.settings.diameter, picker.settings.working_diameter_angstrom
    print(f"adapted model: {path}\nuse it: --model {path} --diameter {given:g} --working_diameter {assumed:g}")
