"""RELION projects for tests, run by RELION's own programs, and simulated micrographs to fill them with."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import mrcfile
import numpy as np
import pandas as pd
import starfile
import tifffile
from machine import patience
from numpy.typing import NDArray

from relion_ganpick.synthesis.scene import CLEAN, make_scene

RUNNING, SCHEDULED, FINISHED, FAILED, ABORTED = range(5)  # RELION's numbers for what has become of a job
EMPTY_PIPELINE = "\n# version 30001\n\ndata_pipeline_general\n\n_rlnPipeLineJobCounter 1\n \n"
SCHEDULE = "test"
PATIENCE = 240.0
DIAMETER, PIXEL_SIZE, DIAMETER_PX = 180.0, 10.0, 18
SETTINGS = replace(
    CLEAN,
    diameter=(DIAMETER, DIAMETER),
    contrast=(2, 2),
    area_density=(0.15, 0.15),
    spacing=(1.2, 1.3),
    defocus_angstrom=(15000, 20000),
    phase_plate=0,
    molecule="globule",
)
CORNER = 0.55  # share of each side that the corner with the particles takes

Image = NDArray[np.float32]
Points = NDArray[np.float64]  # (n, 2), (x, y) in pixels


def executable() -> Path:
    """The External job's executable: that of the environment which runs the tests, else the checkout's."""
    installed = Path(sys.executable).with_name("relion_ganpick")
    return installed if installed.exists() else Path(__file__).parents[1] / "bin" / "relion_ganpick"


@dataclass(frozen=True)
class RelionProject:
    """A folder with a RELION pipeline, whose jobs are started by relion_pipeliner.

    Attributes
    ----------
    path
        The project's folder.
    """

    path: Path

    @classmethod
    def create(cls, path: Path) -> RelionProject:
        """Make an empty project in a folder, as RELION's window does when it is opened there."""
        (path / "Micrographs").mkdir(parents=True)
        (path / "default_pipeline.star").write_text(EMPTY_PIPELINE)
        return cls(path)

    def add(self, kind: str, options: dict[str, object], alias: str | None = None) -> str:
        """Schedule a job with the values of its form; returns its folder with the final slash."""
        counter = re.search(r"_rlnPipeLineJobCounter +(\d+)", (self.path / "default_pipeline.star").read_text())
        assert counter is not None
        form = ";".join(f"{name} == {value}" for name, value in options.items())
        self.pipeliner("--addJob", kind, "--addJobOptions", form, *(("--setJobAlias", alias) if alias else ()))
        job = f"{kind}/job{int(counter[1]):03d}/"
        assert self.status(job) == SCHEDULED
        return job

    def run(self, job: str) -> str:
        """Run a job, or run it again where it stands (Continue), and wait for its end; returns its folder."""
        self.pipeliner(*_run(job))
        return job

    def start(self, job: str) -> subprocess.Popen[bytes]:
        """Run a job without waiting for its end."""
        with (self.path / "pipeliner.log").open("ab") as log:
            return subprocess.Popen(["relion_pipeliner", *_run(job)], cwd=self.path, env=_environment(), stdout=log, stderr=log)

    def pipeliner(self, *words: str) -> None:
        """Call relion_pipeliner in the project and wait for it."""
        command = ["relion_pipeliner", *words]
        done = subprocess.run(
            command, cwd=self.path, env=_environment(), capture_output=True, text=True, timeout=patience(PATIENCE), check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    def import_micrographs(self, pattern: str, pixel_size: float) -> str:
        """Import micrographs; returns the name of their STAR file."""
        options = {"do_raw": "Yes", "do_other": "No", "fn_in_raw": pattern, "is_multiframe": "No", "angpix": pixel_size}
        return self.run(self.add("Import", options)) + "micrographs.star"

    def add_external(self, micrographs: str, parameters: dict[str, object], threads: int = 1, alias: str | None = None) -> str:
        """Schedule our External job; each parameter is a label of the form and its value."""
        form: dict[str, object] = {"fn_exe": executable(), "in_mic": micrographs, "nr_threads": threads}
        for number, (label, value) in enumerate(parameters.items(), 1):
            form |= {f"param{number}_label": label, f"param{number}_value": value}
        return self.add("External", form, alias)

    def extract(self, micrographs: str, picking_job: str, box: int, diameter_px: int) -> str:
        """Extract normalised particles with inverted contrast, as RELION's form proposes; returns the job's folder."""
        options: dict[str, object] = {"star_mics": micrographs, "coords_suffix": f"{picking_job}coords_suffix_autopick.star"}
        options |= {"extract_size": box, "bg_diameter": diameter_px, "do_norm": "Yes", "do_invert": "Yes"}
        return self.run(self.add("Extract", {**options, "do_rescale": "No", "nr_mpi": 1}))

    def status(self, job: str) -> int:
        """What the pipeline shows of a job."""
        processes = self.pipeline()["pipeline_processes"]
        return int(processes.loc[processes["rlnPipeLineProcessName"] == job, "rlnPipeLineProcessStatus"].item())

    def pipeline(self) -> dict[str, pd.DataFrame]:
        """The tables of default_pipeline.star."""
        return self.tables("default_pipeline.star")

    def tables(self, name: str) -> dict[str, pd.DataFrame]:
        """The tables of a STAR file of the project; those with one row and no loop are left out."""
        blocks = starfile.read(self.path / name, always_dict=True)
        return {block: table for block, table in blocks.items() if isinstance(table, pd.DataFrame)}

    def text(self, name: str) -> str:
        """Text of a file of the project; empty if it is not there yet."""
        path = self.path / name
        return path.read_text() if path.exists() else ""

    def markers(self, job: str) -> list[str]:
        """Names of the files by which a job and RELION tell each other how it ends."""
        return sorted(path.name for path in (self.path / job).glob("RELION_JOB_*"))

    def picks(self, job: str, stem: str) -> Points:
        """One micrograph's picks."""
        return coordinates(self.tables(f"{job}Micrographs/{stem}_autopick.star")[""])

    def listed(self, job: str) -> list[str]:
        """Coordinate files that a picking job's list names."""
        return list(self.tables(f"{job}autopick.star")["coordinate_files"]["rlnMicrographCoordinates"])

    def written(self, job: str) -> dict[str, int]:
        """Coordinate files that are there, with the time of their last change in nanoseconds."""
        files = sorted((self.path / job / "Micrographs").glob("*_autopick.star"))
        return {f"{job}Micrographs/{file.name}": file.stat().st_mtime_ns for file in files}

    def particles(self, job: str, micrograph: str | None = None) -> pd.DataFrame:
        """Rows of an Extract job's particles.star, of all micrographs or of one."""
        table = self.tables(f"{job}particles.star")["particles"]
        return table if micrograph is None else table[table["rlnMicrographName"] == micrograph]

    def particle_stack(self, job: str, stem: str) -> NDArray[np.float32]:
        """(n, box, box) particles that RELION has cut out of one micrograph."""
        return np.asarray(mrcfile.read(self.path / job / "Micrographs" / f"{stem}.mrcs"), np.float32)


def _run(job: str) -> tuple[str, ...]:
    return ("--RunJobs", job, "--schedule", SCHEDULE, "--sec_wait_after", "1")


def _environment() -> dict[str, str]:
    """A user's environment: no variable of RELION, and the Python of the tests for the checkout's executable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RELION_")}
    return kept | {"GANPICK_PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}


def coordinates(table: pd.DataFrame) -> Points:
    """Coordinates that a STAR file's table holds."""
    return np.asarray(table[["rlnCoordinateX", "rlnCoordinateY"]], np.float64)


def wait_for(condition: Callable[[], bool], seconds: float = PATIENCE) -> float:
    """Wait until a condition holds; returns how many seconds that took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() < start + seconds, f"nothing came in {seconds:g} s"
        time.sleep(0.02)
    return time.monotonic() - start


def scene_with_corner(shape: tuple[int, int], seed: int) -> tuple[Image, Points]:
    """Simulate (h, w) pixels with particles in the first rows and columns only; returns the particles' centres too."""
    rng = np.random.default_rng(seed)
    full = make_scene(shape, DIAMETER_PX, rng, SETTINGS)
    empty = make_scene(shape, DIAMETER_PX, rng, replace(SETTINGS, empty=1))
    limit = CORNER * np.array([shape[1], shape[0]])
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    share = cv2.GaussianBlur(((columns < limit[0]) & (rows < limit[1])).astype(np.float32), (0, 0), 5)
    centres = full.centres[(full.centres < limit + DIAMETER_PX / 2).all(axis=1)]
    return share * full.pixels + (1 - share) * empty.pixels, centres


def write_mrc(path: Path, pixels: Image) -> None:
    """Write an MRC file of 32 bit floats."""
    with mrcfile.new(path) as file:
        file.set_data(pixels)
        file.voxel_size = PIXEL_SIZE


def write_mrc_of_integers(path: Path, pixels: Image) -> None:
    """Write an MRC file of 16 bit integers."""
    write_mrc(path, np.round(pixels * 100).astype(np.int16))


def write_tiff(path: Path, pixels: Image) -> None:
    """Write a TIFF file; RELION turns its rows upside down as it reads them, so they are written that way."""
    tifffile.imwrite(path, np.ascontiguousarray(pixels[::-1]))
