"""RELION's rules for the names of output files."""

from __future__ import annotations

import re

PICK_NAME = "autopick"
_JOB = re.compile(r"(?:^|/)job[0-9]{3}[^/]*/")


def pipeline_stem(micrograph: str) -> str:
    """Cut the job's folder and the extension off a micrograph's name, as RELION's decomposePipelineFileName does.

    ``MotionCorr/job025/Movies/day1/movA.mrc`` becomes ``Movies/day1/movA``; a name without a job's folder stays whole.
    """
    job = _JOB.search(micrograph)
    relative = micrograph[job.end() :] if job else micrograph
    folder, _, name = relative.rpartition("/")
    stem = name.rpartition(".")[0] or name
    return f"{folder}/{stem}" if folder or relative.startswith("/") else stem


def pick_file(output: str, micrograph: str, keep_inside: bool = True) -> str:
    """Name of a micrograph's coordinate file: job folder + stem + ``_autopick.star``, by concatenation.

    Parameters
    ----------
    output
        The job's folder with its final slash.
    micrograph
        Name in the micrographs STAR file.
    keep_inside
        Replace ``..`` so that the file cannot leave the job's folder. RELION 3.1 looks for it outside;
        RELION 4 and 5 are told where it is.
    """
    stem = pipeline_stem(micrograph)
    if keep_inside:
        stem = "/".join("__" if part == ".." else part for part in stem.split("/"))
    return f"{output}{stem}_{PICK_NAME}.star"


def inside_stem(micrograph: str) -> str:
    """Stem that stays below whatever folder it is put in: without ``..`` and without a slash at its start."""
    return "/".join("__" if part == ".." else part for part in pipeline_stem(micrograph).split("/")).lstrip("/")


def scores_file(output: str, micrograph: str) -> str:
    """Name of the file that keeps every scored pick of a micrograph, whatever the threshold."""
    return f"{output}.ganpick/{inside_stem(micrograph)}_scores.star"
