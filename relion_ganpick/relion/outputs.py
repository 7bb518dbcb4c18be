"""Files for RELION's pipeline: lists of coordinate files, output nodes, and settings for its Display window."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import write_atomic
from relion_ganpick.formats.pick_files import can_be_read, read_picks
from relion_ganpick.formats.pick_lists import LIST_FILE, SUMMARY_FILE
from relion_ganpick.formats.picks_json import Head, json_file, read_head
from relion_ganpick.formats.summary_star import summary_tables
from relion_ganpick.relion.generation import (
    LOGFILE_LABEL,
    LOGFILE_NUMBER,
    MICROGRAPHS_NUMBER,
    NODE_NUMBER,
    Generation,
    star_text,
)
from relion_ganpick.relion.names import pick_file
from relion_ganpick.report.names import LOGFILE

SUFFIX_FILE = "coords_suffix_autopick.star"
NODES_FILE = "RELION_OUTPUT_NODES.star"
MANUAL_PICK_FILE = ".gui_manualpickjob.star"


def write_lists(output: str, in_mics: str, micrographs: Sequence[str], generation: Generation) -> int:
    """Declare the coordinate files that exist: lists, summary, and the nodes of the running generation.

    Parameters
    ----------
    output
        The job's folder with its final slash, relative to the project.
    in_mics
        The input STAR file, relative to the project.
    micrographs
        All names, as in the input.
    generation
        Decides the node's type.

    Returns
    -------
    Number of micrographs with a coordinate file that RELION can read. Without any, nothing is written: an empty list makes
    RELION's Display fail.
    """
    keep_inside = generation.node_label is not None
    rows = [(name, pick_file(output, name, keep_inside)) for name in micrographs]
    rows = [(name, coordinates) for name, coordinates in rows if can_be_read(Path(coordinates))]
    if not rows:
        return 0
    table = {"rlnMicrographName": [name for name, _ in rows], "rlnMicrographCoordinates": [path for _, path in rows]}
    write_atomic(Path(output + LIST_FILE), star_text({"coordinate_files": table}, generation))
    heads = {name: _head(Path(coordinates)) for name, coordinates in rows}
    write_atomic(Path(output + SUMMARY_FILE), star_text(summary_tables(heads, Path(in_mics)), generation))
    write_atomic(Path(output + SUFFIX_FILE), in_mics + "\n")
    write_atomic(Path(output + NODES_FILE), _nodes(output, generation))
    return len(rows)


def _head(coordinates: Path) -> Head:
    """Numbers of a micrograph; those of the coordinate file where an earlier version wrote no more than that."""
    try:
        head = read_head(json_file(coordinates))
        if head is not None:
            return head
        merits = read_picks(coordinates).score
    except GanpickError:
        return Head(0, None, None)
    return Head(len(merits), float(merits.mean()) if len(merits) else None, None)


def write_manual_pick_settings(project: Path, diameter: float, pixel_size: float | None, generation: Generation) -> bool:
    """Tell RELION's Display how large to draw circles, unless the project has settings of its own.

    Returns
    -------
    Whether the file was written.
    """
    path = project / MANUAL_PICK_FILE
    if path.exists():
        return False
    kind = {"rlnJobType": 3} if generation.node_label is None else {"rlnJobTypeLabel": "relion.manualpick"}
    job: dict[str, object] = {**kind, "rlnJobIsContinue": 0} | ({} if generation.node_label is None else {"rlnJobIsTomo": 0})
    values: dict[str, object] = {
        "angpix": round(pixel_size, 5) if pixel_size else -1,
        "black_val": 0,
        "blue_value": 0,
        "color_label": "rlnParticleSelectZScore",
        "ctfscale": 1,
        "diameter": round(diameter, 2),
        "do_color": "No",
        "do_queue": "No",
        "do_startend": "No",
        "fn_color": "",
        "fn_in": "",
        "highpass": -1,
        "lowpass": 20,
        "micscale": 0.2,
        "min_dedicated": 1,
        "other_args": "",
        "qsub": "qsub",
        "qsubscript": "",
        "queuename": "openmpi",
        "red_value": 2,
        "sigma_contrast": 3,
        "white_val": 0,
    }
    options = {"rlnJobOptionVariable": list(values), "rlnJobOptionValue": list(values.values())}
    write_atomic(path, star_text({"job": job, "joboptions_values": options}, generation))
    return True


def _nodes(output: str, generation: Generation) -> str:
    """Declare what the job has made. RELION 3.1 reads numbers, 4 and 5 labels; a file that is not there is not declared."""
    files = [
        (generation.node_file, NODE_NUMBER, generation.node_label),
        (SUMMARY_FILE, MICROGRAPHS_NUMBER, generation.micrographs_label),
        (LOGFILE, LOGFILE_NUMBER, LOGFILE_LABEL),
    ]
    there = [each for each in files if Path(output + each[0]).is_file()]
    node: dict[str, list[object]] = {"rlnPipeLineNodeName": [output + name for name, _, _ in there]}
    if generation.node_label is None:
        node["rlnPipeLineNodeType"] = [number for _, number, _ in there]
    else:
        node["rlnPipeLineNodeTypeLabel"] = [label for _, _, label in there]
    return star_text({"output_nodes": node}, generation)
