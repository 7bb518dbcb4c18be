"""cryosparc-tools 4.7: three ports, a license id and a password; no pictures on outputs, no named log lines."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryosparc_tool.server.client5 import Connection5, Job5
from cryosparc_tool.server.interface import INPUT_NAME, OUTPUT_NAME, STARTED, SourceOutput
from cryosparc_tool.server.versions import client_module
from relion_ganpick.core.errors import GanpickError

BASE_PORT = 39000
PROGRESS_SECONDS = 600.0
"""Every progress line stays in the log of this version, so that there must be few."""


class Job47(Job5):
    """An external job seen through version 4.7 of the client."""

    def __init__(self, job: Any) -> None:
        super().__init__(job)
        self._last_progress = float("-inf")

    def has_input(self) -> bool:
        """Look for a connected input."""
        return any(group["name"] == INPUT_NAME and group["connections"] for group in self._job.doc["input_slot_groups"])

    def has_output(self) -> bool:
        """Look for the output."""
        return any(group["name"] == OUTPUT_NAME for group in self._job.doc["output_result_groups"])

    def start(self) -> None:
        """Mark as running, unless it is: this version's client asserts that it is not."""
        if self._job.doc["status"] not in STARTED:
            self._job.start("running")

    def saved_rows(self) -> int | None:
        """Read the number of rows from the job's document."""
        counts = [group["num_items"] for group in self._job.doc["output_result_groups"] if group["name"] == OUTPUT_NAME]
        return int(counts[0]) if counts and counts[0] is not None else None

    def fail(self, message: str) -> None:
        """Mark as failed; the reason goes to the log, as this version takes none."""
        try:
            self._job.log(message, level="error")
        finally:
            self._job.stop(error=True)

    def log(self, text: str, level: str = "text") -> None:
        """Add a line."""
        self._job.log(text, level)

    def progress(self, text: str, final: bool = False) -> None:
        """Add a line now and then."""
        if final or time.monotonic() - self._last_progress >= PROGRESS_SECONDS:
            self._job.log(text)
            self._last_progress = time.monotonic()

    def show(self, png: Path) -> None:
        """Put the picture into the log."""
        self._job.log_plot(io.BytesIO(png.read_bytes()), "Picks on one micrograph", formats=["png"])

    def attach(self, path: Path) -> None:
        """Upload a file into the job's folder; this version's client asserts that the server takes it."""
        try:
            super().attach(path)
        except AssertionError as error:
            raise ConnectionError(str(error)) from error


class Connection47(Connection5):
    """A CryoSPARC 4.7 server."""

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self.url = url
        self.server_version = str(client.cli.get_running_version())

    def close(self) -> None:
        """Do nothing: this version opens a socket for each request."""

    def project_folder(self, project: str) -> Path:
        """Ask for the folder."""
        return Path(str(self._client.find_project(project).dir()))

    def outputs(self, project: str, job: str) -> list[SourceOutput]:
        """Read the job's document."""
        return [
            SourceOutput(group["name"], group["type"], tuple(each["name"] for each in group["contains"]), group.get("num_items"))
            for group in self._client.find_job(project, job).doc["output_result_groups"]
        ]

    def create_job(self, project: str, workspace: str, title: str, description: str) -> Job47:
        """Create through the client."""
        return Job47(self._client.create_external_job(project, workspace, title=title, desc=description))

    def find_job(self, project: str, job: str) -> Job47:
        """Find through the client."""
        return Job47(self._client.find_external_job(project, job))


def log_in(url: str, license_id: str | None, email: str | None, password: str | None, timeout: float) -> Connection47:
    """Log in by license id, address and password.

    Raises
    ------
    GanpickError
        If one of them is missing.
    """
    given = {"CRYOSPARC_LICENSE_ID": license_id, "CRYOSPARC_EMAIL": email, "CRYOSPARC_PASSWORD": password}
    missing = [name for name, value in given.items() if not value]
    if missing:
        raise GanpickError(f"CryoSPARC 4.7 needs {', '.join(missing)} in the environment")
    tools = client_module("tools")
    if not tools.LICENSE_REGEX.fullmatch(license_id):
        raise GanpickError("CRYOSPARC_LICENSE_ID is no license id (five groups of digits and letters a to f)")
    parts = urlsplit(url)
    client = tools.CryoSPARC(
        license=license_id,
        host=parts.hostname,
        base_port=parts.port or BASE_PORT,
        email=email,
        password=password,
        timeout=timeout,
    )
    return Connection47(client, url)
