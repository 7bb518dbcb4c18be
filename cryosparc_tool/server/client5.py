"""cryosparc-tools 5: one server address, a token or password, jobs with pictures and named log lines."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cryosparc_tool.server.interface import INPUT_NAME, INPUT_SLOTS, OUTPUT_NAME, OUTPUT_SLOTS, Field, SourceOutput
from cryosparc_tool.server.versions import client_module

PROGRESS = "progress"


class Body:
    """A dataset as it travels, which may be sent again: the client's own attempts use up a generator with the first."""

    def __init__(self, dataset: Any, compression: str | None) -> None:
        self._dataset, self._compression = dataset, compression

    def __iter__(self) -> Iterator[bytes]:
        """Stream from the beginning."""
        return iter(type(self._dataset).stream(self._dataset, compression=self._compression))


def resendable(dataset: Any) -> Any:
    """Make a dataset's own ``stream`` give a `Body`, so that no attempt of the client ever sends an empty one."""

    def stream(compression: str | None = None) -> Body:
        return Body(dataset, compression)

    dataset.stream = stream
    return dataset


class Job5:
    """An external job seen through version 5 of the client.

    Parameters
    ----------
    job
        The client's own object.
    """

    def __init__(self, job: Any) -> None:
        self._job = job
        self.uid: str = job.uid

    def status(self) -> str:
        """Ask the server."""
        return str(self._job.refresh().status)

    def has_input(self) -> bool:
        """Look for a connected input."""
        group = self._job.inputs.get(INPUT_NAME)
        return group is not None and bool(group.connections)

    def has_output(self) -> bool:
        """Look for the output."""
        return OUTPUT_NAME in self._job.outputs

    def connect(self, source_job: str, source_output: str) -> None:
        """Make the input and connect it."""
        self._job.connect(INPUT_NAME, source_job, source_output, slots=list(INPUT_SLOTS), title="Micrographs")

    def add_output(self) -> None:
        """Declare the output."""
        self._job.add_output("particle", OUTPUT_NAME, slots=list(OUTPUT_SLOTS), title="Picked particles")

    def start(self) -> None:
        """Mark as running."""
        self._job.start("running")

    def load_exposures(self) -> Any:
        """Load what is connected."""
        return self._job.load_input(INPUT_NAME, slots=list(INPUT_SLOTS))

    def fields(self) -> list[Field]:
        """Ask which columns belong to the output."""
        return list(self._job.alloc_output(OUTPUT_NAME, 0).descr(exclude_uid=True))

    def save(self, dataset: Any) -> None:
        """Send the picks."""
        self._job.save_output(OUTPUT_NAME, resendable(dataset))

    def saved_rows(self) -> int | None:
        """Read the number of rows from the job's document as the last answer had it."""
        output = self._job.outputs.get(OUTPUT_NAME)
        return None if output is None else int(output.num_items)

    def complete(self) -> None:
        """Mark as completed."""
        self._job.stop()

    def fail(self, message: str) -> None:
        """Mark as failed."""
        self._job.stop(error=message)

    def log(self, text: str, level: str = "text") -> None:
        """Add a line."""
        self._job.log(text, level=level)

    def progress(self, text: str, final: bool = False) -> None:
        """Update the named line."""
        self._job.log(text, name=PROGRESS)

    def plot(self, png: bytes, text: str, csv: str) -> None:
        """Upload a picture and its numbers."""
        self._job.log_plot(io.BytesIO(png), text, formats=["png"], raw_data=csv, raw_data_format="csv")

    def show(self, png: Path) -> None:
        """Upload the picture for the output, and for the job's tile."""
        picture = png.read_bytes()  # given a path, the client would leave the file open
        self._job.set_output_image(OUTPUT_NAME, io.BytesIO(picture))
        self._job.set_tile_image(io.BytesIO(picture))

    def attach(self, path: Path) -> None:
        """Upload a file into the job's folder."""
        self._job.upload(path.name, io.BytesIO(path.read_bytes()), overwrite=True)


class Connection5:
    """A CryoSPARC 5 server.

    Parameters
    ----------
    client
        A ``cryosparc.tools.CryoSPARC``, logged in.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self.url: str = client.base_url
        self.server_version = str(client.api.config.get_version())

    def close(self) -> None:
        """Close the client's sockets, which it would leave to the garbage collector."""
        self._client.api._client.close()

    def project_folder(self, project: str) -> Path:
        """Ask for the folder."""
        return Path(str(self._client.find_project(project).dir))

    def outputs(self, project: str, job: str) -> list[SourceOutput]:
        """Read the job's document."""
        return [
            SourceOutput(name, output.type, tuple(result.name for result in output.results), output.num_items)
            for name, output in self._client.find_job(project, job).outputs.items()
        ]

    def load_output(self, project: str, job: str, output: str, slots: Sequence[str]) -> Any:
        """Load through the client."""
        return self._client.find_job(project, job).load_output(output, slots=list(slots))

    def download(self, project: str, path: str, target: Path) -> None:
        """Download through the client."""
        self._client.download_file(project, path, target)

    def create_job(self, project: str, workspace: str, title: str, description: str) -> Job5:
        """Create through the client."""
        return Job5(self._client.create_external_job(project, workspace, title=title, desc=description))

    def find_job(self, project: str, job: str) -> Job5:
        """Find through the client."""
        return Job5(self._client.find_external_job(project, job))


def log_in(url: str, email: str | None, password: str | None, timeout: float) -> tuple[Connection5, str | None]:
    """Log in by password, or by the token of ``python -m cryosparc.tools login``.

    All arguments are given, as the client's own defaults are read from the environment when it is imported.

    Returns
    -------
    The connection, and the token that its requests carry, which must never be shown.
    """
    tools = client_module("tools")
    client = tools.CryoSPARC(url, host=None, base_port=None, email=email, password=password, timeout=timeout)
    return Connection5(client), token_of(client)


def token_of(client: Any) -> str | None:
    """Find the token that a client's requests carry."""
    headers = client.api._client.headers
    return str(headers["Authorization"]).partition(" ")[2] if "Authorization" in headers else None
