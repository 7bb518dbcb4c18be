"""Coordinates that somebody else has made, in place of picking."""

from __future__ import annotations

from pathlib import Path

from cryosparc_tool.data.coordinates import Coordinates
from cryosparc_tool.options import JobSettings
from cryosparc_tool.results import ExposureResults
from cryosparc_tool.source import ExposureSource
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.micrograph import read_micrograph
from relion_ganpick.core.picks import counts_above
from relion_ganpick.core.settings import PickSettings
from relion_ganpick.picking.stream import Task
from relion_ganpick.report.overlays import which_overlays, write_overlay
from relion_ganpick.report.summary import Summary


def take_coordinates(settings: JobSettings, source: ExposureSource, results: ExposureResults, pick: PickSettings) -> Summary:
    """Take the coordinates of every exposure, keep them and draw some.

    Raises
    ------
    GanpickError
        If none of the exposures has any.
    """
    coordinates = Coordinates([Path(path) for path in settings.coordinates], settings.flip_y, source.exposures)
    drawn = set(which_overlays(len(source), results.overlays))
    summary, console = Summary(), results.console
    for index, exposure in enumerate(source.exposures):
        picks, problem = coordinates.of(exposure)
        if picks is None:
            console.complain(results.failed(index, problem))
            summary.add_failure()
        else:
            results.local.write_scores(exposure, picks)
            kept = results.take(index, picks)
            summary.add(len(kept), counts_above(picks.score))
            console.say(f"[{index + 1:{len(str(len(source)))}d}/{len(source)}] {exposure.path}: {len(kept)} picks")
            if index in drawn:
                _draw(index, source, results, pick)
        results.progress(index + 1)
    for line in summary.lines(results.cut):
        console.say(line)
    if not summary.micrographs:
        raise GanpickError("no micrograph could be used: the lines above say why")
    if not summary.picks:
        console.complain("WARNING: there are no picks at all: check the coordinates and `threshold`")
    return summary


def _draw(index: int, source: ExposureSource, results: ExposureResults, pick: PickSettings) -> None:
    """Draw the coordinates into their micrograph, if that can be had."""
    _, task = next(source.fetch([index]))
    try:
        if isinstance(task, Task):
            micrograph = read_micrograph(task.path, task.pixel_size)
            pixels = -micrograph.pixels if pick.contrast == "bright" else micrograph.pixels
            wanted = results.drawing(index)
            write_overlay(pixels, wanted[1], pick.diameter / (micrograph.pixel_size or 1.0), wanted[0])
    except (GanpickError, OSError, ValueError, MemoryError) as error:
        results.console.complain(f"WARNING: {error}; the picks are not affected")
    finally:
        source.release(index)
