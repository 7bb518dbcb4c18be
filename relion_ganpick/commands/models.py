"""``ganpick models``: the models in the package, their cards and their sums."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from relion_ganpick.core.errors import GanpickError


def add_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its actions."""
    parser = subparsers.add_parser(
        "models",
        help="list the models, check their files, show a card",
        description="List the models of the package, check that their files are whole, or show a model's card.",
        allow_abbrev=False,
    )
    parser.set_defaults(run=list_models)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    listing = actions.add_parser("list", help="one line for each model of the package (default)", allow_abbrev=False)
    listing.set_defaults(run=list_models)
    verify = actions.add_parser("verify", help="check that the weights are those of their cards", allow_abbrev=False)
    verify.add_argument("paths", nargs="*", metavar="MODEL", help="more models: names, or paths of .safetensors files")
    verify.set_defaults(run=verify_models)
    show = actions.add_parser("show", help="print a model's card, and how large its networks are", allow_abbrev=False)
    show.add_argument("name", metavar="NAME", help="a model's name, or the path of a .safetensors file")
    show.set_defaults(run=show_model)


def list_models(_: argparse.Namespace) -> int:
    """Print name, preset, parameters, steps, threshold, metrics and size of each model in the package."""
    from relion_ganpick.model.networks import n_parameters
    from relion_ganpick.model.weights import find_model, load_model, shipped_models

    print(f"{'name':<12} {'preset':<12} {'parameters':>10} {'steps':>7} {'threshold':>9} {'F1':>6} {'AP':>6} {'MB':>6}")
    for name in shipped_models():
        model = load_model(name)
        card, size = model.card, find_model(name).stat().st_size / 1e6
        metrics = " ".join(f"{card.metrics.get(key, math.nan):>6.3f}" for key in ("f1", "average_precision"))
        parameters = n_parameters(model.generator)
        print(f"{name:<12} {card.preset:<12} {parameters:>10} {card.steps:>7} {card.threshold:>9.3f} {metrics} {size:>6.1f}")
    return 0


def verify_models(namespace: argparse.Namespace) -> int:
    """Check every model in the package and those named; the exit status is 1 if one fails."""
    from relion_ganpick.model.weights import find_model, read_weights, shipped_models

    names = [*shipped_models(), *namespace.paths]
    if not names:
        raise GanpickError("there is no model in the package: reinstall it, or give the path of a .safetensors file")
    failures = 0
    for name in names:
        try:
            path = find_model(name)
            _, card = read_weights(path)
            print(f"{name}: ok, sha256 {card.sha256}")
        except GanpickError as error:
            failures += 1
            print(f"{name}: FAILED")
            print(f"ganpick: {error}", file=sys.stderr)
    return 1 if failures else 0


def show_model(namespace: argparse.Namespace) -> int:
    """Print the card beside a model's weights, and the size and reach of its networks."""
    from relion_ganpick.model.describe import describe_networks
    from relion_ganpick.model.weights import find_model, read_card

    path: Path = find_model(namespace.name)
    card = read_card(path)
    print(path)
    print(path.with_suffix(".json").read_text(), end="")
    print("\n".join(describe_networks(card)))
    return 0
