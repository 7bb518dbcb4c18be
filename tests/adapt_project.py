"""What tests of an External job with --adapt share: its words, a verdict that is given beforehand, and what is on disk."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from job_project import (
    JOB,
    Ended,
    arguments,
    run_here,
    snapshot,
)

from relion_ganpick.adaptation import choice
from relion_ganpick.adaptation import fine_tune as adapt_module
from relion_ganpick.adaptation.choice import settings_of

NAMES = [f"Micrographs/mic{k:02d}.mrc" for k in range(3)]
PLAIN = arguments("--overlays", "0")
WORDS = arguments("--overlays", "0", "--adapt_rounds", "1", "--adapt_steps", "2", "--adapt")
WEIGHTS, CARD, RECORD = (f"adapted/{name}" for name in ("default-adapted.safetensors", "default-adapted.json", "decision.json"))
BETTER, WORSE = (0.2, 0.9), (0.9, 0.2)


def judge(monkeypatch: pytest.MonkeyPatch, verdict: tuple[float, float]) -> None:
    """Let the held-back micrographs say so before and after: which model they would prefer is not the matter here.

    Few scenes calibrate, to be quick.
    """
    answers = iter(verdict)
    monkeypatch.setattr(adapt_module, "agreement", lambda *_: next(answers))
    monkeypatch.setattr(adapt_module, "FEWEST_SURE", 20)  # on small pictures
    monkeypatch.setattr(choice, "settings_of", lambda *given: replace(settings_of(*given), calibration_scenes=3))


def forbid_learning(monkeypatch: pytest.MonkeyPatch) -> None:
    def learn(*_: object) -> None:
        raise AssertionError("adapted again")

    monkeypatch.setattr(choice, "adapt", learn)


def run_judged(project: Path, verdict: tuple[float, float], *words: str) -> Ended:
    with pytest.MonkeyPatch.context() as patch:
        judge(patch, verdict)
        return run_here(project, *(words or WORDS))


def decision(project: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project / JOB / RECORD).read_text())
    return found


def picks_file(name: str) -> str:
    return name.replace(".mrc", "_autopick.star")


def picks_on_disk(project: Path) -> dict[str, bytes]:
    return {name: content for name, content in snapshot(project).items() if re.search("Micrographs/.*star", name)}


def rows(project: Path) -> dict[str, bytes]:
    """Picks and scores without their stamps, which hold the micrographs' times."""
    return {name: content[content.index(b"data_") :] for name, content in picks_on_disk(project).items()}
