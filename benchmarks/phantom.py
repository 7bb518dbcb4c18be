"""Simulated micrographs of one known structure, with the place and the orientation of every particle.

The background is an empty synthetic scene with contamination and noise. Copies of the structure are projected at random
orientations, imaged with the scene's own transfer function, and put where there is no contamination.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import starfile
from numpy.typing import NDArray
from particles import Drawn, Image, Points, apart, typical_mass
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation
from stage import FOLDER, STAR_FILE, write_mrc

from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.synthesis.contamination import add_patch
from relion_ganpick.synthesis.imaging import Optics, contrast_transfer_function, transfer
from relion_ganpick.synthesis.molecules import project, random_molecule
from relion_ganpick.synthesis.scene import SceneSettings, make_scene

STREAM = 61_000
POINTS = 3000
SOFTNESS = 0.025
TRIES = 3000
RESOLVED = 3.0  # Angstrom; what a CTF fit would have seen, of which nothing depends
COLUMNS = ("x", "y", "rot", "tilt", "psi")


@dataclass(frozen=True)
class PhantomSettings:
    """What a simulated set holds.

    Attributes
    ----------
    n
        Number of micrographs.
    side
        Their side in pixels.
    pixel_size
        Angstrom per pixel.
    diameter
        Of the structure in Angstrom.
    kind
        Kind of the molecule.
    contrast
        Depth of the particles in sigma of the noise, at 16 pixels for each particle.
    particles
        Most particles on a micrograph.
    spacing
        Smallest distance between two of them, in diameters.
    seed
        Names all random streams.
    """

    n: int = 12
    side: int = 1024
    pixel_size: float = 3.0
    diameter: float = 180.0
    kind: str = "dihedral"
    contrast: float = 2.0
    particles: int = 80
    spacing: float = 1.05
    seed: int = 1

    @property
    def diameter_px(self) -> float:
        """Diameter in pixels."""
        return self.diameter / self.pixel_size


@dataclass(frozen=True)
class Phantom(Drawn):
    """One micrograph and the truth about it.

    Attributes
    ----------
    angles
        (n, 3) float64, RELION's rot, tilt and psi in degrees.
    optics
        The microscope.
    """

    angles: Points
    optics: Optics


def structure(settings: PhantomSettings) -> Points:
    """Draw the structure, (n, 3) float64 in diameters, centred on its mass."""
    return random_molecule(np.random.default_rng((STREAM, settings.seed)), POINTS, settings.kind)


def density(settings: PhantomSettings, box: int) -> Image:
    """Make the structure's density map.

    Parameters
    ----------
    settings
        Which structure, and its pixel size.
    box
        Side in pixels, even.

    Returns
    -------
    (box, box, box) float32, axes z, y, x; the centre of mass is in the voxel box / 2.
    """
    places = structure(settings) * settings.diameter_px + box // 2
    edges = [np.arange(box + 1) - 0.5] * 3
    counts, _ = np.histogramdd(places[:, ::-1], bins=edges)
    return np.asarray(gaussian_filter(counts, SOFTNESS * settings.diameter_px), np.float32)


def make(settings: PhantomSettings, number: int) -> Phantom:
    """Make one micrograph."""
    rng = np.random.default_rng((STREAM, settings.seed, 1, number))
    contrast = settings.contrast * PARTICLE_PX / settings.diameter_px
    ranges = replace(
        SceneSettings(),
        diameter=(settings.diameter, settings.diameter),
        defocus_angstrom=(10000.0, 22000.0),
        contrast=(contrast, contrast),
        empty=1.0,
        clean=0.0,
        phase_plate=0.0,
        fragments=0.0,
        heaps=0.0,
        denoised=0.0,
        eight_bit=0.0,
    )
    shape = (settings.side, settings.side)
    scene = make_scene(shape, settings.diameter_px, rng, ranges)
    centres = places(settings, scene.contaminated, rng)
    turns = Rotation.from_quat(rng.normal(size=(len(centres), 4)))
    mass, typical = masses(settings, centres, turns)
    signal = transfer(mass, contrast_transfer_function(shape, settings.pixel_size, scene.optics))
    inside = mass > 0.3 * typical
    depth = float(np.sqrt(np.mean(signal[inside] ** 2)))
    pixels = scene.pixels + signal * np.float32(contrast / depth)
    return Phantom(pixels, centres, relion_angles(turns), scene.optics)


def places(settings: PhantomSettings, contaminated: NDArray[np.bool_], rng: np.random.Generator) -> Points:
    """Draw places away from contamination, the edge and each other, (n, 2) float64, not at whole pixels."""
    margin = 0.75 * settings.diameter_px
    spoiled = gaussian_filter(contaminated.astype(np.float32), settings.diameter_px / 4)
    tried = rng.uniform(margin, settings.side - 1 - margin, (TRIES, 2))
    tried = tried[map_coordinates(spoiled, tried[:, ::-1].T, order=1) < 0.02]
    return apart(tried, settings.spacing * settings.diameter_px, settings.particles)


def masses(settings: PhantomSettings, centres: Points, turns: Rotation) -> tuple[Image, float]:
    """Add up the projected mass of all particles, (h, w) float32; and its typical value inside one of them."""
    mass = np.zeros((settings.side, settings.side), np.float32)
    molecule, typical = structure(settings), []
    for k, centre in enumerate(centres):
        whole = np.rint(centre)
        view = project(molecule, turns[k], settings.diameter_px, SOFTNESS, centre - whole)
        add_patch(mass, view, whole + 0.5)
        typical.append(typical_mass(view))
    return mass, float(np.mean(typical)) if typical else 1.0


def relion_angles(turns: Rotation) -> Points:
    """Turn rotations of the structure into RELION's angles.

    A particle with the matrix A(rot, tilt, psi) shows the structure's point p at the first two coordinates of A p.

    Parameters
    ----------
    turns
        n rotations that act on the structure before it is projected along z.

    Returns
    -------
    (n, 3) float64: rot, tilt and psi in degrees.
    """
    matrix = turns.as_matrix()
    rot = np.arctan2(matrix[:, 2, 1], matrix[:, 2, 0])
    tilt = np.arccos(np.clip(matrix[:, 2, 2], -1, 1))
    psi = np.arctan2(matrix[:, 1, 2], -matrix[:, 0, 2])
    return np.asarray(np.degrees(np.stack([rot, tilt, psi], axis=1)))


def write_set(settings: PhantomSettings, folder: Path) -> None:
    """Write a set: Micrographs/*.mrc, a STAR file with the microscope of each, and truth/*.csv with places and angles."""
    (folder / "truth").mkdir(parents=True, exist_ok=True)
    groups, rows = [], []
    for number in range(settings.n):
        made = make(settings, number)
        stem = f"phantom{number:03d}"
        write_mrc(folder / FOLDER / f"{stem}.mrc", made.pixels, settings.pixel_size)
        table = pd.DataFrame(np.hstack([made.centres, made.angles]).round(4), columns=COLUMNS)
        table.to_csv(folder / "truth" / f"{stem}.csv", index=False)
        groups.append(_group(number + 1, made.optics, settings.pixel_size))
        rows.append({"rlnMicrographName": f"{FOLDER}/{stem}.mrc", "rlnOpticsGroup": number + 1, **_defocus(made.optics)})
    text = starfile.to_string({"optics": pd.DataFrame(groups), "micrographs": pd.DataFrame(rows)})
    (folder / STAR_FILE).write_text("\n# version 30001\n" + text.partition("\n")[2])


def _group(number: int, optics: Optics, pixel_size: float) -> dict[str, float | str]:
    return {
        "rlnOpticsGroupName": f"opticsGroup{number}",
        "rlnOpticsGroup": number,
        "rlnMicrographOriginalPixelSize": pixel_size,
        "rlnMicrographPixelSize": pixel_size,
        "rlnVoltage": optics.voltage_kv,
        "rlnSphericalAberration": optics.spherical_aberration_mm,
        "rlnAmplitudeContrast": optics.amplitude_contrast,
    }


def _defocus(optics: Optics) -> dict[str, float]:
    return {
        "rlnDefocusU": optics.defocus_angstrom + optics.astigmatism_angstrom,
        "rlnDefocusV": optics.defocus_angstrom - optics.astigmatism_angstrom,
        "rlnDefocusAngle": float(np.degrees(optics.astigmatism_angle)),
        "rlnCtfMaxResolution": RESOLVED,
        "rlnCtfFigureOfMerit": 1.0,
    }
