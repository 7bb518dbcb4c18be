"""A job of three micrographs that has succeeded, and the same project as RELION prepares it for Continue."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from job_project import GOLDEN, JOB, Ended, arguments, make_project, run_job

from relion_ganpick.relion.markers import SUCCESS

NAMES = [f"Micrographs/mic0{k}.mrc" for k in range(3)]
FILES = [f"Micrographs/mic0{k}_autopick.star" for k in range(3)]
FOR_PIPELINES = [f"Micrographs/mic0{k}_picks.json" for k in range(3)]
SCORES = [f".ganpick/Micrographs/mic0{k}_scores.star" for k in range(3)]
UNUSED = ["--in_movies", "Import/job001/movies.star", "--in_parts", "p.star", "--in_coords", "c.star"]
UNUSED += ["--in_3dref", "r.mrc", "--in_mask", "m.mrc"]
LINE = re.compile(r"^\[(\d)/(\d)\] (\S+): (\d+) picks \((.*)\)$", re.MULTILINE)


def finished_job(folder: Path) -> tuple[Path, Ended]:
    """Make a project and run its job as RELION does, with all that it may add to the command."""
    project = make_project(folder, 3)
    words = [*UNUSED, *arguments("--threshold", "--overlays", "2")[2:], "--pipeline_control", JOB]
    return project, run_job(project, "--o", JOB, *words)


def for_continue(project: Path, folder: Path) -> Path:
    """Copy a finished project, and prepare its job for Continue."""
    copy = Path(shutil.copytree(project, folder))
    (copy / JOB / SUCCESS).unlink()
    text = (GOLDEN / "5.0" / "job.star").read_text()
    (copy / JOB / "job.star").write_text(re.sub(r"(_rlnJobIsContinue +)0", r"\g<1>1", text))
    return copy
