"""Every real set in one table: our External job, Topaz and RELION's LoG on the same files, alone and mixed with negatives.

A *mixed job* holds a set's micrographs and, shuffled among them, all micrographs of the sets without particles, resampled to
the set's pixel size. Every pick on those is false. A user's job is often like that: holes, ice and carbon are in it.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jobs import run_job
from pickers import difference_of_gaussians
from programs import LOG_FLOOR, TOPAZ_THRESHOLD, Kept, LoG, Topaz
from scoring import Item, Row, figures
from sets import RealSet
from stage import stage, write_mrc

from relion_ganpick.core.micrograph import read_micrograph
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.picking.picker import Picker

OURS = "ganpick"
SHUFFLE_SEED = 1

Found = tuple[dict[Path, Picks], dict[Path, Picks]]
Find = Callable[["Shown"], Found]


@dataclass(frozen=True)
class Shown:
    """Micrographs that a picker is shown, all of one pixel size.

    Attributes
    ----------
    paths
        The files, in the order in which a job lists them.
    pixel_size
        Angstrom per pixel.
    diameter
        Of the particle in Angstrom.
    """

    paths: Sequence[Path]
    pixel_size: float
    diameter: float


@dataclass(frozen=True)
class Mixed:
    """What a picker found in a mixed job.

    Attributes
    ----------
    f1
        Pooled over all its micrographs; none for a set without particles.
    negatives
        Picks on each micrograph without particles.
    expected
        Sum of the figures of merit of the picks on the set's own micrographs.
    """

    f1: float
    negatives: float
    expected: float


@dataclass
class Entry:
    """All figures of one set, by picker."""

    name: str
    micrographs: int
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    mixed: dict[str, Mixed] = field(default_factory=dict)


class Pickers:
    """The pickers to compare.

    Parameters
    ----------
    kept
        Where results of other programs are kept.
    topaz
        Topaz's executable, if it is to run.
    log
        Whether RELION's LoG is to run.
    options
        More words for our External job.
    threads
        How many each may use.
    """

    def __init__(self, kept: Kept, topaz: str | None, log: bool, options: Sequence[str] = (), threads: int = 2) -> None:
        self.kept, self.executable, self.log, self.options, self.threads = kept, topaz, log, list(options), threads

    @cached_property
    def all(self) -> dict[str, Find]:
        """Ways to pick, by name; each gives the picks by default and all that were scored."""
        ways: dict[str, Find] = {OURS: self.ours}
        if self.executable:
            ways["Topaz"] = self.by_topaz
        if self.log:
            ways["LoG"] = self.by_log
        return ways

    def ours(self, shown: Shown, options: Sequence[str] = ()) -> Found:
        """Run our External job."""
        with tempfile.TemporaryDirectory() as folder:
            names = stage(Path(folder), shown.paths, shown.pixel_size)
            job = run_job(Path(folder), names, shown.diameter, self.threads, ["--overlays", "0", *self.options, *options])
        named = dict(zip(shown.paths, names, strict=True))
        return {path: job.picks[name] for path, name in named.items()}, {path: job.scored[name] for path, name in named.items()}

    def by_topaz(self, shown: Shown) -> Found:
        """Run Topaz; by default a pick is one whose log odds are at least 0."""
        assert self.executable
        program = Topaz(shown.diameter, self.executable, threads=self.threads)
        scored = self.kept.pick(program, shown.paths, shown.pixel_size)
        return {path: picks.above(TOPAZ_THRESHOLD) for path, picks in scored.items()}, scored

    def by_log(self, shown: Shown) -> Found:
        """Run RELION's LoG with its default threshold, and with a lower one for all scores."""
        default = self.kept.pick(LoG(shown.diameter), shown.paths, shown.pixel_size)
        return default, self.kept.pick(LoG(shown.diameter, adjust=LOG_FLOOR), shown.paths, shown.pixel_size)


