"""Adaptation measured: the model fine-tuned to a set's own micrographs, real or simulated, without labels."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from scoring import Row, figures, line, spread
from sets import RealSet
from simulated import ADAPTED_CONTRAST, ADAPTED_SCENES, Image, item_of, micrograph_of, micrographs_of, molecules

from relion_ganpick.adaptation.fine_tune import adapt
from relion_ganpick.adaptation.lessons import AdaptSettings
from relion_ganpick.adaptation.options import MOST_LEARNED_FROM
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.picking.picker import Picker
from relion_ganpick.picking.working_diameter import tuned


def real_set(real: RealSet, picker: Picker, args: argparse.Namespace) -> None:
    """Adapt the model to a real set and score it there."""
    pictures = real.pictures(picker, MOST_LEARNED_FROM)
    adapted(pictures, lambda used: scored(real, "adapted", used), picker, args)


def simulated_set(number: int, picker: Picker, args: argparse.Namespace) -> None:
    """Score the model on simulated micrographs of one molecule, before and after it was adapted to them."""
    scenes = micrographs_of(number, ADAPTED_CONTRAST, ADAPTED_SCENES)
    micrographs = [micrograph_of(scene) for scene in scenes]

    def found(name: str, used: Picker) -> Row:
        items = [item_of(used, scene) for scene in scenes]
        return Row(f"{molecules()[number][0]} {number}", name, items, [scene.pixels.shape for scene in scenes], used.threshold)

    chosen = tuned(picker, micrographs)
    for row in (found("ganpick", chosen), found("as given", picker)):
        print(line(row.name, row.picker, figures(row)), flush=True)
    adapted([chosen.prepare(each).picture for each in micrographs], lambda used: found("adapted", used), chosen, args)


def scored(real: RealSet, name: str, picker: Picker) -> Row:
    """Pick a real set with a network."""
    items = [real.item(*found) for found in real.picked(picker)]
    return Row(real.name, name, items, [real.shape] * len(items), picker.threshold)


def adapted(pictures: Sequence[Image], found: Callable[[Picker], Row], picker: Picker, args: argparse.Namespace) -> None:
    """Adapt the model to a set's own micrographs, which needs no labels, and score what comes out, for each seed.

    Where adaptation finds its result no better by its own measure, or cannot begin, a user keeps the model as it was; so the
    line then is that model's.
    """
    lines = []
    for seed in range(1, args.seeds + 1):
        began = time.monotonic()
        try:
            settings = replace(AdaptSettings(), seed=seed, least_gain=args.least_gain)
            model = adapt(picker.model, pictures, settings, picker.device)
            note = ", kept as it was: no better by its own measure"
            if model:
                note = ", agreement {agreement_before:.4f} before, {agreement:.4f} after".format(**model.card.metrics)
        except GanpickError as error:
            model, note = None, f", kept as it was: {str(error).split(':')[0]}"
        seconds = time.monotonic() - began
        row = found(Picker(replace(picker.settings, threshold=None), args.device, model) if model else picker)
        values = figures(row)
        lines.append(values)
        print(line(row.name, "adapted", values) + f"  seed {seed}, {seconds:.0f} s{note}", flush=True)
    if len(lines) > 1:
        for name, values in zip(("mean", "sd"), spread(lines), strict=True):
            print(line(row.name, f"ad. {name}", values), flush=True)
