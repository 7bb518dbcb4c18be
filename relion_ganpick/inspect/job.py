"""What a job's folder says about itself: its micrographs, their files, and what it was run with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import fitted, write_atomic
from relion_ganpick.formats.micrographs_star import read_defocus, read_micrographs
from relion_ganpick.formats.names import micrograph_stem
from relion_ganpick.formats.pick_lists import LIST_FILE, NAME, SHARE, SUMMARY_FILE

SUFFIX_FILE = "coords_suffix_autopick.star"
FACTS_FILE = ".ganpick/run.json"
SUFFIX = "_autopick.star"


@dataclass(frozen=True)
class Facts:
    """What a job was run with, as far as a page needs it.

    Attributes
    ----------
    diameter
        Of the particle in Angstrom.
    working_diameter
        Diameter in Angstrom that the network took the particle's for; None is the same.
    contrast
        "dark" or "bright" particles.
    threshold
        Smallest figure of merit of a pick; None is found from the picks.
    model
        Name or path of the model; None where it is not known.
    angpix
        Angstrom per pixel where the STAR file has none.
    best
        Share of each micrograph's picks that is kept, the best ones; None is all.
    most
        Largest number that is kept on a micrograph; None is all.
    """

    diameter: float | None = None
    working_diameter: float | None = None
    contrast: str = "dark"
    threshold: float | None = None
    model: str | None = None
    angpix: float | None = None
    best: float | None = None
    most: int | None = None


@dataclass(frozen=True)
class Job:
    """A job's folder with the files of its micrographs.

    Attributes
    ----------
    folder
        The job's folder.
    project
        The folder that names in STAR files are relative to.
    names
        Micrographs, as the list of coordinate files has them.
    coordinates, scores
        For each of them the file that RELION reads, and the one with every scored pick, which may not exist.
    facts
        What the job was run with.
    in_mics
        The micrographs STAR file, or None where it is not known.
    shares
        Share of each micrograph that is contaminated, by name; None looks it up in the job's ``summary.star``.
    """

    folder: Path
    project: Path
    names: tuple[str, ...]
    coordinates: tuple[Path, ...]
    scores: tuple[Path, ...]
    facts: Facts
    in_mics: Path | None
    shares: Mapping[str, float] | None = None

    @property
    def diameter(self) -> float:
        """Diameter of the particle in Angstrom.

        Raises
        ------
        GanpickError
            If the job does not say.
        """
        if self.facts.diameter is None:
            raise GanpickError(f"{self.folder}: does not say how large the particle is: give `diameter`, in Angstrom")
        return self.facts.diameter

    @cached_property
    def pixel_sizes(self) -> dict[str, float | None]:
        """Angstrom per pixel by micrograph; None where only the file itself can tell."""
        if self.in_mics is None:
            return dict.fromkeys(self.names, self.facts.angpix)
        return {entry.name: entry.pixel_size for entry in read_micrographs(self.in_mics, self.facts.angpix)}

    @cached_property
    def defocus(self) -> NDArray[np.float64]:
        """(n,) float64, defocus in micrometres, not a number where the STAR file has none."""
        known = {} if self.in_mics is None else read_defocus(self.in_mics)
        return np.array([known.get(name, np.nan) / 1e4 for name in self.names], float)

    @cached_property
    def contaminated(self) -> NDArray[np.float64]:
        """(n,) float64, share of the micrograph that is contaminated, not a number where the job has not taken it down."""
        known = _shares(self.folder / SUMMARY_FILE) if self.shares is None else self.shares
        shares = np.array([known.get(name, np.nan) for name in self.names], float)
        return np.where(shares >= 0, shares, np.nan)

    def micrograph(self, index: int) -> Path:
        """File of a micrograph."""
        return self.project / self.names[index]


def find_job(folder: Path, given: Facts | None = None) -> Job:
    """Read what a job's folder says about itself.

    Parameters
    ----------
    folder
        The folder of an External job, or one that `ganpick pick` has written.
    given
        What the caller knows better; None fields are looked up.

    Raises
    ------
    GanpickError
        If there is no list of coordinate files.
    """
    import pandas as pd
    import starfile

    path = folder / LIST_FILE
    if not path.is_file():
        raise GanpickError(f"{path}: no such file; give the folder of a job that has ended, such as External/job007")
    try:
        blocks = starfile.read(path, always_dict=True)
    except (OSError, ValueError, LookupError) as error:
        raise GanpickError(f"{path}: not a STAR file that can be read ({error})") from error
    tables = [pd.DataFrame([block]) if isinstance(block, dict) else block for block in blocks.values()]
    table = next((each for each in tables if "rlnMicrographCoordinates" in each), None)
    if table is None or not len(table):
        raise GanpickError(f"{path}: lists no coordinate files")
    names = tuple(table["rlnMicrographName"].astype(str))
    files = tuple(table["rlnMicrographCoordinates"].astype(str))
    whole = folder.absolute()
    project = next((base for base in (*whole.parents, Path.cwd()) if (base / files[0]).exists()), Path.cwd())
    coordinates = tuple(project / name for name in files)
    suffix = folder / SUFFIX_FILE
    in_mics = project / suffix.read_text().strip() if suffix.is_file() else None
    return Job(
        folder,
        project,
        names,
        coordinates,
        tuple(_scores_file(whole, each) for each in coordinates),
        _facts(folder, given or Facts()),
        in_mics if in_mics is not None and in_mics.is_file() else None,
    )


def write_facts(folder: Path, facts: Facts) -> None:
    """Take down what a job was run with, beside its scores, so that its page can be made at any time."""
    path = folder / FACTS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(asdict(facts), indent=1) + "\n")


def short_names(names: tuple[str, ...]) -> list[str]:
    """Names without folders and extension, but with folders where two would be the same."""
    stems = [micrograph_stem(name) for name in names]
    counts: dict[str, int] = {}
    for stem in stems:
        counts[stem] = counts.get(stem, 0) + 1
    return [stem if counts[stem] == 1 else str(Path(name).with_suffix("")) for stem, name in zip(stems, names, strict=True)]


def _shares(summary: Path) -> dict[str, float]:
    """Contaminated share by micrograph, as far as the job's summary has it."""
    if not summary.is_file():
        return {}
    import pandas as pd
    import starfile

    for block in starfile.read(summary, always_dict=True).values():
        table = pd.DataFrame([block]) if isinstance(block, dict) else block
        if {NAME, SHARE} <= set(table.columns):
            values = pd.to_numeric(table[SHARE], errors="coerce")
            return dict(zip(table[NAME].astype(str), values, strict=True))
    return {}


def _scores_file(folder: Path, coordinates: Path) -> Path:
    try:
        below = coordinates.relative_to(folder)
    except ValueError:  # RELION 3.1 may look for it outside of the job's folder
        below = Path(coordinates.name)
    return folder / ".ganpick" / below.with_name(fitted(below.name.removesuffix(SUFFIX)) + "_scores.star")


def _facts(folder: Path, given: Facts) -> Facts:
    """Join what is given with what the job has taken down; what is given goes first."""
    found = Facts()
    estimated = _json(folder / "diameter.json")
    if "angstrom" in estimated:
        found = replace(found, diameter=float(estimated["angstrom"]))
    working = _json(folder / "working_diameter.json")
    if "diameter" in working and "angstrom" in working:
        found = replace(found, diameter=float(working["diameter"]), working_diameter=float(working["angstrom"]))
        found = replace(found, contrast=str(working.get("contrast", found.contrast)))
    run = _json(folder / FACTS_FILE)
    names = {each.name for each in fields(Facts)}
    found = replace(found, **{name: value for name, value in run.items() if name in names and value is not None})
    return replace(found, **{name: value for name, value in asdict(given).items() if value != getattr(Facts(), name)})


def _json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
