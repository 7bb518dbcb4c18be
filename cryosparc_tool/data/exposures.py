"""Exposures: which output of a job holds them, and what is needed of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryosparc_tool.server.interface import INPUT_SLOTS, SourceOutput
from relion_ganpick.core.errors import GanpickError

LEFT_OUT = ("reject", "exclud", "incomplete", "fail")
NEEDED = (
    "micrograph_blob/path",
    "micrograph_blob/shape",
    "micrograph_blob/psize_A",
    "mscope_params/exp_group_id",
)


@dataclass(frozen=True)
class Exposure:
    """One exposure.

    Attributes
    ----------
    uid
        Key of the exposure.
    path
        Its micrograph as CryoSPARC has it, relative to the project's folder.
    shape
        (ny, nx) in pixels.
    pixel_size
        Angstrom per pixel; None where CryoSPARC says 0.
    group
        Exposure group.
    """

    uid: int
    path: str
    shape: tuple[int, int]
    pixel_size: float | None
    group: int


def _exact(size: Any) -> float | None:
    """Turn a float32 into the number that a person would have written: 1.06, not 1.05999994."""
    return float(str(size)) if size > 0 else None


def choose_output(outputs: Sequence[SourceOutput], job: str, wanted: str | None) -> str:
    """Find the output with micrographs, by type and contents, not by name.

    Raises
    ------
    GanpickError
        If there is none, or more than one that cannot be told apart; it lists what there is.
    """
    there = ", ".join(f"{each.name} ({each.kind})" for each in outputs) or "none"
    if wanted is not None:
        named = [each for each in outputs if each.name == wanted]
        if not named:
            raise GanpickError(f"`output` {wanted}: {job} has no such output; its outputs: {there}")
        problem = _problem(named[0])
        if problem:
            raise GanpickError(f"`output` {wanted} of {job} {problem}; its outputs: {there}")
        return wanted
    usable = [each for each in outputs if not _problem(each)]
    filled = [each for each in usable if each.n_items != 0] or usable
    best = [each for each in filled if not any(word in each.name.lower() for word in LEFT_OUT)] or filled
    if not best:
        raise GanpickError(
            f"{job} has no output of exposures with {' and '.join(INPUT_SLOTS)}: give a job after motion correction "
            f"(Patch Motion, Patch CTF, Curate Exposures, Import Micrographs); its outputs: {there}"
        )
    if len(best) > 1:
        raise GanpickError(f"{job} has several outputs of exposures: give `output` one of {', '.join(e.name for e in best)}")
    return best[0].name


def _problem(output: SourceOutput) -> str | None:
    if output.kind != "exposure":
        return f"holds {output.kind}s, not exposures"
    missing = [slot for slot in INPUT_SLOTS if slot not in output.slots]
    return f"lacks {' and '.join(missing)}" if missing else None


def exposures_from(dataset: Any) -> list[Exposure]:
    """Read exposures from a dataset of the client.

    Raises
    ------
    GanpickError
        If a column is missing.
    """
    missing = [name for name in NEEDED if name not in dataset]
    if missing:
        raise GanpickError(f"the exposures lack {', '.join(missing)}: connect the output of a motion correction or CTF job")
    paths = [str(path).removeprefix(">") for path in dataset[NEEDED[0]]]
    shapes = np.asarray(dataset[NEEDED[1]], int).reshape(-1, 2)
    sizes, groups, uids = (np.asarray(dataset[name]) for name in (*NEEDED[2:], "uid"))
    return [
        Exposure(int(uid), path, (int(shape[0]), int(shape[1])), _exact(size), int(group))
        for uid, path, shape, size, group in zip(uids, paths, shapes, sizes, groups, strict=True)
    ]
