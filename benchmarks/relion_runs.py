"""Steps after picking, done by RELION's own programs: extraction, 2D classification, reconstruction. What is there is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pandas as pd
import starfile
from measure import run
from numpy.typing import NDArray

from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.pick_files import write_picks

BOX_DIAMETERS = 1.5
MASK_DIAMETERS = 1.1
SUFFIX = "_pick.star"


@dataclass(frozen=True)
class Box:
    """How particles are cut out.

    Attributes
    ----------
    size
        Side in pixels of the micrograph, even.
    scaled
        Side in pixels that they are brought to, even.
    pixel_size
        Angstrom per pixel of the micrograph.
    """

    size: int
    scaled: int
    pixel_size: float

    @property
    def scaled_pixel_size(self) -> float:
        """Angstrom per pixel of the particles."""
        return self.pixel_size * self.size / self.scaled


def box_for(diameter: float, pixel_size: float, most: int) -> Box:
    """Choose a box of 1.5 diameters, brought to at most ``most`` pixels."""
    size = 2 * int(np.ceil(BOX_DIAMETERS * diameter / pixel_size / 2))
    return Box(size, min(size, most), pixel_size)


def extract(project: Path, stars: Path, picks: Mapping[str, Picks], box: Box, diameter: float, out: Path) -> Path:
    """Cut out particles.

    Parameters
    ----------
    project
        Folder that the names of the micrographs start from.
    stars
        The micrographs' STAR file.
    picks
        Picks by the micrograph's name.
    box, diameter
        Size of the boxes, and of the particle in Angstrom.
    out
        Folder for coordinates and particles.

    Returns
    -------
    The particles' STAR file. If it is there, nothing is done.
    """
    out = out.resolve()
    particles = out / "particles.star"
    if particles.exists():
        return particles
    for name, each in picks.items():
        write_picks(out / "coordinates" / (name.rpartition(".")[0] + SUFFIX), each.rounded())
    partial = out / "extracted.star"
    command = ["relion_preprocess", "--i", str(stars.resolve()), "--coord_dir", f"{out}/coordinates/", "--coord_suffix", SUFFIX]
    command += ["--part_star", str(partial), "--part_dir", f"{out}/boxes/", "--extract", "--extract_size", str(box.size)]
    command += [
        "--scale",
        str(box.scaled),
        "--norm",
        "--bg_radius",
        str(int(MASK_DIAMETERS * diameter / 2 / box.scaled_pixel_size)),
    ]
    run([*command, "--white_dust", "-1", "--black_dust", "-1", "--invert_contrast"], project)
    partial.rename(particles)
    return particles


def classify(
    particles: Path, diameter: float, classes: int, iterations: int, seed: int, ctf: bool, out: Path, threads: int
) -> tuple[Path, Path]:
    """Sort particles into 2D classes, with the options of RELION's window; goes on where it was stopped.

    Returns
    -------
    The last iteration's model and data STAR files.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    model, data = (out / f"run_it{iterations:03d}_{what}.star" for what in ("model", "data"))
    if model.exists() and data.exists():
        return model, data
    options = ["--iter", str(iterations), "--j", str(threads), "--pool", "30", "--dont_combine_weights_via_disc"]
    options += ["--preread_images", "--o", f"{out}/run"]
    before = last_optimiser(out)
    if before:
        run(["relion_refine", "--continue", str(before), *options], particles.parent)
        return model, data
    options += ["--i", str(particles.resolve()), "--K", str(classes), "--particle_diameter", f"{MASK_DIAMETERS * diameter:.0f}"]
    options += ["--tau2_fudge", "2", "--flatten_solvent", "--zero_mask", "--oversampling", "1", "--psi_step", "12"]
    options += ["--offset_range", "5", "--offset_step", "2", "--norm", "--scale", "--pad", "2", "--random_seed", str(seed)]
    run(["relion_refine", *options, *(["--ctf"] if ctf else [])], particles.parent)
    return model, data


