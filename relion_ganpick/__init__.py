"""Label-free particle picking for RELION and CryoSPARC with a conditional GAN."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from relion_ganpick.version import __version__

if TYPE_CHECKING:
    from relion_ganpick.core.micrograph import Micrograph, read_micrograph
    from relion_ganpick.core.picks import Picks
    from relion_ganpick.core.settings import PickSettings
    from relion_ganpick.model.weights import load_model
    from relion_ganpick.picking.picker import Picker
    from relion_ganpick.picking.working_diameter import tuned
    from relion_ganpick.runs.session import Session

logging.getLogger(__name__).addHandler(logging.NullHandler())  # silent as a library

_HOMES = {
    "Micrograph": "core.micrograph",
    "read_micrograph": "core.micrograph",
    "Picker": "picking.picker",
    "Picks": "core.picks",
    "PickSettings": "core.settings",
    "Session": "runs.session",
    "load_model": "model.weights",
    "tuned": "picking.working_diameter",
}

__all__ = ["Micrograph", "PickSettings", "Picker", "Picks", "Session", "__version__", "load_model", "read_micrograph", "tuned"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``--version`` must not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
