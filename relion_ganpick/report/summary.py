"""Totals of a run, and the last lines that it prints."""

from __future__ import annotations

import time

import numpy as np

from relion_ganpick.core.cut import Cut
from relion_ganpick.core.picks import THRESHOLDS


class Summary:
    """Adds up micrographs, picks and failures while a run goes on."""

    def __init__(self) -> None:
        self.micrographs = self.picks = self.failures = self.kept = 0
        self.above = np.zeros(len(THRESHOLDS), int)
        self._without_image: list[float] = []
        self._began = time.monotonic()

    def add(self, n_picks: int, above: tuple[int, ...], finished_before: bool = False) -> None:
        """Count a micrograph with its picks, and how many of its scored picks survive at 0.1, 0.2 ... 0.9."""
        self.micrographs += 1
        self.picks += n_picks
        self.kept += finished_before
        self.above += np.array(above, int)

    def add_without_image(self, share: float) -> None:
        """Take down which share of a micrograph holds no image."""
        if share:
            self._without_image.append(share)

    def add_failure(self) -> None:
        """Count a micrograph that could not be used."""
        self.failures += 1

    def lines(self, cut: Cut, model: str = "") -> list[str]:
        """Say it in a few lines, the most important last; the model is named if it is given."""
        seconds = time.monotonic() - self._began
        new = self.micrographs - self.kept
        each = f", {seconds / new:.2f} s for each of {new} new ones" if new else ""
        before = f" ({self.kept} of them before)" if self.kept else ""
        of = f" of model {model}" if model else ""
        cuts = "  ".join(f"{at:.1f}: {count}" for at, count in zip(THRESHOLDS, self.above, strict=True))
        without = [self._blank_line()] if self._without_image else []
        return [
            *without,
            f"picks left at a threshold of  {cuts}",
            f"{self.micrographs} micrographs picked{before}, {self.failures} failed, {seconds:.1f} s{each}",
            f"{self.picks} picks {cut.words()}{of}, {self.picks / max(self.micrographs, 1):.1f} per micrograph",
        ]

    def _blank_line(self) -> str:
        n = len(self._without_image)
        where = "1 micrograph holds" if n == 1 else f"{n} micrographs hold"
        return (
            f"{where} no image on a part (at most {max(self._without_image):.0%}): grid bar, edge of the beam, or blanked; "
            "nothing is picked there"
        )
