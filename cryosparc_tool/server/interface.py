"""What a run needs of CryoSPARC, whichever client is installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

INPUT_NAME = "micrographs"
OUTPUT_NAME = "picked_particles"
INPUT_SLOTS = ("micrograph_blob", "mscope_params")
OUTPUT_SLOTS = ("location", "pick_stats")
ENDED = ("completed", "failed", "killed")
STARTED = ("running", "waiting")

Field = tuple[Any, ...]
"""Name, type and, for columns of more than one number, shape."""


@dataclass(frozen=True)
class SourceOutput:
    """An output of a job.

    Attributes
    ----------
    name, kind
        Such as "exposures" and "exposure".
    slots
        Low-level results that it holds.
    n_items
        Number of rows; None where the server does not say.
    """

    name: str
    kind: str
    slots: tuple[str, ...]
    n_items: int | None


class ExternalJob(Protocol):
    """The external job that picks are pushed to."""

    uid: str

    def status(self) -> str:
        """Ask for the job's status: building, running, waiting, completed, failed or killed."""

    def has_input(self) -> bool:
        """Whether the exposures are connected."""

    def has_output(self) -> bool:
        """Whether the output for picks has been declared."""

    def connect(self, source_job: str, source_output: str) -> None:
        """Make the input and connect the exposures to it."""

    def add_output(self) -> None:
        """Declare the output for picks."""

    def start(self) -> None:
        """Mark the job as running."""

    def load_exposures(self) -> Any:
        """Load the connected exposures, a `Dataset`."""

    def fields(self) -> list[Field]:
        """Columns that the server expects in the output."""

    def save(self, dataset: Any) -> None:
        """Save the picks; safe to repeat."""

    def saved_rows(self) -> int | None:
        """Return the number of rows that the server says it holds; None where it does not say."""

    def complete(self) -> None:
        """Mark the job as completed."""

    def fail(self, message: str) -> None:
        """Mark the job as failed."""

    def log(self, text: str, level: str = "text") -> None:
        """Add a line to the job's event log; level is text, warning or error."""

    def progress(self, text: str, final: bool = False) -> None:
        """Update the one line that tells how far the run is."""

    def plot(self, png: bytes, text: str, csv: str) -> None:
        """Add a picture with its numbers to the job's event log."""

    def show(self, png: Path) -> None:
        """Make a picture the output's and the job's image."""

    def attach(self, path: Path) -> None:
        """Put a file into the job's folder; safe to repeat."""


class Connection(Protocol):
    """A server, logged in."""

    url: str
    server_version: str

    def close(self) -> None:
        """Close what is open to the server."""

    def project_folder(self, project: str) -> Path:
        """Folder of a project on the server."""

    def outputs(self, project: str, job: str) -> list[SourceOutput]:
        """List the outputs of a job."""

    def load_output(self, project: str, job: str, output: str, slots: Sequence[str]) -> Any:
        """Load an output of a job, a `Dataset`."""

    def download(self, project: str, path: str, target: Path) -> None:
        """Download a file of a project."""

    def create_job(self, project: str, workspace: str, title: str, description: str) -> ExternalJob:
        """Create an external job."""

    def find_job(self, project: str, job: str) -> ExternalJob:
        """Find an external job of an earlier run."""
