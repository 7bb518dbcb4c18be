"""Run our picker as RELION runs it, as an External job, and read what it wrote."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from measure import Cost, run
from stage import STAR_FILE

from relion_ganpick.core.picks import Picks
from relion_ganpick.formats.pick_files import read_picks
from relion_ganpick.relion.names import pick_file, scores_file

JOB = "External/job001/"
START = "import sys; from relion_ganpick.relion.main import main; sys.exit(main())"


@dataclass(frozen=True)
class Job:
    """What an External job found.

    Attributes
    ----------
    picks, scored
        By the micrograph's name in the list: picks that RELION gets, and all that were scored.
    cost
        What the job took, start included.
    said
        What it printed.
    """

    picks: dict[str, Picks]
    scored: dict[str, Picks]
    cost: Cost
    said: str


def command(diameter: float, threads: int, options: Sequence[str] = ()) -> list[str]:
    """Write the command line of the External job, in the words that RELION uses."""
    given = ["--o", JOB, "--in_mics", STAR_FILE, "--diameter", f"{diameter:g}"]
    return [sys.executable, "-c", START, *given, "--j", str(threads), *options]


def run_job(folder: Path, names: Sequence[str], diameter: float, threads: int = 2, options: Sequence[str] = ()) -> Job:
    """Run the job in a project's folder, see `stage.stage`.

    Parameters
    ----------
    folder
        The project's folder.
    names
        Names of the micrographs in its list.
    diameter
        Of the particle in Angstrom.
    threads
        How many the job may use.
    options
        More words for its command line.

    Raises
    ------
    SystemExit
        If the job fails.
    """
    (folder / JOB).mkdir(parents=True, exist_ok=True)
    cost, said = run(command(diameter, threads, options), folder)
    output = f"{folder}/{JOB}"
    picks = {name: _read(Path(pick_file(output, name))) for name in names}
    return Job(picks, {name: _read(Path(scores_file(output, name))) for name in names}, cost, said)


def _read(path: Path) -> Picks:
    """Read one file; a micrograph that was left out has none."""
    return read_picks(path) if path.exists() else Picks.none()
