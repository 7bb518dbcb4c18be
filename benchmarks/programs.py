"""Other programs that pick particles, each called as its makers say, with its results kept for the next time.

**LoG** is RELION's Laplacian of Gaussian, `relion_autopick --LoG`, with the options that RELION's window passes when it is
left as it comes: --shrink 0 --lowpass 20 --LoG_adjust_threshold 0.

**Topaz** is `topaz preprocess` and `topaz extract` with the trained model that it takes by default, resnet16. Its own advice is a
pixel of about 8 Angstrom, so the whole factor that comes nearest to it is taken, and picks of less than half a diameter
apart are one.

A result is kept under a digest of the program's version, its options and the micrograph's content, so that a second call
costs next to nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from measure import Cost, run
from stage import STAR_FILE, stage

from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.pick_files import read_picks

ADVISED_PIXEL = 8.0
TOPAZ_FLOOR = -6.0  # its own lowest score, p = 0.0025
TOPAZ_THRESHOLD = 0.0  # log odds of 0: a particle is as likely as not
LOG_BELOW = 0.85
LOG_ABOVE = 1.15
LOG_FLOOR = -2.0
TOPAZ_FOLDER = Path(__file__).resolve().parent.parent / ".venv-topaz"


class Program(Protocol):
    """A picker that works on files."""

    def options(self, pixel_size: float) -> list[str]:
        """Give everything that its picks depend on, beside the micrograph."""
        ...

    def pick(self, paths: Sequence[Path], pixel_size: float, folder: Path) -> tuple[dict[Path, Picks], Cost]:
        """Pick micrographs, with an empty folder to work in; returns the picks in pixels of the files, and what it took."""
        ...


@dataclass(frozen=True)
class LoG:
    """RELION's Laplacian of Gaussian.

    Attributes
    ----------
    diameter
        Of the particle in Angstrom.
    below, above
        Smallest and largest diameter that are looked for, as factors of it.
    adjust
        The window's "Adjust default threshold".
    """

    diameter: float
    below: float = LOG_BELOW
    above: float = LOG_ABOVE
    adjust: float = 0.0

    def options(self, pixel_size: float) -> list[str]:
        """Give its version and the options of the window."""
        return [relion_version(), *self._words()]

    def command(self) -> list[str]:
        """Write the command line that the window writes for a job."""
        job = "AutoPick/job001/"
        files = ["--i", STAR_FILE, "--odir", job, "--pickname", "autopick"]
        return ["relion_autopick", *files, *self._words(), "--only_do_unfinished", "--pipeline_control", job]

    def pick(self, paths: Sequence[Path], pixel_size: float, folder: Path) -> tuple[dict[Path, Picks], Cost]:
        """Pick micrographs."""
        names = stage(folder, paths, pixel_size)
        job = folder / "AutoPick" / "job001"
        job.mkdir(parents=True)
        cost, _ = run(self.command(), folder)
        files = {path: (job / name).with_name(f"{path.stem}_autopick.star") for path, name in zip(paths, names, strict=True)}
        return {path: read_picks(file) if file.exists() else Picks.none() for path, file in files.items()}, cost

    def _words(self) -> list[str]:
        size = ["--LoG_diam_min", f"{self.below * self.diameter:g}", "--LoG_diam_max", f"{self.above * self.diameter:g}"]
        return ["--LoG", *size, "--shrink", "0", "--lowpass", "20", "--LoG_adjust_threshold", f"{self.adjust:g}"]


@dataclass(frozen=True)
class Topaz:
    """Topaz with a model that comes with it.

    Attributes
    ----------
    diameter
        Of the particle in Angstrom.
    executable
        Where `topaz` is.
    pixel
        Angstrom per pixel that its pictures should have.
    model
        One of the models in its package.
    threads
        How many it may use.
    """

    diameter: float
    executable: str
    pixel: float = ADVISED_PIXEL
    model: str = "resnet16"
    threads: int = 2

    def scale(self, pixel_size: float) -> int:
        """Give the whole factor by which micrographs are made smaller: that whose pixel is nearest in proportion."""
        below = max(int(self.pixel / pixel_size), 1)
        return min((below, below + 1), key=lambda factor: abs(math.log(factor * pixel_size / self.pixel)))

    def radius(self, pixel_size: float) -> int:
        """Give the particle's radius in pixels of the smaller picture: no two picks are closer."""
        return max(round(self.diameter / 2 / (pixel_size * self.scale(pixel_size))), 1)

    def options(self, pixel_size: float) -> list[str]:
        """Give its version and options."""
        return [topaz_version(self.executable), *self._preprocess(pixel_size), *self._extract(pixel_size)]

    def commands(self, pixel_size: float, paths: Sequence[str]) -> list[list[str]]:
        """Write its two command lines; the picks come into picks.txt."""
        threads = ["-d", "-1", "-j", str(self.threads)]
        small = [f"small/{Path(path).stem}.mrc" for path in paths]
        return [
            [self.executable, "preprocess", *self._preprocess(pixel_size), *threads, "-o", "small/", *paths],
            [self.executable, "extract", *self._extract(pixel_size), *threads, "-o", "picks.txt", *small],
        ]

    def pick(self, paths: Sequence[Path], pixel_size: float, folder: Path) -> tuple[dict[Path, Picks], Cost]:
        """Pick micrographs; their names must differ."""
        names = stage(folder, paths, pixel_size)
        first, second = (run(command, folder)[0] for command in self.commands(pixel_size, names))
        found = read_topaz(folder / "picks.txt")
        return {path: found.get(path.stem, Picks.none()) for path in paths}, first + second

    def _preprocess(self, pixel_size: float) -> list[str]:
        return ["-s", str(self.scale(pixel_size))]

    def _extract(self, pixel_size: float) -> list[str]:
        size = ["-r", str(self.radius(pixel_size)), "-x", str(self.scale(pixel_size))]
        return ["-m", self.model, *size, "-t", f"{TOPAZ_FLOOR:g}"]


