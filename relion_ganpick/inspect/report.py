"""``report.html``: the page with a spread of the job's micrographs, in one file that needs neither a server nor a network."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.files import write_atomic
from relion_ganpick.inspect.classes import averages_of, classes_of
from relion_ganpick.inspect.job import Facts, Job, find_job, write_facts
from relion_ganpick.inspect.payload import job_payload
from relion_ganpick.inspect.pictures import Looks, contamination_layer, details, look_at
from relion_ganpick.inspect.scores import read_scores, scored_picks
from relion_ganpick.report.overlays import which_overlays

REPORT_FILE = "report.html"
N_MICROGRAPHS = 24
HINT = "for report.html, a page to look at the picks: pip install 'relion-ganpick[inspect]', then: ganpick inspect JOB --report"
Contamination = Callable[[Looks], Any]


def can_report() -> bool:
    """Whether the extra ``[inspect]`` is installed."""
    return find_spec("bokeh") is not None


def report_or_hint(
    folder: Path, say: Callable[[str], None], facts: Facts | None = None, contamination: Contamination | None = None
) -> Path | None:
    """Write the report at a run's end, or say how to get it; no run fails for want of a page.

    Parameters
    ----------
    folder, facts, contamination
        See `write_report`.
    say
        Takes one line where there is no report.

    Returns
    -------
    The file, or None.
    """
    if facts is not None:
        with contextlib.suppress(OSError):
            write_facts(folder, facts)
    if not can_report():
        say(HINT)
        return None
    try:
        return write_report(folder, facts, contamination)
    except (GanpickError, OSError) as error:
        say(f"no {REPORT_FILE}: {error}; the picks are not affected")
        return None


def write_report(
    folder: Path, facts: Facts | None = None, contamination: Contamination | None = None, n: int = N_MICROGRAPHS
) -> Path:
    """Write ``report.html`` into a job's folder.

    Parameters
    ----------
    folder
        The job's folder, with its list of coordinate files.
    facts
        What the job was run with; it is taken down for later pages. By default it is found in the folder.
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
    from relion_ganpick.inspect.page import page_html

    if facts is not None:
        write_facts(folder, facts)
    job = find_job(folder, facts)
    scores = read_scores(job)
    chosen = which_overlays(len(job.names), n)
    data: dict[str, Any] = {"job": job_payload(job, scores, served=False) | {"first": chosen[0]}}
    looks = {}
    for index in chosen:
        seen, problem = try_to_look(job, index)
        content = details(job, index, seen)
        content["problem"] = problem
        content["others"] = []
        if seen is not None:
            looks[index] = seen
            if contamination is not None:
                layer = contamination_layer(contamination(seen), seen.area)
                content["layers"]["contamination"] = layer
                data["job"]["contaminated"][index] = layer["share"]
        data[f"micrograph/{index}"] = content

    threshold = data["job"]["threshold"]
    averages = averages_of(looks, {index: scored_picks(job, index).above(threshold) for index in looks})
    if averages is not None:
        data["averages"] = averages.payload()
        for index, seen in looks.items():
            data[f"micrograph/{index}"]["classes"] = classes_of(seen, scored_picks(job, index), averages).tolist()
    path = folder / REPORT_FILE
    write_atomic(path, page_html(f"{job.folder} - ganpick", data))
    return path


def try_to_look(job: Job, index: int) -> tuple[Looks | None, str | None]:
    """Look at a micrograph; where that cannot be done, say why."""
    try:
        name = job.names[index]
        working = job.facts.working_diameter or job.diameter
        return look_at(job.micrograph(index), job.pixel_sizes.get(name), working, job.facts.contrast), None
    except GanpickError as error:
        return None, str(error)
