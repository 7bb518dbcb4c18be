"""What is known of a set, and `evidence.json`, which keeps it for a run that goes on, for workers and for the reader."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import write_atomic
from relion_ganpick.evidence.filter import SetFilter
from relion_ganpick.evidence.gather import Filters
from relion_ganpick.evidence.operating_point import OperatingPoint

EVIDENCE_FILE = "evidence.json"
BINS = 20
CLEAR = 0.65  # expected F; of simulated sets below it that hold particles for certain, half gave a third of them or less


@dataclass(frozen=True)
class Evidence:
    """What the micrographs that were looked at say about their set.

    Attributes
    ----------
    filters
        What the particle looks like: the two filters, each learned on one half.
    halves
        Half of each micrograph that was looked at, 0 or 1, by the name of its file; None for a single one.
    context
        For each member of the judge, what it keeps in mind of the set.
    trust
        How certain their fine texture makes it that there are particles, 0 to 1 (`texture.trust_in`).
    point
        The cut.
    histogram
        Number of candidates in 20 bins of the figure of merit.
    """

    filters: Filters
    halves: Mapping[str, int | None]
    context: Sequence[Sequence[float]]
    trust: float
    point: OperatingPoint
    histogram: Sequence[int]

    @property
    def misses_many(self) -> bool:
        """Whether there are particles for certain, but probably most of them are missed."""
        return self.trust == 1 and not self.point.doubtful and self.point.expected_f < CLEAR

    @property
    def fingerprint(self) -> str:
        """Name all that figures of merit depend on, the same when it was read again."""
        cuts = [self.point.cut, self.point.strict, self.point.best]
        known = [_filters_as_lists(self.filters), list(map(list, self.context)), self.trust, cuts]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def histogram_of(merit: NDArray[np.float64]) -> list[int]:
    """Count candidates in 20 bins of the figure of merit from 0 to 1."""
    return [int(count) for count in np.histogram(merit, BINS, (0.0, 1.0))[0]]


def write_evidence(path: Path, evidence: Evidence, facts: Mapping[str, Any]) -> None:
    """Write what is known of a set, and what it holds for, as JSON; a reader never sees half of it."""
    content = {
        **facts,
        "says": evidence.point.words(),
        "operating_point": asdict(evidence.point),
        "histogram": list(evidence.histogram),
        "micrographs": dict(evidence.halves),
        "filters": _filters_as_lists(evidence.filters),
        "context": list(map(list, evidence.context)),
        "trust": evidence.trust,
    }
    write_atomic(path, json.dumps(content, indent=1) + "\n")


def read_evidence(path: Path, facts: Mapping[str, Any]) -> Evidence | None:
    """Read what an earlier run found; None if there is nothing, or it was where other facts held.

    Raises
    ------
    GanpickError
        If the file is damaged.
    """
    try:
        content = json.loads(path.read_text())
        if any(content.get(name) != value for name, value in facts.items()):
            return None
        first, second = (
            SetFilter(np.array(each["weights"]), float(each["offset"]), int(each["seeds"]), np.array(each["profile"]))
            for each in content["filters"]
        )
        densities = tuple(float(each["seed_density"]) for each in content["filters"])
        point = OperatingPoint(**{each.name: content["operating_point"][each.name] for each in fields(OperatingPoint)})
        halves = {str(name): None if half is None else int(half) for name, half in content["micrographs"].items()}
        context = [[float(value) for value in each] for each in content["context"]]
        filters = Filters((first, second), (densities[0], densities[1]))
        return Evidence(filters, halves, context, float(content["trust"]), point, content["histogram"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GanpickError(f"{path}: damaged; delete it to look at the micrographs again") from error


def _filters_as_lists(filters: Filters) -> list[dict[str, Any]]:
    return [
        {
            "weights": each.weights.tolist(),
            "offset": each.offset,
            "seeds": each.seeds,
            "profile": each.profile.tolist(),
            "seed_density": density,
        }
        for each, density in zip(filters.of_halves, filters.densities, strict=True)
    ]
