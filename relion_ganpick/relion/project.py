"""A synthetic RELION project: micrographs of one molecule, their STAR file, and the true coordinates."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import starfile

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.picks import Picks
from relion_ganpick.core.preprocess import PARTICLE_PX
from relion_ganpick.formats.pick_files import write_picks
from relion_ganpick.report.masks import write_mask
from relion_ganpick.synthesis.imaging import Optics
from relion_ganpick.synthesis.molecules import KINDS, Points, random_molecule
from relion_ganpick.synthesis.scene import CLEAN, Scene, SceneSettings, make_scene
from relion_ganpick.synthesis.structures import structure, structure_names
from relion_ganpick.version import __version__

CONTRAST = (2.5, 4.0)
DEFOCUS_ANGSTROM = (10000.0, 22000.0)
SPACING = (0.9, 1.1)
DENSITY = 0.3
DIRTY = replace(CLEAN, clean=0, ice=0.5, gold=0.2, carbon=0.1, ridges=0.1, debris=0.2)
MOLECULE_STREAM, SCENE_STREAM = 0, 1
SMALLEST_DIAMETER_PX = 4.0
BLANK_SHARES, ATTEMPTS = (0.05, 0.6), 50
RANDOM = "random"
N_POINTS = 4000


@dataclass(frozen=True)
class ProjectSettings:
    """What a synthetic project holds.

    Attributes
    ----------
    n
        Number of micrographs.
    width, height
        Their size in pixels.
    angpix
        Angstrom per pixel.
    diameter
        Longest extent of the particle in Angstrom.
    seed
        Names all random streams.
    kind
        Kind of molecule, one of `molecules.KINDS`, a real structure (`structures.structure_names`), or "random".
    particles
        About how many particles a micrograph holds; None covers a fifth of it.
    empty
        Share of the micrographs that hold none; they are the last ones.
    clean
        Leave ice, carbon, debris and other contamination out.
    blank
        Share of the micrographs a part of which holds no image; they are the first ones.
    """

    n: int = 3
    width: int = 1024
    height: int = 1024
    angpix: float = 3.0
    diameter: float = 180.0
    seed: int = 1
    kind: str = "dihedral"
    particles: int | None = None
    empty: float = 0.0
    clean: bool = False
    blank: float = 0.0

    def __post_init__(self) -> None:
        """Check the values."""
        for name, least in (("n", 1), ("width", 32), ("height", 32), ("seed", 0)):
            if getattr(self, name) < least:
                raise GanpickError(f"--{name} {getattr(self, name)}: give at least {least}")
        for name in ("angpix", "diameter"):
            if not 0 < getattr(self, name) < 1e6:
                raise GanpickError(f"--{name} {getattr(self, name):g}: give a positive number in Angstrom")
        if self.kind not in (*KINDS, *structure_names(), RANDOM):
            raise GanpickError(
                f"--kind {self.kind}: no such molecule; give a kind ({', '.join(KINDS)}), "
                f"a real structure ({', '.join(structure_names())}), or {RANDOM}"
            )
        if self.particles is not None and self.particles < 1:
            raise GanpickError(f"--particles {self.particles}: give at least 1, or --empty 1 for micrographs without particles")
        for name in ("empty", "blank"):
            if not 0 <= getattr(self, name) <= 1:
                raise GanpickError(f"--{name} {getattr(self, name):g}: give a share between 0 and 1")
        if not SMALLEST_DIAMETER_PX <= self.diameter_px <= min(self.width, self.height):
            raise GanpickError(
                f"--diameter {self.diameter:g} at --angpix {self.angpix:g} is {self.diameter_px:.1f} pixels: "
                f"it must be at least {SMALLEST_DIAMETER_PX:g} and fit into {self.width} x {self.height} pixels"
            )

    @property
    def diameter_px(self) -> float:
        """Diameter of the particle in pixels."""
        return self.diameter / self.angpix


def make_scenes(settings: ProjectSettings) -> Iterator[Scene]:
    """Simulate the project's micrographs one after the other; all show the same molecule."""
    rng = np.random.default_rng((settings.seed, MOLECULE_STREAM))
    molecule = _molecule(settings.kind, rng)
    n_empty, n_blank = round(settings.empty * settings.n), round(settings.blank * settings.n)
    for index in range(settings.n):
        empty, blank = float(index >= settings.n - n_empty), float(index < n_blank)
        ranges = replace(_ranges(settings), empty=empty, blank=blank)
        yield _scene(settings, ranges, molecule, index)


def _scene(settings: ProjectSettings, ranges: SceneSettings, molecule: Points, index: int) -> Scene:
    """Simulate one micrograph; where a part is to hold no image, it is drawn anew until that part is neither small nor all."""
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng(
            (settings.seed, SCENE_STREAM, index, attempt) if attempt else (settings.seed, SCENE_STREAM, index)
        )
        scene = make_scene((settings.height, settings.width), settings.diameter_px, rng, ranges, molecule)
        if not ranges.blank or BLANK_SHARES[0] <= scene.blank.mean() <= BLANK_SHARES[1]:
            break
    return scene