def last_optimiser(folder: Path) -> Path | None:
    """Find the last iteration that is complete, from which a classification can go on."""
    found = sorted(folder.glob("run_it*_optimiser.star"))
    found = [path for path in found if path.with_name(path.name.replace("optimiser", "data")).exists()]
    return found[-1] if found else None


def reconstruct(particles: Path, ctf: bool, out: Path) -> NDArray[np.float32]:
    """Reconstruct a map from particles at the angles in their STAR file; returns it, (s, s, s) float32, axes z, y, x."""
    out = out.resolve()
    if not out.exists():
        partial = out.with_name(f"partial_{out.name}")
        run(
            ["relion_reconstruct", "--i", str(particles.resolve()), "--o", str(partial), *(["--ctf"] if ctf else [])],
            particles.parent,
        )
        partial.rename(out)
    return np.asarray(mrcfile.read(out), np.float32)


def read_particles(path: Path) -> dict[str, Any]:
    """Read the blocks of a particles STAR file."""
    return dict(starfile.read(path, always_dict=True))


def write_particles(path: Path, blocks: Mapping[str, Any]) -> None:
    """Write a particles STAR file."""
    text = starfile.to_string(dict(blocks))
    path.write_text("\n# version 30001\n" + text.partition("\n")[2])


def read_classes(model: Path) -> pd.DataFrame:
    """Read share and resolution in Angstrom of each class; the index is RELION's number of the class, from 1."""
    table = starfile.read(model, always_dict=True)["model_classes"]
    table = table if isinstance(table, pd.DataFrame) else pd.DataFrame([table])
    numbers = [int(re.match(r"\d+", str(name))[0]) for name in table["rlnReferenceImage"]]  # type: ignore[index]
    return pd.DataFrame(
        {
            "share": table["rlnClassDistribution"].to_numpy(float),
            "resolution": table["rlnEstimatedResolution"].to_numpy(float),
        },
        index=numbers,
    )


def shell_correlation(one: NDArray[np.float32], other: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute the Fourier shell correlation of two maps inside a mask.

    Parameters
    ----------
    one, other, mask
        (s, s, s) float32.

    Returns
    -------
    (s / 2,) float64; entry k is the correlation at the frequency k / s per pixel, the first one 1.
    """
    side = len(one)
    a, b = (np.fft.fftn((each - each.mean()) * mask) for each in (one, other))
    steps = np.fft.fftfreq(side, 1 / side)
    radius = np.sqrt(steps[:, None, None] ** 2 + steps[None, :, None] ** 2 + steps[None, None, :] ** 2)
    shell = np.rint(radius).astype(int).ravel()

    def summed(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(shell, values.ravel(), side)[: side // 2], np.float64)

    curve = summed((a * b.conj()).real) / np.maximum(np.sqrt(summed(np.abs(a) ** 2) * summed(np.abs(b) ** 2)), 1e-30)
    curve[0] = 1.0
    return np.asarray(curve, np.float64)


def resolution(curve: NDArray[np.float64], cut: float, pixel_size: float) -> float:
    """Find where a shell correlation first falls below ``cut``, in Angstrom, interpolated between shells."""
    side = 2 * len(curve)
    below = np.flatnonzero(curve < cut)
    if not len(below):
        return 2 * pixel_size
    k = int(below[0])
    exact = k - (cut - curve[k]) / (curve[k - 1] - curve[k]) if k else 0.5
    return float(side * pixel_size / exact)


def ball(side: int, radius: float, edge: float = 4.0) -> NDArray[np.float32]:
    """Make a mask: 1 inside a sphere of ``radius`` pixels around the voxel side / 2, falling to 0 over ``edge`` pixels."""
    steps = np.arange(side) - side // 2
    away = np.sqrt(steps[:, None, None] ** 2 + steps[None, :, None] ** 2 + steps[None, None, :] ** 2)
    return np.asarray(0.5 * (1 + np.cos(np.pi * np.clip((away - radius) / edge, 0, 1))), np.float32)
