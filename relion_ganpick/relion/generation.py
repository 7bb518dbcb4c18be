"""Which RELION has started us: 3.1, 4.0 or 5.0, and what that changes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.formats.star import list_text, loop_text


@dataclass(frozen=True)
class Generation:
    """What differs between generations of RELION.

    Attributes
    ----------
    name
        "3.1", "4.0" or "5.0".
    star_version
        Number in the header of STAR files.
    node_file
        Output that is declared to the pipeline.
    node_label
        Its type for RELION 4 and 5; None for 3.1, which has numbers only.
    micrographs_label
        Type of a list of micrographs for RELION 4 and 5.
    """

    name: str
    star_version: int
    node_file: str
    node_label: str | None
    micrographs_label: str | None = None


NODE_NUMBER, MICROGRAPHS_NUMBER, LOGFILE_NUMBER = 2, 1, 13
LOGFILE_LABEL = "LogFile.pdf.relion.autopick"
GENERATIONS = {
    "3.1": Generation("3.1", 30001, "coords_suffix_autopick.star", None),
    "4.0": Generation("4.0", 30001, "autopick.star", "MicrographsCoords.star.relion.autopick", "MicrographsData.star.relion"),
    "5.0": Generation(
        "5.0", 50001, "autopick.star", "MicrographCoordsGroup.star.relion.autopick", "MicrographGroupMetadata.star.relion"
    ),
}
NEWEST = "5.0"


def find_generation(job_star: Path, wanted: str | None = None) -> Generation:
    """Tell RELION's generation from the job.star that it wrote before it started us.

    Version 50001 or later in the header is RELION 5; a type label is 4.0; a type number is 3.1.

    Parameters
    ----------
    job_star
        ``job.star`` in the job's folder; if it is missing we are run by hand, and the newest generation is assumed.
    wanted
        A generation's name that overrides what is found.

    Raises
    ------
    GanpickError
        If ``wanted`` is none of them.
    """
    if wanted is not None:
        if wanted not in GENERATIONS:
            raise GanpickError(f"--relion_version {wanted}: give one of {', '.join(GENERATIONS)}")
        return GENERATIONS[wanted]
    try:
        text = job_star.read_text(errors="replace")
    except OSError:
        return GENERATIONS[NEWEST]
    version = re.search(r"^# version (\d+)", text, re.MULTILINE)
    if version and int(version[1]) >= GENERATIONS["5.0"].star_version:
        return GENERATIONS["5.0"]
    if "_rlnJobTypeLabel" in text:
        return GENERATIONS["4.0"]
    return GENERATIONS["3.1" if "_rlnJobType" in text else NEWEST]


def star_text(blocks: Mapping[str, Mapping[str, object]], generation: Generation) -> str:
    """Blocks in STAR format with RELION's header: lists of words become the columns of a table, single words a block of pairs."""
    parts = []
    for name, block in blocks.items():
        columns = {column: words for column, words in block.items() if isinstance(words, list)}
        parts.append(loop_text(name, columns) if columns else list_text(name, block))
    return f"\n# version {generation.star_version}\n\n" + "\n".join(parts)