def _molecule(kind: str, rng: np.random.Generator) -> Points:
    if kind in structure_names():
        return structure(kind).points
    return random_molecule(rng, N_POINTS, kind=None if kind == RANDOM else kind)


def write_project(settings: ProjectSettings, folder: Path) -> Iterator[tuple[Path, int]]:
    """Write a project and yield each micrograph's path and number of particles as soon as it is there.

    The folder then holds Micrographs/*.mrc, micrographs.star, truth/*.star and truth/*.csv, truth/*_blank.png where a part has
    no image, project.json and a default_pipeline.star with which RELION takes it for a project.

    Raises
    ------
    GanpickError
        If the folder exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise GanpickError(f"{folder}: exists and is not an empty folder; give another --out, or delete it first")
    for name in ("Micrographs", "truth"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    made: list[tuple[str, Optics]] = []
    for index, scene in enumerate(make_scenes(settings), 1):
        path = folder / "Micrographs" / f"mic{index:03d}.mrc"
        _write_mrc(path, scene)
        _write_truth(folder / "truth" / path.stem, scene)
        if scene.blank.any():
            write_mask(folder / "truth" / f"{path.stem}_blank.png", scene.blank.astype(np.float32), scene.pixel_size)
        made.append((f"Micrographs/{path.name}", scene.optics))
        yield path, len(scene.centres)
    _write_star(folder / "micrographs.star", _tables(made, settings.angpix))
    _write_star(folder / "default_pipeline.star", {"pipeline_general": {"rlnPipeLineJobCounter": 1}})
    content = {"diameter": settings.diameter, "angpix": settings.angpix, "seed": settings.seed, "version": __version__}
    (folder / "project.json").write_text(json.dumps(content | {"settings": asdict(settings)}, indent=1) + "\n")


def _ranges(settings: ProjectSettings) -> SceneSettings:
    """Scenes in which a person sees the particles; the contrast holds at the networks' working scale."""
    if settings.particles is None:
        density = DENSITY
    else:
        # The scene places one particle more than the whole number of circles that fit its share of the area.
        density = (settings.particles - 0.5) * np.pi / 4 * settings.diameter_px**2 / (settings.width * settings.height)
    factor = PARTICLE_PX / settings.diameter_px
    return replace(
        CLEAN if settings.clean else DIRTY,
        diameter=(settings.diameter, settings.diameter),
        contrast=(CONTRAST[0] * factor, CONTRAST[1] * factor),
        defocus_angstrom=DEFOCUS_ANGSTROM,
        area_density=(density, density),
        spacing=SPACING,
        phase_plate=0,
    )


def _write_mrc(path: Path, scene: Scene) -> None:
    with mrcfile.new(path) as mrc:
        mrc.set_data(scene.pixels)
        mrc.voxel_size = scene.pixel_size
        # mrcfile's own label holds the time of day, which would make equal projects differ.
        mrc.header.label[0] = f"relion-ganpick {__version__} simulate".ljust(80).encode()


def _write_truth(stem: Path, scene: Scene) -> None:
    x, y = scene.centres.T
    write_picks(stem.with_suffix(".star"), Picks(x, y, np.ones(len(x))))
    with open(stem.with_suffix(".csv"), "w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("x", "y"))
        writer.writerows((f"{x:.3f}", f"{y:.3f}") for x, y in scene.centres)


def _tables(made: list[tuple[str, Optics]], angpix: float) -> dict[str, pd.DataFrame]:
    """Blocks of a RELION 3.1 micrographs STAR; micrographs share an optics group where the microscope is the same."""
    microscopes = [(each.voltage_kv, each.spherical_aberration_mm, round(each.amplitude_contrast, 4)) for _, each in made]
    groups = {microscope: number for number, microscope in enumerate(dict.fromkeys(microscopes), 1)}
    optics = [
        {
            "rlnOpticsGroupName": f"opticsGroup{number}",
            "rlnOpticsGroup": number,
            "rlnMicrographOriginalPixelSize": angpix,
            "rlnVoltage": voltage,
            "rlnSphericalAberration": aberration,
            "rlnAmplitudeContrast": amplitude,
            "rlnMicrographPixelSize": angpix,
        }
        for (voltage, aberration, amplitude), number in groups.items()
    ]
    names = [name for name, _ in made]
    micrographs = {"rlnMicrographName": names, "rlnOpticsGroup": [groups[each] for each in microscopes]}
    return {"optics": pd.DataFrame(optics), "micrographs": pd.DataFrame(micrographs)}


def _write_star(path: Path, blocks: dict[str, pd.DataFrame] | dict[str, dict[str, int]]) -> None:
    """Write blocks with the version line that RELION looks for, in place of starfile's, which holds the time of day."""
    text = starfile.to_string(blocks)
    path.write_text("\n# version 30001\n" + text.partition("\n")[2])
