"""Settings that users can give: fields of a dataclass that know how they appear on a command line or in a form."""

from __future__ import annotations

import argparse
import difflib
import inspect
import math
import numbers
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NoReturn, TypeVar

from relion_ganpick.core.errors import GanpickError

T = TypeVar("T")

KIND_NAMES = {float: "a number", int: "a whole number", str: "a text", bool: "True or False"}
GROUP_TITLES = {"main": "main options", "advanced": "more options"}


@dataclass(frozen=True)
class Option:
    """How a setting appears to users.

    Attributes
    ----------
    label
        A few words for a form.
    text
        One sentence for a help page, with unit and default.
    kind
        What a word on the command line is turned into; bool makes a flag, which may also be given yes or no.
    group
        "main", "advanced" or "hidden".
    choices
        Allowed values, or empty.
    word
        A word that may stand in place of a value of this kind, or empty.
    share
        Whether the number is a share, which may also be given in percent.
    """

    label: str
    text: str
    kind: type
    group: str = "advanced"
    choices: tuple[str, ...] = ()
    word: str = ""
    share: bool = False

    @property
    def reads(self) -> Callable[[str], Any]:
        """What turns text into a value; it has the kind's name, which argparse shows when the text is none."""
        if self.kind is bool:
            return yes_or_no
        if self.share:
            return share_of
        if not self.word:
            return self.kind

        def read(text: str) -> Any:
            return text if text == self.word else self.kind(text)

        read.__name__ = self.kind.__name__
        return read

    @property
    def metavar(self) -> str | None:
        """What stands for the value on a help page; None where the choices do."""
        if self.choices:
            return None
        if self.kind is bool:
            return "yes|no"
        if self.share:
            return "PERCENT"
        return self.kind.__name__.upper() + (f"|{self.word}" if self.word else "")


def option(
    default: Any,
    label: str,
    text: str,
    kind: type,
    group: str = "advanced",
    choices: Sequence[str] = (),
    word: str = "",
    share: bool = False,
) -> Any:
    """Make a dataclass field that knows how it appears to users."""
    return field(default=default, metadata={"option": Option(label, text, kind, group, tuple(choices), word, share)})


def options_of(settings: type) -> dict[str, Option]:
    """Options of a settings class by name: those of its own first, then those that it inherits."""
    own = inspect.get_annotations(settings)
    known = {each.name: each.metadata["option"] for each in fields(settings) if "option" in each.metadata}
    return {name: known[name] for name in sorted(known, key=lambda name: name not in own)}


def check_kinds(settings: Any) -> None:
    """Check that every option of frozen settings holds a value of its kind, and bring numbers to it.

    Raises
    ------
    GanpickError
        If one does not; the message names the option, the value and what is wanted.
    """
    defaults = {each.name: each.default for each in fields(settings)}
    for name, each in options_of(type(settings)).items():
        value = getattr(settings, name)
        if value is None and defaults[name] is None:
            continue
        if each.word and value == each.word:
            continue
        object.__setattr__(settings, name, of_kind(name, value, each))


def of_kind(name: str, value: Any, each: Option) -> Any:
    """Check one option's value; returns it as the option's kind.

    Raises
    ------
    GanpickError
        If it is of another kind, not finite, or none of the choices.
    """
    is_truth = isinstance(value, bool)
    if each.kind is float and isinstance(value, numbers.Real) and not is_truth and math.isfinite(value):
        return float(value)
    if each.kind is int and isinstance(value, numbers.Integral) and not is_truth:
        return int(value)
    if each.kind is bool and is_truth:
        return value
    if each.kind is str and isinstance(value, str) and (not each.choices or value in each.choices):
        return value
    if each.choices:
        wanted = f"one of {', '.join(each.choices)}"
    else:
        wanted = KIND_NAMES[each.kind] + (f" or {each.word}" if each.word else "")
        wanted = "a share, such as 70% or 0.7" if each.share else wanted
    shown = value if isinstance(value, str) and each.kind is str else repr(value)
    raise GanpickError(f"`{name}` {shown}: give {wanted}")


def add_options(parser: argparse.ArgumentParser, settings: type, only: Collection[str] | None = None) -> None:
    """Add one argument for every setting, or some; absent ones stay out of the namespace, so that the class fills them."""
    groups = {name: _group(parser, title) for name, title in GROUP_TITLES.items()}
    for name, each in options_of(settings).items():
        if only is not None and name not in only:
            continue
        flag: dict[str, Any] = {"nargs": "?", "const": True} if each.kind is bool else {}
        groups[each.group].add_argument(
            f"--{name}",
            type=each.reads,
            choices=each.choices or None,
            default=argparse.SUPPRESS,
            metavar=each.metavar,
            help=each.text.replace("%", "%%"),
            **flag,
        )


def _group(parser: argparse.ArgumentParser, title: str) -> argparse._ArgumentGroup:
    """Find the group of this title, or add it: options of several classes stand together in the help."""
    return next((group for group in parser._action_groups if group.title == title), None) or parser.add_argument_group(title)


def yes_or_no(text: str) -> bool:
    """Read a flag's value: forms and RELION's window can give a parameter only with one."""
    answers = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if text.lower() not in answers:
        raise argparse.ArgumentTypeError(f"{text!r}: give yes or no")
    return answers[text.lower()]


def share_of(text: str) -> float:
    """Read a share, such as 70% or 0.7; one above 1 can only be meant in percent, and so must say it."""
    try:
        value = float(text.strip().removesuffix("%")) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give a share, such as 70% or 0.7") from None
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a share above 0 and up to 100%, such as 70% or 0.7")
    return value


def settings_from(settings: type[T], namespace: argparse.Namespace) -> T:
    """Build settings from parsed arguments; what was not given takes its default."""
    given = vars(namespace)
    return settings(**{name: given[name] for name in options_of(settings) if name in given})


class RaisingParser(argparse.ArgumentParser):
    """Raises its errors as ours, so that whoever called can leave a marker, and no value that may be a password is repeated."""

    def error(self, message: str) -> NoReturn:
        """Turn argparse's complaint into a `GanpickError`."""
        raise GanpickError(f"{message}; --help lists the options")

    def about_unknown(self, word: str) -> str:
        """Say that an option is not known, with the nearest one that is."""
        known = [option for action in self._actions for option in action.option_strings]
        given = word.split("=", maxsplit=1)[0]
        near = difflib.get_close_matches("--" + given.lstrip("-").replace("-", "_"), known, 1, 0.5)
        return f"unknown option {given}" + (f": did you mean {near[0]}?" if near else "; --help lists the options")
