"""What a user asks of a run."""

from __future__ import annotations

from dataclasses import dataclass, field

from relion_ganpick.adaptation.options import AdaptOptions
from relion_ganpick.core.settings import PickRequest, RunSettings


@dataclass(frozen=True)
class RunRequest:
    """What to pick, how, and whether the model is adapted before.

    Attributes
    ----------
    pick
        What decides which picks come out; a diameter may be "auto".
    how
        How the run is carried out.
    adapt
        Whether and how the model is adapted before.
    """

    pick: PickRequest
    how: RunSettings = field(default_factory=RunSettings)
    adapt: AdaptOptions = field(default_factory=AdaptOptions)
