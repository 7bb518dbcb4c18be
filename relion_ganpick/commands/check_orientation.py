"""``ganpick check-orientation``: which of the eight orientations of coordinates fits the pictures.

Programs differ in where they count rows from, and motion correction in which way up it writes a micrograph. At the
right orientation the places that coordinates name look like particles: darker (or brighter) than what is around them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.errors import GanpickError

Points = NDArray[np.float64]

CLEAR = 5.0
"""Smallest deviation from chance, in standard errors, that counts as a fit."""

MARGIN = 3.0
"""By how much the best orientation must be ahead of the next, in standard errors."""

MOST_OUTSIDE = 0.1
INNER, OUTER = 0.35, 0.9
"""Widths, in diameters, of the blurs whose difference is the contrast at a place."""

Size = tuple[int, int]
ORIENTATIONS: dict[str, tuple[str, Callable[[Points, Size], Points]]] = {
    "as they are": ("(x, y)", lambda p, s: p),
    "y flipped": ("(x, h-1-y)", lambda p, s: np.stack([p[:, 0], s[0] - 1 - p[:, 1]], 1)),
    "x flipped": ("(w-1-x, y)", lambda p, s: np.stack([s[1] - 1 - p[:, 0], p[:, 1]], 1)),
    "turned by 180 degrees": ("(w-1-x, h-1-y)", lambda p, s: np.stack([s[1] - 1 - p[:, 0], s[0] - 1 - p[:, 1]], 1)),
    "x and y exchanged": ("(y, x)", lambda p, s: p[:, ::-1]),
    "turned by 90 degrees": ("(w-1-y, x)", lambda p, s: np.stack([s[1] - 1 - p[:, 1], p[:, 0]], 1)),
    "turned by 270 degrees": ("(y, h-1-x)", lambda p, s: np.stack([p[:, 1], s[0] - 1 - p[:, 0]], 1)),
    "exchanged and turned": ("(w-1-y, h-1-x)", lambda p, s: np.stack([s[1] - 1 - p[:, 1], s[0] - 1 - p[:, 0]], 1)),
}
"""Name, place in the file, and function (points, (h, w)) -> points, for coordinates (x, y) of a micrograph w x h."""


@dataclass(frozen=True)
class Fit:
    """How well one orientation fits.

    Attributes
    ----------
    name
        One of `ORIENTATIONS`.
    deviation
        Mean contrast at the coordinates against that of chance, in standard errors; None if they do not lie in the pictures.
    """

    name: str
    deviation: float | None


def add_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its arguments."""
    parser = subparsers.add_parser(
        "check-orientation",
        help="find out whether coordinates are flipped against micrographs",
        description="Find out which of the eight orientations of coordinates fits micrographs. The exit status is 0 if they "
        "fit as they are, 1 if another orientation fits or none can be told.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help="micrographs")
    add("--coordinates", nargs="+", type=Path, required=True, metavar="PATH", help=".star, .csv or .cs files, or folders of them")
    add("--diameter", type=float, required=True, help="longest extent of the particle in Angstrom")
    add("--angpix", type=float, default=None, help="Angstrom per pixel (default: the micrograph's own)")
    add("--contrast", choices=("dark", "bright"), default="dark", help="particles are dark or bright (default: dark)")
    parser.set_defaults(run=run)


def run(namespace: argparse.Namespace) -> int:
    """Compare and say what fits."""
    if not namespace.diameter > 0:
        raise GanpickError(f"--diameter {namespace.diameter:g}: give a positive number in Angstrom")
    coordinates = read_any(namespace.coordinates)
    values: dict[str, list[Points]] = {name: [] for name in ORIENTATIONS}
    used = 0
    for path in namespace.files:
        points = find_points(path, coordinates)
        if points is None or not len(points):
            print(f"{path}: no coordinates")
            continue
        used += len(points)
        for name, deviations in _deviations(path, points, namespace).items():
            values[name].append(deviations)
    if not used:
        raise GanpickError("none of the micrographs has coordinates: their names must contain those of the coordinate files")
    fits = [Fit(name, _pooled(parts)) for name, parts in values.items()]
    for fit in sorted(fits, key=lambda each: -np.inf if each.deviation is None else -each.deviation):
        shown = "outside the pictures" if fit.deviation is None else f"{fit.deviation:8.1f}"
        print(f"{fit.name:<24} {ORIENTATIONS[fit.name][0]:<16} {shown:>20}")
    best, sentence = verdict(fits)
    print(f"{used} coordinates: {sentence}")
    return 0 if best == "as they are" else 1


def verdict(fits: Sequence[Fit]) -> tuple[str | None, str]:
    """Choose the orientation that fits, if one is clearly ahead; returns its name and a sentence."""
    known = sorted((each.deviation, each.name) for each in fits if each.deviation is not None)
    if not known or known[-1][0] < CLEAR:
        return None, "no orientation fits: are these the right micrographs, --diameter and --contrast?"
    if len(known) > 1 and known[-1][0] - known[-2][0] < MARGIN:
        return None, f"'{known[-1][1]}' and '{known[-2][1]}' fit about equally: give more micrographs"
    best = known[-1][1]
    if best == "as they are":
        return best, "they fit as they are"
    hint = "; cryosparc_ganpick --coordinates takes them with --flip_y" if best == "y flipped" else ""
    return best, f"they are {best}: (x, y) belongs to {ORIENTATIONS[best][0]} of the file, w pixels wide and h high{hint}"


def contrast_map(pixels: NDArray[np.float32], diameter_px: float) -> NDArray[np.float32]:
    """Darkness of each place against its surroundings, at the working scale, in units of its spread and bounded."""
    import cv2

    from relion_ganpick.core.preprocess import PARTICLE_PX, resize
    from relion_ganpick.core.scale import working_scale

    scale = working_scale((pixels.shape[0], pixels.shape[1]), diameter_px, PARTICLE_PX)
    small = resize(pixels, scale.working_shape)
    inner, outer = (cv2.GaussianBlur(small, (0, 0), width * PARTICLE_PX / 2) for width in (INNER, OUTER))
    difference = np.asarray(outer - inner, np.float64)
    difference -= np.median(difference)
    spread = 1.4826 * float(np.median(np.abs(difference))) or float(difference.std()) or 1.0
    # a few crystals of ice must not outweigh all particles
    return np.clip(difference / spread, -4, 4).astype(np.float32)


def _deviations(path: Path, points: Points, namespace: argparse.Namespace) -> dict[str, Points]:
    """Contrast at each coordinate, less that of chance, over its spread; NaN for those outside, by orientation."""
    from relion_ganpick.core.micrograph import read_micrograph

    micrograph = read_micrograph(path, namespace.angpix)
    if not micrograph.pixel_size:
        raise GanpickError(f"{path}: its pixel size is not known: give --angpix")
    height, width = micrograph.pixels.shape
    picture = contrast_map(micrograph.pixels, namespace.diameter / micrograph.pixel_size)
    if namespace.contrast == "bright":
        picture = -picture
    mean, spread = float(picture.mean()), float(picture.std()) or 1.0
    factors = np.array([picture.shape[1] / width, picture.shape[0] / height])
    found = {}
    for name, (_, turn) in ORIENTATIONS.items():
        at = np.rint((turn(points, (height, width)) + 0.5) * factors - 0.5).astype(int)
        inside = ((at >= 0) & (at < [picture.shape[1], picture.shape[0]])).all(axis=1)
        values = np.full(len(points), np.nan)
        values[inside] = (picture[at[inside, 1], at[inside, 0]] - mean) / spread
        found[name] = values
    return found


def _pooled(parts: Sequence[Points]) -> float | None:
    values = np.concatenate(parts)
    inside = np.isfinite(values)
    if inside.mean() < 1 - MOST_OUTSIDE:
        return None
    return float(values[inside].mean() * np.sqrt(inside.sum()))


def read_any(paths: Sequence[Path]) -> dict[str, Points]:
    """Read coordinates by micrograph: STAR and CSV files, ``picks.csv`` of cryosparc_ganpick, and CryoSPARC's ``.cs``.

    Raises
    ------
    GanpickError
        If a file cannot be understood.
    """
    import pandas as pd

    from relion_ganpick.core.reference import read_coordinates

    found: dict[str, Points] = {}
    others: list[Path] = []
    for path in paths:
        if path.suffix == ".cs":
            found |= read_cs(path)
        elif path.suffix == ".csv" and path.is_file() and "micrograph" in pd.read_csv(path, nrows=0).columns:
            for name, rows in pd.read_csv(path).groupby("micrograph"):
                found[PurePosixPath(str(name)).stem] = rows[["x", "y"]].to_numpy(float)
        else:
            others.append(path)
    if others:
        found |= {stem: each.picks.xy for stem, each in read_coordinates(others).items()}
    return found


def read_cs(path: Path) -> dict[str, Points]:
    """Read particle locations of CryoSPARC, in pixels.

    Raises
    ------
    GanpickError
        If the file is no dataset with locations.
    """
    table = _load_cs(path)
    names = ("location/micrograph_path", "location/micrograph_shape", "location/center_x_frac", "location/center_y_frac")
    try:
        micrographs, shapes, x, y = (np.asarray(table[name]) for name in names)
    except (KeyError, ValueError) as error:
        raise GanpickError(f"{path}: has no {error}: give a dataset of particles with locations") from error
    points = np.stack([x * shapes[:, 1], y * shapes[:, 0]], axis=1).astype(np.float64).round(3)
    stems = np.array([PurePosixPath(each.decode() if isinstance(each, bytes) else str(each)).stem for each in micrographs])
    return {str(stem): points[stems == stem] for stem in np.unique(stems)}


def _load_cs(path: Path) -> Any:
    """Load a dataset; those in CryoSPARC's own stream format need its client."""
    try:
        return np.load(path, allow_pickle=False)
    except OSError as error:
        raise GanpickError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, EOFError) as error:
        try:
            dataset = import_module("cryosparc.dataset")
        except ImportError:
            raise GanpickError(
                f"{path}: cannot be read without cryosparc-tools: pip install 'relion-ganpick[cryosparc]'"
            ) from error
        try:
            return dataset.Dataset.load(path)
        except Exception as second:
            raise GanpickError(f"{path}: not a dataset of CryoSPARC ({second})") from second


def find_points(path: Path, coordinates: Mapping[str, Points]) -> Points | None:
    """Coordinates of a micrograph: of its own name, else of the longest name that its own contains, or is contained in."""
    stem = path.stem
    if stem in coordinates:
        return coordinates[stem]
    near = [each for each in coordinates if each in stem or stem in each]
    return coordinates[max(near, key=len)] if near else None
