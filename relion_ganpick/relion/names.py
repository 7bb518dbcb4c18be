"""RELION's rules for the names of output files."""

from __future__ import annotations

import os
import posixpath
import re

from relion_ganpick.core.files import LONGEST_NAME, fitted

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
        RELION 4 and 5 are told where it is, so that names which are too long are shortened for them, too.
    """
    stem = _kept_inside(pipeline_stem(micrograph)) if keep_inside else pipeline_stem(micrograph)
    return f"{output}{stem}_{PICK_NAME}.star"


def inside_stem(micrograph: str) -> str:
    """Stem that stays below whatever folder it is put in, and has room for an ending: without ``..`` and a slash at its start."""
    return _kept_inside(pipeline_stem(micrograph)).lstrip("/")


def why_not(output: str, micrograph: str, keep_inside: bool) -> str | None:
    """Say why a micrograph cannot have a coordinate file where RELION looks for it; None if it can.

    Parameters
    ----------
    output, micrograph, keep_inside
        As for `pick_file`. The output is relative to the project's folder.
    """
    path = pick_file(output, micrograph, keep_inside)
    if posixpath.normpath(path) == posixpath.normpath(f"{output}coords_suffix_{PICK_NAME}.star"):
        return "its coordinate file would have the name of RELION's list of them; rename the micrograph"
    if posixpath.relpath(path).split("/")[0] == "..":
        return "RELION 3.1 looks for its coordinate file outside of the project's folder; give a path without .."
    longest = max(len(os.fsencode(part)) for part in path.split("/"))
    if longest > LONGEST_NAME:
        return (
            f"RELION 3.1 looks for a coordinate file whose name has {longest} bytes, but {LONGEST_NAME} are allowed; shorten it"
        )
    return None


def _kept_inside(stem: str) -> str:
    folder, slash, name = stem.rpartition("/")
    inside = "/".join("__" if part == ".." else part for part in folder.split("/"))
    return f"{inside}{slash}{fitted('__' if name == '..' else name)}"


def scores_file(output: str, micrograph: str) -> str:
    """Name of the file that keeps every scored pick of a micrograph, whatever the threshold."""
    return f"{output}.ganpick/{inside_stem(micrograph)}_scores.star"
