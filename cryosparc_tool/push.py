"""Steps that fill an external job; each may be repeated without harm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryosparc_tool import report
from cryosparc_tool.console import Console
from cryosparc_tool.results import Found
from cryosparc_tool.server.interface import ExternalJob
from cryosparc_tool.server.lifecycle import check_not_ended
from cryosparc_tool.server.retry import in_words, is_client_error, patiently
from relion_ganpick.core.errors import GanpickError


class IncompleteSaveError(ConnectionError):
    """The server holds another number of rows than were sent."""


@contextmanager
def explained(job: ExternalJob, folder: Callable[[], Path], console: Console) -> Iterator[None]:
    """When a run ends early, say where its results are and how to go on."""
    try:
        yield
    except BaseException:
        if (folder() / "run.json").is_file():
            console.complain(f"what is finished is kept in {folder()}; give `resume` {job.uid} to go on")
        raise


def ensure_connected(job: ExternalJob, source: str, output: str, console: Console) -> None:
    """Connect the exposures, unless they are: a connection made twice would give every exposure twice."""
    _ensure(job, job.has_input, lambda: job.connect(source, output), "connecting the exposures", console)


def ensure_output(job: ExternalJob, console: Console) -> None:
    """Declare the output for picks, unless it is there."""
    _ensure(job, job.has_output, job.add_output, "declaring the output", console)


def _ensure(job: ExternalJob, done: Callable[[], bool], do: Callable[[], None], what: str, console: Console) -> None:
    def once() -> None:
        if done():
            return
        try:
            do()
        except Exception as error:
            if not is_client_error(error):
                raise
            job.status()  # the server may have done all or a part of it although its answer was lost
            if not done():
                do()

    patiently(once, what, console)


def save(job: ExternalJob, dataset: Any, console: Console) -> None:
    """Save the picks.

    Raises
    ------
    GanpickError
        If the server does not take them.
    """

    def send() -> None:
        job.save(dataset)
        rows = job.saved_rows()
        # 0 says nothing: a server may count only when the job is completed
        if rows and rows != len(dataset):
            raise IncompleteSaveError(f"{rows} of {len(dataset)} rows have arrived")

    try:
        patiently(send, "saving the picks", console)
    except Exception as error:
        if not is_client_error(error):
            raise
        check_not_ended(job)
        raise GanpickError(console.clean(f"the picks could not be saved to {job.uid}: {in_words(error)}")) from None


def tell(job: ExternalJob, found: Found, console: Console) -> None:
    """Fill the event log with a table, a histogram and a picture; the picks are saved, and no trouble here may spoil that."""
    png, csv = report.histogram(found.scores, found.threshold)
    text = report.table([len(picks) for _, picks in found.items], found.above, found.threshold, found.problems, found.model)
    steps: list[Callable[[], None]] = [lambda: job.log(console.clean(text)), lambda: job.plot(png, "Scores of the picks", csv)]
    if found.problems:
        skipped = f"{len(found.problems)} of {len(found.problems) + len(found.items)} micrographs were skipped, see the table"
        steps.append(lambda: job.log(skipped, "warning"))
    picture = found.picture
    if picture is not None:
        steps.append(lambda: job.show(picture))
    for path in found.shown:
        steps.append(lambda path=path: job.attach(path))  # type: ignore[misc]
    if found.shown:
        names = " and ".join(path.name for path in found.shown)
        steps.append(lambda: job.log(f"{names}: in this job's folder, to look at the picks; download and open in a browser"))
    for step in steps:
        try:
            step()
        except Exception as error:
            if not is_client_error(error):
                raise
            console.complain(f"the job's report could not be finished ({in_words(error)}); the picks are saved")
