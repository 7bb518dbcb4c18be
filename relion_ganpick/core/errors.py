"""The one exception whose message is meant for users, and how such messages name options."""

from __future__ import annotations

import re

_PARAMETER = re.compile(r"(?<!\S)([(\"']?)`([a-z]\w*)`(?!\.?\w)")  # not within the name of a file


class GanpickError(Exception):
    """Something that the user can mend; the message names the file, the value and the way out.

    A message names an option as the parameter that it is in Python, in backticks: `threshold`. Command lines show it as the
    flag that it is there, by `in_flags`.

    Attributes
    ----------
    exit_code
        What a command ends with; other programs can tell by it what is wrong.
    """

    exit_code = 1


class ModelError(GanpickError):
    """A model is missing, damaged, or of another version."""

    exit_code = 3


class DeviceError(GanpickError):
    """A device is missing, or was lost while it computed."""

    exit_code = 4


class WorkersError(GanpickError):
    """No worker of a cluster came, or none is left."""

    exit_code = 5


def in_flags(text: str) -> str:
    """Name options as on a command line: `threshold` in backticks becomes --threshold."""
    return _PARAMETER.sub(r"\1--\2", text)
