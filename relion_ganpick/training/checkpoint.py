"""What every training run has: a folder with a log and a checkpoint that it can be resumed from."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn
from tqdm import tqdm

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.training.presets import PaperSettings, TrainSettings


class TrainingRun:
    """A run in a folder; subclasses name the networks and optimisers that its next step depends on.

    Attributes
    ----------
    step
        Number of updates done.
    """

    parts: ClassVar[tuple[str, ...]] = ()
    may_change: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: TrainSettings | PaperSettings, folder: Path, device: torch.device) -> None:
        self._settings, self.folder, self.device = settings, folder, device
        self.step = 0

    def checkpoint(self) -> None:
        """Save everything that the next step depends on, under another name first."""
        state = {
            "step": self.step,
            "settings": json.dumps(asdict(self._settings)),
            **{name: getattr(self, name).state_dict() for name in self.parts},
        }
        path = self.folder / "checkpoint.pt"
        torch.save(state, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def resume(self) -> None:
        """Take up the checkpoint in the folder.

        Raises
        ------
        GanpickError
            If it was made with other settings.
        """
        path = self.folder / "checkpoint.pt"
        state = torch.load(path, map_location=self.device, weights_only=True)
        differing = self._differing(json.loads(state["settings"]))
        if differing:
            raise GanpickError(
                f"{path} belongs to other settings ({', '.join(differing)}); "
                "give the same ones, or another `out`, or delete the file"
            )
        for name in self.parts:
            getattr(self, name).load_state_dict(state[name])
        self.step = state["step"]

    def _differing(self, saved: dict[str, Any]) -> list[str]:
        """List the settings that changed; one that the checkpoint's version did not have yet was at its default."""
        now = json.loads(json.dumps(asdict(self._settings)))
        before = json.loads(json.dumps(asdict(type(self._settings)()))) | saved
        return [f"{k}: {before[k]} -> {v}" for k, v in now.items() if before[k] != v and k not in self.may_change]

    def _log(self, row: dict[str, float]) -> None:
        with open(self.folder / "log.jsonl", "a") as log:
            log.write(json.dumps(row) + "\n")
        tqdm.write("  ".join(f"{name} {value}" for name, value in row.items()))


def follow(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move averaged weights towards those of the present step, faster in the first ones; a decay of 0 makes them the same."""
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for mean, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(new, 1 - decay)
            else:
                mean.copy_(new)
