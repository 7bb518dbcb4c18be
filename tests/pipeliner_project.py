"""A ccpem-pipeliner project with two synthetic micrographs, for tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import mrcfile
import numpy as np

from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.pick_files import read_picks
from relion_ganpick.relion.names import pick_file
from relion_ganpick.synthesis.scene import CLEAN, make_scene

DIAMETER, PIXEL_SIZE, SIDE = 180.0, 12.0, 256
MICROGRAPHS = ["Micrographs/mic0.mrc", "Micrographs/mic1.mrc"]
NODE_TYPE = "MicrographCoordsGroup.star.relion.autopick.ganpick"
NODES = {
    "AutoPick/job001/autopick.star": NODE_TYPE,
    "AutoPick/job001/summary.star": "MicrographGroupMetadata.star.relion.autopick.ganpick",
    "AutoPick/job001/logfile.pdf": "LogFile.pdf.relion.autopick.ganpick",
}
FORM = {"_rlnJobTypeLabel": "ganpick.autopick", "in_mics": "micrographs.star", "diameter": DIAMETER, "device": "cpu"}
# Pipeliner works on the folder and the state of its process, so every step of a project is a process of its own.
PREAMBLE = f"""
import json, sys
from pipeliner.api.manage_project import PipelinerProject
from pipeliner.job_factory import get_job_types, job_from_dict
from pipeliner.project_graph import ProjectGraph

FORM = {FORM!r}

def state(job):
    with ProjectGraph(name="default") as graph:
        process = graph.find_process(job.output_dir)
        nodes = {{node.name: node for node in process.output_nodes}}
        picks = nodes.get(job.output_dir + "autopick.star")
        return {{
            "job": job.output_dir,
            "status": process.status,
            "inputs": {{node.name: node.type for node in process.input_nodes}},
            "outputs": {{name: node.type for name, node in nodes.items()}},
            "coordinates": None if picks is None or process.status != "Succeeded" else {{
                name: picks.get_image_metadata(name)["Particle coordinates"] for name in {MICROGRAPHS!r}
            }},
        }}
"""


@dataclass(frozen=True)
class Project:
    """A project with two synthetic micrographs, where the particles are, and what became of its first job."""

    path: Path
    truth: dict[str, np.ndarray]
    first: dict[str, Any]


def in_project(project: Path, script: str) -> Any:
    """Run a script in the project's folder; returns the JSON that it prints on its last line."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIPELINER_", "RELION_"))}
    environment |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PREAMBLE + dedent(script)]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def write_micrographs(project: Path) -> dict[str, np.ndarray]:
    """Write two synthetic micrographs with their STAR file; returns the particles' centres, (n, 2) in pixels."""
    settings = replace(CLEAN, diameter=(DIAMETER, DIAMETER), contrast=(3.0, 3.0), area_density=(0.2, 0.3))
    truth = {}
    for seed, name in enumerate(MICROGRAPHS):
        scene = make_scene((SIDE, SIDE), DIAMETER / PIXEL_SIZE, np.random.default_rng(seed), settings)
        (project / name).parent.mkdir(exist_ok=True)
        with mrcfile.new(project / name) as mrc:
            mrc.set_data(scene.pixels)
            mrc.voxel_size = PIXEL_SIZE
        truth[name] = scene.centres
    rows = "\n".join(f"{name} 1" for name in MICROGRAPHS)
    (project / "micrographs.star").write_text(
        "\n# version 30001\n\ndata_optics\n\nloop_\n_rlnOpticsGroupName #1\n_rlnOpticsGroup #2\n_rlnMicrographPixelSize #3\n"
        f"opticsGroup1 1 {PIXEL_SIZE}\n\n\ndata_micrographs\n\nloop_\n_rlnMicrographName #1\n_rlnOpticsGroup #2\n{rows}\n\n"
    )
    return truth


def our_picks(project: Project) -> dict[str, Picks]:
    return {name: read_picks(project.path / pick_file("AutoPick/job001/", name)) for name in MICROGRAPHS}


def coordinates_of(picks: dict[str, Picks]) -> dict[str, list[list[float]]]:
    return {name: each.xy.tolist() for name, each in picks.items()}


def log(project: Project, job: str, name: str) -> str:
    return (project.path / job / name).read_text()
