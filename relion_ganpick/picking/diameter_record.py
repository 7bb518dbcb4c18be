"""Take down an estimated diameter beside the picks, so that a run that goes on picks with the same one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import write_atomic

DIAMETER_FILE, WORKING_DIAMETER_FILE = "diameter.json", "working_diameter.json"


@dataclass(frozen=True)
class DiameterEstimate:
    """An estimated diameter and what it rests on.

    Attributes
    ----------
    angstrom
        Diameter in whole Angstrom.
    spread
        Standard error relative to the diameter: by how much parts of the micrographs disagree, and how far the shape of a
        particle biases the estimate on simulated molecules.
    n_sure
        Number of sure picks at the assumed diameter that is nearest to it.
    merit
        Smallest figure of merit, by height, of a sure pick.
    assumed
        (n,) diameters in Angstrom that were tried.
    density
        (n,) sure picks per square micrometre at each of them.
    """

    angstrom: float
    spread: float
    n_sure: int
    merit: float
    assumed: tuple[float, ...]
    density: tuple[float, ...]


def write_record(path: Path, estimate: DiameterEstimate, micrographs: Sequence[str], facts: Mapping[str, Any]) -> None:
    """Write an estimate, the names of the micrographs that it comes from, and what it holds for, as JSON."""
    write_atomic(path, json.dumps({**facts, **asdict(estimate), "micrographs": list(micrographs)}, indent=1) + "\n")


def read_record(path: Path, facts: Mapping[str, Any] | None = None) -> float | None:
    """Read the diameter in Angstrom of an earlier estimate; None if there is none, or one where other facts held.

    Raises
    ------
    GanpickError
        If the file holds no diameter.
    """
    try:
        content = json.loads(path.read_text())
        diameter = float(content["angstrom"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise GanpickError(f"{path}: damaged; delete it to estimate the diameter again, or give `diameter` a number") from error
    if not 0 < diameter < 1e6:
        raise GanpickError(f"{path}: a diameter of {diameter:g} A; delete it to estimate again, or give `diameter` a number")
    # What an earlier version did not take down is taken to be the same.
    return diameter if all(content.get(name, value) == value for name, value in (facts or {}).items()) else None
