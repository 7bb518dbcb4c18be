"""The card of a model: what is known of it, as JSON beside its weights, and whether it is one."""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, field, fields
from math import isfinite
from typing import Any, get_args, get_origin, get_type_hints

from relion_ganpick.version import __version__

LOCALIZATIONS = ("peaks", "regions")
WORDS = {str: "a text", int: "a whole number", float: "a number", dict: "a table of names and values", list: "a list"}


@dataclass(frozen=True)
class Card:
    """What a model is: where it comes from, how it was measured, and how it wants to be used.

    Attributes
    ----------
    name, preset
        The model's name and the recipe that trained it.
    network
        Kind and size of the generator.
    training
        All settings of the training run, its seed among them.
    data
        What it was trained on, in words.
    steps
        Number of updates.
    metrics
        Figures on held-out synthetic scenes at the threshold.
    threshold
        Default for the figure of merit.
    calibration
        Knots of the map from a score to the figure of merit (`core.calibration`).
    heights
        The same for the marker's height with what else is in the micrograph, which the diameter is estimated by.
    rescorer
        Size of the rescorer that gives the score (`model.rescorer`); empty where the marker's height is the score.
    judge
        Size of the judge of sets (`model.judge`), which gives the figures of merit of picks; empty where each micrograph is
        judged alone.
    judge_curve
        Knots of the map from the judge's probability to the figure of merit.
    approved
        Size of the correction that was learned from particles a user has kept (`model.approved`); empty where there is none.
    strict
        Figure of merit of the judge that a cut never exceeds.
    reliability
        How often picks of held-out scenes were right: mean figure of merit, share of right picks and number, in ten bins.
    localization
        How markers become picks unless the user says otherwise, "peaks" or "regions"; the calibration holds for it.
    sha256
        Sum of the weights' file.
    code_version
        Version of this package that wrote it.
    """

    name: str
    preset: str
    network: dict[str, Any]
    training: dict[str, Any]
    data: str
    steps: int
    metrics: dict[str, float]
    threshold: float
    calibration: dict[str, list[float]]
    localization: str = "peaks"
    heights: dict[str, list[float]] = field(default_factory=dict)
    rescorer: dict[str, int] = field(default_factory=dict)
    judge: dict[str, int] = field(default_factory=dict)
    judge_curve: dict[str, list[float]] = field(default_factory=dict)
    approved: dict[str, int] = field(default_factory=dict)
    strict: float = 0.5
    reliability: list[list[float]] = field(default_factory=list)
    sha256: str = ""
    code_version: str = __version__


def card_of(text: str) -> Card:
    """Make the card that a JSON text describes; fields that this version does not know are passed over.

    Raises
    ------
    ValueError
        If it is none; the message names the field and its value.
    """
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError(f"a table of names and values is wanted, not {_short(content)}")
    hints, given = get_type_hints(Card), {}
    for each in fields(Card):
        if each.name in content:
            given[each.name] = _checked(each.name, content[each.name], hints[each.name])
        elif each.default is MISSING and each.default_factory is MISSING:
            raise ValueError(f"{each.name} is missing")
    card = Card(**given)
    for name in ("threshold", "strict"):
        if not 0 <= getattr(card, name) <= 1:
            raise ValueError(f"{name} is {getattr(card, name):g}; a figure of merit lies between 0 and 1")
    if card.localization not in LOCALIZATIONS:
        raise ValueError(f"localization is {card.localization!r}; it is one of {', '.join(LOCALIZATIONS)}")
    return card


def _checked(name: str, value: Any, hint: Any) -> Any:
    """Return a value of the type that a field wants; a whole number is a number too.

    Raises
    ------
    ValueError
        If it is of another type, or a number that is not finite.
    """
    if hint is Any:
        return value
    kind: type = get_origin(hint) or hint
    kinds = (int, float) if kind is float else (kind,)
    fits = isinstance(value, kinds) and not isinstance(value, bool)
    if not fits or (isinstance(value, float) and not isfinite(value)):
        raise ValueError(f"{name} is {_short(value)}; {WORDS[kind]} is wanted")
    if kind is dict:
        return {key: _checked(f"{name}.{key}", each, get_args(hint)[1]) for key, each in value.items()}
    if kind is list:
        return [_checked(f"{name}[{index}]", each, get_args(hint)[0]) for index, each in enumerate(value)]
    return value


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
