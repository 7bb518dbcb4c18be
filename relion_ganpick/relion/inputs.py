"""The job's input: the micrographs STAR file, whose names decide where coordinate files go."""

from __future__ import annotations

from pathlib import Path

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.formats.micrographs_star import MicrographEntry, read_micrographs
from relion_ganpick.relion.names import inside_stem


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