def shown(real: RealSet) -> Shown:
    """Show a set as it is."""
    return Shown(real.paths, real.pixel_size, real.diameter)


def alone(real: RealSet, picker: str, find: Find) -> Row:
    """Pick a set alone."""
    default, scored = find(shown(real))
    items = [real.item(path.stem, scored[path]) for path in real.paths]
    chosen = [real.item(path.stem, default[path])[0] for path in real.paths]
    return Row(real.name, picker, items, [real.shape] * len(items), None, chosen, picker == OURS)


def floor(real: RealSet) -> Row:
    """Pick a set with a difference of Gaussians."""
    picker = Picker(PickSettings(diameter=real.diameter), "cpu")
    items = []
    for path in real.paths:
        picks = difference_of_gaussians(picker.prepare(read_micrograph(path, real.pixel_size)))
        items.append(real.item(path.stem, picks))
    return Row(real.name, "DoG", items, [real.shape] * len(items), None, probabilities=False)


def mixed(real: RealSet, negatives: Sequence[Path], picker: str, find: Find) -> Mixed:
    """Pick a set in one job with micrographs that hold nothing and have its pixel size."""
    paths = [*real.paths, *negatives]
    random.Random(SHUFFLE_SEED).shuffle(paths)
    default, _ = find(Shown(paths, real.pixel_size, real.diameter))
    own = [real.item(path.stem, default[path]) for path in real.paths]
    nothing = np.empty((0, 2))
    false: list[Item] = [(default[path], nothing, 1.0) for path in negatives]
    row = Row(real.name, picker, [*own, *false], [real.shape] * len(paths), -np.inf)
    on_each = float(np.mean([len(picks) for picks, _, _ in false]))
    expected = sum(float(picks.score.sum()) for picks, _, _ in own) if picker == OURS else np.nan
    return Mixed(figures(row)["F1"], on_each, expected)


def resampled(sets: Sequence[RealSet], pixel_size: float, folder: Path) -> list[Path]:
    """Write all micrographs of some sets anew with another pixel size, as float32 MRC files; their names tell the set."""
    written = []
    for real in sets:
        for source in real.paths:
            pixels = read_micrograph(source, real.pixel_size).pixels
            path = folder / f"{real.name}_{source.stem}.mrc"
            write_mrc(path, resize(pixels, real.pixel_size / pixel_size), pixel_size)
            written.append(path)
    return written


def resize(pixels: Any, factor: float) -> Any:
    """Make a picture ``factor`` times as large, (h, w) -> (h', w') float32: areas averaged, or cubic interpolation."""
    height, width = (max(round(side * factor), 1) for side in pixels.shape)
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(np.asarray(pixels, np.float32), (width, height), interpolation=how)


def table(entries: Sequence[Entry]) -> str:
    """Format the table of all sets: F1 by default (at the best threshold), or picks on each micrograph without particles."""
    pickers = list(dict.fromkeys(name for entry in entries for name in entry.figures))
    mixers = list(dict.fromkeys(name for entry in entries for name in entry.mixed))
    head = ["set", "micrographs", "particles", "expected", *pickers]
    head += [f"mixed: {name}" for name in mixers] + [f"on each negative: {name}" for name in mixers]
    lines = [head, ["---"] * len(head)]
    for entry in entries:
        ours = entry.figures[OURS]
        cells = [entry.name, str(entry.micrographs), f"{ours['truth']:.0f}", f"{ours['exp']:.0f}"]
        cells += [_cell(entry.figures.get(name)) for name in pickers]
        cells += [f"{entry.mixed[name].f1:.3f}" if name in entry.mixed else "" for name in mixers]
        cells += [f"{entry.mixed[name].negatives:.1f}" if name in entry.mixed else "" for name in mixers]
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(values: dict[str, float] | None) -> str:
    if values is None:
        return ""
    return f"{values['F1']:.3f} ({values['best']:.3f})" if values["truth"] else f"{values['/mic']:.1f} picks"
