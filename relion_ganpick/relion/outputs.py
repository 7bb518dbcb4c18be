"""Files for RELION's pipeline: lists of coordinate files, output nodes, and settings for its Display window."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from relion_ganpick.core.files import write_atomic
from relion_ganpick.formats.pick_files import can_be_read
from relion_ganpick.relion.generation import NODE_NUMBER, Generation, star_text
from relion_ganpick.relion.names import pick_file

LIST_FILE = "autopick.star"
SUFFIX_FILE = "coords_suffix_autopick.star"
NODES_FILE = "RELION_OUTPUT_NODES.star"
MANUAL_PICK_FILE = ".gui_manualpickjob.star"


def write_lists(output: str, in_mics: str, micrographs: Sequence[str], generation: Generation) -> int:
    """Declare the coordinate files that exist: both lists and the node of the running generation.

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
    write_atomic(Path(output + SUFFIX_FILE), in_mics + "\n")
    write_atomic(Path(output + NODES_FILE), _nodes(output, generation))
    return len(rows)


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
    """RELION 3.1 reads the number, 4 and 5 the label; 5 alone would not need the number, and ignores it."""
    node: dict[str, list[object]] = {"rlnPipeLineNodeName": [output + generation.node_file]}
    if generation.node_label is None:
        node["rlnPipeLineNodeType"] = [NODE_NUMBER]
    else:
        node["rlnPipeLineNodeTypeLabel"] = [generation.node_label]
    return star_text({"output_nodes": node}, generation)
