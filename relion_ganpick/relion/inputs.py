"""The job's input: the micrographs STAR file, whose names decide where coordinate files go."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.text import printable
from relion_ganpick.formats.micrographs_star import MicrographEntry, read_micrographs
from relion_ganpick.relion.names import inside_stem, why_not

log = logging.getLogger(__name__)


def read_input(path: Path, angpix: float | None = None) -> list[MicrographEntry]:
    """Read the micrographs of a job, see `read_micrographs`.

    Raises
    ------
    GanpickError
        If the file cannot be used, or if two micrographs would share one coordinate file.
    """
    entries = read_micrographs(path, angpix)
    stems: dict[str, str] = {}
    for entry in entries:
        other = stems.setdefault(inside_stem(entry.name), entry.name)
        if other != entry.name:
            raise GanpickError(f"{path}: {other} and {entry.name} would share one coordinate file; pick them in two jobs")
    return entries


def with_a_place(entries: Sequence[MicrographEntry], output: str, keep_inside: bool) -> list[MicrographEntry]:
    """Leave out micrographs that cannot have a coordinate file, each with a line.

    Parameters
    ----------
    entries
        Micrographs of a job.
    output
        The job's folder with its final slash.
    keep_inside
        Whether coordinate files stay in it; see `pick_file`.

    Raises
    ------
    GanpickError
        If none is left.
    """
    kept = []
    for entry in entries:
        reason = why_not(output, entry.name, keep_inside)
        if reason is None:
            kept.append(entry)
        else:
            log.error(f"{printable(entry.name)}: {reason}")
    if not kept:
        raise GanpickError("no micrograph could be used: the lines above say why")
    return kept
