"""A project whose user has kept some particles: dark blobs, beside rings that the model likes better."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
from job_project import JOB, write_star
from test_approved import DIAMETER, PIXEL, SIDE, scene

__all__ = ["DIAMETER", "LEARNED", "NAMES", "PARTICLES", "PIXEL", "SIDE", "WEIGHTS", "make_project"]

N, LEARNED = 3, 2
NAMES = [f"Micrographs/mic{k}.mrc" for k in range(N)]
PARTICLES, WEIGHTS = "Select/job012/particles.star", "default-approved.safetensors"
HEAD = """
data_particles

loop_
_rlnCoordinateX #1
_rlnCoordinateY #2
_rlnMicrographName #3
"""


def make_project(root: Path) -> Path:
    """Write micrographs with rings and blobs; most blobs on the first two of them have been kept."""
    for folder in ("Micrographs", "Select/job012", JOB):
        (root / folder).mkdir(parents=True)
    rng, rows = np.random.default_rng(1), []
    for k, name in enumerate(NAMES):
        pixels, centres = scene(k)
        with mrcfile.new(root / name) as file:
            file.set_data(pixels)
            file.voxel_size = PIXEL
        kept = centres[rng.random(len(centres)) < 0.8] if k < LEARNED else []
        rows += [f"{x} {y} {name}" for x, y in kept]
    write_star(root / "micrographs.star", NAMES, PIXEL)
    (root / PARTICLES).write_text(HEAD + "\n".join(rows) + "\n\n")
    return root
