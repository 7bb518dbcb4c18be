"""Which cryosparc-tools is installed, which CryoSPARC answers, and what to do when they do not fit."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from relion_ganpick.core.errors import GanpickError

PACKAGE = "cryosparc-tools"
OLDEST = (4, 7)
NEWEST_MAJOR = 5
PROBE_SECONDS = 10
LONGEST_ANSWER = 2**26


@dataclass(frozen=True, order=True)
class Version:
    """Major and minor number; CryoSPARC and cryosparc-tools must agree in both."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


def parse_version(text: str) -> Version | None:
    """Read "v5.0.3" or "4.7.1"; None for development versions without numbers."""
    found = re.match(r"v?(\d+)\.(\d+)", text)
    return Version(int(found[1]), int(found[2])) if found else None


def pip_command(wanted: Version | None = None) -> str:
    """Command that installs the client for a server."""
    return f"python -m pip install '{PACKAGE}~={wanted or Version(NEWEST_MAJOR, 0)}.0'"


def client_version() -> Version:
    """Version of the installed client.

    Raises
    ------
    GanpickError
        If there is none, or one that we do not know.
    """
    try:
        text = version(PACKAGE)
    except PackageNotFoundError as error:
        raise GanpickError(f"{PACKAGE} is not installed: {pip_command()} (or ~=4.7.0 for CryoSPARC 4.7)") from error
    found = parse_version(text)
    if found is None or (found.major, found.minor) < OLDEST or found.major > NEWEST_MAJOR:
        raise GanpickError(f"{PACKAGE} {text} is not supported; for CryoSPARC 5: {pip_command()}; for 4.7: {_for_47()}")
    return found


def client_module(name: str) -> Any:
    """Import a module of the client.

    Raises
    ------
    GanpickError
        If the client cannot be imported.
    """
    client_version()
    try:
        return import_module(f"cryosparc.{name}")
    except ImportError as error:
        raise GanpickError(f"{PACKAGE} cannot be imported ({error}); install it again: {pip_command()}") from error


def mismatch(client: Version, server_text: str) -> str | None:
    """Say what is wrong when client and server differ in major or minor number, and which command mends it."""
    server = parse_version(server_text)
    if server is None or server == client:
        return None
    return f"CryoSPARC {server_text} needs cryosparc-tools {server}, installed is {client}: {pip_command(server)}"


def explain_no_connection(url: str, client: Version) -> str:
    """Find out why a client cannot connect, with a request that carries no credentials."""
    request = urllib.request.Request(f"{url}/api/cmd/openapi.json", headers={"Accept": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS) as answer:
            about = json.loads(answer.read(LONGEST_ANSWER))
            speaks_5 = isinstance(about, dict) and "paths" in about
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            return f"the server at {url} answers with error {error.code}: is CryoSPARC running? (cryosparcm status)"
        speaks_5 = False
    except ValueError:
        speaks_5 = False
    except http.client.HTTPException as error:
        return _no_web_server(url, type(error).__name__)
    except OSError as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLError):
            return f"{url} does not speak https ({reason.reason}): give the address as the browser shows it, with its certificate"
        if isinstance(reason, (ConnectionResetError, BrokenPipeError)):
            return _no_web_server(url, str(reason))
        return f"nobody answers at {url} ({reason}): check `url`, the network, and cryosparcm status"
    if client.major == NEWEST_MAJOR and not speaks_5:
        return f"{url} is no CryoSPARC 5 server; if it is CryoSPARC 4.7: {_for_47()}"
    if client.major < NEWEST_MAJOR and speaks_5:
        return f"{url} is a CryoSPARC 5 server, and cryosparc-tools {client} cannot talk to it: {pip_command()}"
    return "check the credentials: 'python -m cryosparc.tools login --url URL', or CRYOSPARC_EMAIL and CRYOSPARC_PASSWORD"


def _no_web_server(url: str, reason: str) -> str:
    return (
        f"somebody answers at {url}, but not as a web server does ({reason}): check the port in `url`; "
        "it is the one that the browser shows, often 39000"
    )


def _for_47() -> str:
    return pip_command(Version(*OLDEST))