def read_topaz(path: Path) -> dict[str, Picks]:
    """Read the table that `topaz extract` writes; by the micrograph's stem, best first."""
    table = pd.read_csv(path, sep="\t", dtype={"image_name": str})
    found = {}
    for stem, rows in table.groupby("image_name"):
        x, y, score = (rows[name].to_numpy(np.float64) for name in ("x_coord", "y_coord", "score"))
        found[str(stem)] = Picks(x, y, score).sorted()
    return found


def topaz_executable(given: Path | None = None) -> str | None:
    """Find Topaz: the one given, that of GANPICK_TOPAZ, or that of `make topaz`; None if there is none."""
    named = given or os.environ.get("GANPICK_TOPAZ")
    path = Path(named) if named else TOPAZ_FOLDER / "bin" / "topaz"
    if path.exists():
        return str(path.resolve())
    if named:
        raise SystemExit(f"{path}: there is no such program; install Topaz with: python benchmarks/install_topaz.py FOLDER")
    return None


@cache
def relion_version() -> str:
    """Ask RELION for its version."""
    said = subprocess.run(["relion_autopick", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"RELION version:\s*(\S+)", said)
    return f"relion {found[1] if found else 'of unknown version'}"


@cache
def topaz_version(executable: str) -> str:
    """Ask Topaz for its version."""
    said = subprocess.run([executable, "--version"], capture_output=True, text=True, check=False).stdout
    return f"topaz {said.strip()}"


class Kept:
    """Picks of other programs, kept in a folder.

    Parameters
    ----------
    folder
        Where; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def pick(self, program: Program, paths: Sequence[Path], pixel_size: float) -> dict[Path, Picks]:
        """Pick micrographs, only those whose picks are not kept yet."""
        found = {path: self._read(self._key(program, path, pixel_size)) for path in paths}
        missing = [path for path in paths if found[path] is None]
        if missing:
            with tempfile.TemporaryDirectory() as folder:
                fresh, _ = program.pick(missing, pixel_size, Path(folder))
            for path, picks in fresh.items():
                self._write(self._key(program, path, pixel_size), picks)
            found |= fresh
        return {path: picks for path, picks in found.items() if picks is not None}

    def _key(self, program: Program, path: Path, pixel_size: float) -> str:
        words = [*program.options(pixel_size), f"{pixel_size:g}", content_digest(path)]
        return hashlib.sha256("\n".join(words).encode()).hexdigest()

    def _read(self, key: str) -> Picks | None:
        if self.folder is None or not (path := self.folder / f"{key}.json").exists():
            return None
        return Picks(*(np.array(json.loads(path.read_text())[name], np.float64) for name in ("x", "y", "score")))

    def _write(self, key: str, picks: Picks) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{key}.json"
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps({"x": picks.x.tolist(), "y": picks.y.tolist(), "score": picks.score.tolist()}))
        partial.rename(path)


def content_digest(path: Path) -> str:
    """Compute the sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
