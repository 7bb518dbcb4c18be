"""What an External job does between holding its folder and leaving its marker: check, pick, declare what is there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from relion_ganpick.core.limits import check_memory
from relion_ganpick.core.settings import PickRequest
from relion_ganpick.relion import watching
from relion_ganpick.relion.markers import FAILURE, SUCCESS, JobFolder
from relion_ganpick.relion.options import JobOptions
from relion_ganpick.relion.run_lines import complain, say

if TYPE_CHECKING:
    from relion_ganpick.relion.generation import Generation


def carry_out(folder: JobFolder, options: JobOptions) -> str:
    """Check, start the worker, wait for its end or for a wish to stop, and declare what is there."""
    check_memory()
    from relion_ganpick.core.files import leftovers
    from relion_ganpick.core.lines import listening
    from relion_ganpick.relion.generation import find_generation
    from relion_ganpick.relion.inputs import read_input, with_a_place
    from relion_ganpick.relion.outputs import write_lists

    generation = find_generation(folder.path / "job.star", options.relion_version)
    with listening(say, complain):
        listed = read_input(Path(options.in_mics), options.run.angpix)
        entries = with_a_place(listed, options.output, generation.node_label is not None)
    for note in options.notes:
        say(f"note: {note}")
    without = sum(entry.pixel_size is None for entry in entries)
    if without:
        used = "that in their headers is used; give --angpix to change it"
        complain(f"WARNING: {options.in_mics} gives no pixel size for {without} micrographs: {used}")
    _clear(leftovers(folder.path))
    _size_circles(folder, options.pick, entries[0].pixel_size, generation)
    plan = {
        "output": options.output,
        "in_mics": options.in_mics,
        "keep_inside": generation.node_label is not None,
        "pick": asdict(options.pick),
        "run": asdict(options.run),
        "adapt": asdict(options.adapt),
        "micrographs": [[entry.name, entry.pixel_size] for entry in entries],
    }
    marker = FAILURE
    try:
        marker = watching.watch(folder, json.dumps(plan))
    finally:
        _clear(leftovers(folder.path))
        finished = write_lists(options.output, options.in_mics, [entry.name for entry in entries], generation)
        _size_circles(folder, options.pick, entries[0].pixel_size, generation)
        if marker != SUCCESS and finished:
            complain(f"{finished} micrographs are finished and kept; press Continue to go on")
    return marker


def _size_circles(folder: JobFolder, pick: PickRequest, pixel_size: float | None, generation: Generation) -> None:
    """Tell the project's Display how large the particles are, as soon as that is known."""
    from relion_ganpick.picking.diameter_record import DIAMETER_FILE, read_record
    from relion_ganpick.relion.outputs import write_manual_pick_settings

    diameter = read_record(folder.path / DIAMETER_FILE) if isinstance(pick.diameter, str) else pick.diameter
    in_project = (folder.path / "job.star").exists() or Path("default_pipeline.star").exists()
    if in_project and diameter is not None:
        write_manual_pick_settings(Path(), diameter, pixel_size, generation)


def _clear(paths: Iterable[Path]) -> None:
    for path in list(paths):
        path.unlink(missing_ok=True)
