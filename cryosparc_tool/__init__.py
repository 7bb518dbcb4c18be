"""Exposures of a CryoSPARC job in, picks out as an external job, by cryosparc-tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryosparc_tool.api import Outcome, pick_exposures

__all__ = ["Outcome", "pick_exposures"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``--version`` must not wait for torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cryosparc_tool import api

    return getattr(api, name)
