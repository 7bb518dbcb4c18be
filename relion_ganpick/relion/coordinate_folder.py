"""Picks of any program as a folder that RELION and `ganpick inspect` take: coordinate files and lists of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.formats.micrograph_picks import MicrographPicks, full_name
from relion_ganpick.formats.pick_files import cut_digest, digest, write_picks
from relion_ganpick.inspect.job import Facts, write_facts
from relion_ganpick.relion.generation import GENERATIONS
from relion_ganpick.relion.names import pick_file, scores_file
from relion_ganpick.relion.outputs import write_lists


def write_folder(
    folder: Path, micrographs: Sequence[MicrographPicks], version: str, in_mics: str | None, diameter: float | None
) -> list[Path]:
    """Write coordinate files where RELION looks for them, below the folder, and the lists of RELION 3.1, 4 and 5.

    Parameters
    ----------
    folder
        It is made.
    micrographs
        Their names as in the micrographs STAR file.
    version
        Generation of RELION: "3.1", "4.0" or "5.0".
    in_mics
        That STAR file, for RELION 3.1.
    diameter
        Of the particle in Angstrom, for `ganpick inspect`; None leaves it away.

    Raises
    ------
    GanpickError
        If a name is not known, or two micrographs would have the same file.
    """
    output = f"{folder}/"
    files: dict[str, str] = {}
    for each in micrographs:
        path = pick_file(output, full_name(each))
        if path in files:
            raise GanpickError(f"{files[path]} and {each.name} would both write {path}: convert one folder at a time")
        files[path] = each.name
    for path, each in zip(files, micrographs, strict=True):
        picks = each.picks.rounded().sorted()
        settings = digest(f"{each.source} {each.name}")
        # with all scores beside it, as in a job, so that a threshold can be tried on them
        write_picks(Path(scores_file(output, each.name)), picks, settings)
        write_picks(Path(path), picks, cut_digest(settings, 0.0))
    folder.mkdir(parents=True, exist_ok=True)
    write_lists(output, in_mics or "", list(files.values()), GENERATIONS[version])
    if diameter is not None:
        write_facts(folder, Facts(diameter=diameter))
    return [Path(path) for path in files]
