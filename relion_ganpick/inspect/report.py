"""``report.html``: the page with a spread of the job's micrographs, in one file that needs neither a server nor a network."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import write_atomic
from relion_ganpick.inspect.classes import classes_of_each
from relion_ganpick.inspect.job import Facts, Job, find_job, write_facts
from relion_ganpick.inspect.material import N_MICROGRAPHS, Contamination, Material, Seen, gather
from relion_ganpick.inspect.payload import job_payload
from relion_ganpick.inspect.pictures import contamination_layer, details
from relion_ganpick.report.names import REPORT_FILE

log = logging.getLogger(__name__)

HINT = "for report.html, a page to look at the picks: pip install 'relion-ganpick[inspect]', then: ganpick inspect JOB --report"


def can_report() -> bool:
    """Whether the extra ``[inspect]`` is installed."""
    return find_spec("bokeh") is not None


def write_reports(
    job: Job, seen: Mapping[int, Seen] | None = None, contamination: Contamination | None = None
) -> tuple[Path, ...]:
    """Write ``logfile.pdf`` and ``report.html`` at a run's end, and say what that took; no run fails for want of them.

    Parameters
    ----------
    job
        The job; what it was run with is taken down for later pages.
    seen
        Micrographs that the run has just seen, by number.
    contamination
        Tells where contamination is on those that must be read again; None leaves that out.

    Returns
    -------
    The files. Without the extra ``[inspect]`` only the first, and a line says how to get the other.
    """
    from relion_ganpick.inspect.logfile import write_logfile

    begun, written = time.process_time(), []
    ways: list[Callable[[Material], Path]] = [write_logfile]
    if can_report():
        ways.append(write_html)
    else:
        log.info(HINT)
    try:
        write_facts(job.folder, job.facts)
        material = gather(job, seen, contamination)
        for way in ways:
            written.append(way(material))
    except Exception as error:  # whatever it is, the picks are there
        what = str(error) if isinstance(error, (GanpickError, OSError)) else repr(error)
        log.warning(f"the picks cannot be shown in {REPORT_FILE}: {what}; the picks are not affected")
    if written:
        log.info(f"{' and '.join(map(str, written))} show the picks ({time.process_time() - begun:.1f} s of processor time)")
    return tuple(written)


def write_report(
    folder: Path, facts: Facts | None = None, contamination: Contamination | None = None, n: int = N_MICROGRAPHS
) -> Path:
    """Write ``report.html`` into a job's folder.

    Parameters
    ----------
    folder
        The job's folder, with its list of coordinate files.
    facts
        What the caller knows better than the folder; it is taken down for later pages, with what the folder knows.
    contamination
        Gives the chance of contamination, (h, w) float32 at the working scale, of a micrograph; None leaves that layer out.
    n
        Micrographs whose pictures go into the page, spread evenly; the statistics are of all.

    Returns
    -------
    The file.

    Raises
    ------
    GanpickError
        If the folder holds no job, or not one of the micrographs can be read.
    """
    job = find_job(folder, facts)
    if facts is not None:
        write_facts(folder, job.facts)
    return write_html(gather(job, None, contamination, n))


def write_html(material: Material) -> Path:
    """Write the page; returns the file."""
    from relion_ganpick.inspect.page import page_html

    job, averages = material.job, material.averages
    described = job_payload(job, material.scores, served=False) | {"first": material.chosen[0]}
    data: dict[str, Any] = {"job": described}
    for index in material.chosen:
        seen, picks = material.seen.get(index), material.picks[index]
        content = details(job, index, None if seen is None else seen.looks, picks)
        content |= {"problem": material.problems.get(index), "others": []}
        if seen is not None and seen.contamination is not None:
            layer = contamination_layer(seen.contamination, seen.looks.area)
            content["layers"]["contamination"] = layer
            described["contaminated"][index] = layer["share"]
        data[f"micrograph/{index}"] = content
    if averages is not None:
        looks = {index: each.looks for index, each in material.seen.items()}
        for index, classes in classes_of_each(looks, material.picks, averages):
            data[f"micrograph/{index}"]["classes"] = classes.tolist()
        data["averages"] = averages.payload()
    path = job.folder / REPORT_FILE
    write_atomic(path, page_html(f"{job.folder} - ganpick", data))
    return path
