"""Log in with what the environment or cryosparc-tools' own file holds, and check that client and server fit."""

from __future__ import annotations

import ipaddress
import os
import socket
from base64 import b64encode
from typing import Any
from urllib.parse import urlsplit

from cryosparc_tool.console import Console
from cryosparc_tool.options import check_url
from cryosparc_tool.server import client5, client47
from cryosparc_tool.server.interface import Connection
from cryosparc_tool.server.retry import is_client_error, may_pass, patiently
from cryosparc_tool.server.versions import Version, client_version, explain_no_connection, mismatch
from relion_ganpick.core.errors import GanpickError

SECRET_VARIABLES = ("CRYOSPARC_PASSWORD", "CRYOSPARC_LICENSE_ID")


class LoginError(ConnectionError):
    """A login that failed for a reason which may pass."""


def connect(url: str | None, timeout: float, console: Console) -> Connection:
    """Connect to a server by its address.

    Parameters
    ----------
    url
        Address; None takes CRYOSPARC_BASE_URL, then CRYOSPARC_MASTER_HOSTNAME and CRYOSPARC_BASE_PORT.
    timeout
        Seconds that a request may take.
    console
        Learns what must not be shown.

    Raises
    ------
    GanpickError
        If there is no client, no address, no login, or no server of a version that fits; it says which command mends it.
    """
    console.hide(*(os.environ.get(name) for name in SECRET_VARIABLES))
    client = client_version()
    address = check_url(url or _address_from_environment())
    _warn_of_plain_http(address, console)
    email = os.environ.get("CRYOSPARC_EMAIL") or None
    password = os.environ.get("CRYOSPARC_PASSWORD") or None
    if email and password:
        console.hide(b64encode(f"{email}:{password}".encode(errors="surrogateescape")).decode())

    def log_in() -> Connection:
        try:
            if client.major < 5:
                license_id = os.environ.get("CRYOSPARC_LICENSE_ID") or None
                return client47.log_in(address, license_id, email, password, timeout)
            connection, token = client5.log_in(address, email, password, timeout)
            console.hide(token)
            return connection
        except RuntimeError as error:
            if error.__cause__ is not None and may_pass(error.__cause__):
                raise LoginError(_short(error)) from error
            raise
        # The client's own complaint about missing logins is a ValueError that names the command to run.

    try:
        connection = patiently(log_in, "connecting", console)
    except (RuntimeError, ValueError, TypeError, OSError, AttributeError, AssertionError, KeyError) as error:
        raise GanpickError(_why(error, address, client, console)) from None
    except Exception as error:
        if not is_client_error(error):
            raise
        raise GanpickError(_why(error, address, client, console)) from None
    return _checked(connection, client, console)


def adopt(client_object: Any, console: Console) -> Connection:
    """Take a client that a notebook has made.

    Raises
    ------
    GanpickError
        If it does not fit its server.
    """
    client = client_version()
    if client.major < 5:
        console.hide(*(os.environ.get(name) for name in SECRET_VARIABLES))
        console.hide(client_object.cli._headers.get("License-ID"))
        _warn_of_plain_http(client_object.cli._url, console)
        return _checked(client47.Connection47(client_object, client_object.cli._url), client, console)
    console.hide(*(os.environ.get(name) for name in SECRET_VARIABLES), client5.token_of(client_object))
    _warn_of_plain_http(client_object.base_url, console)
    return _checked(client5.Connection5(client_object), client, console)


def _checked(connection: Connection, client: Version, console: Console) -> Connection:
    problem = mismatch(client, connection.server_version)
    if problem:
        console.complain(f"WARNING: {problem}")
    return connection


def _warn_of_plain_http(url: str, console: Console) -> None:
    """Say that a password to another machine can be read on its way."""
    parts = urlsplit(url)
    if parts.scheme == "http" and not _is_here(parts.hostname or ""):
        console.complain(
            f"WARNING: {parts.scheme}://{parts.hostname} is not encrypted: others on the network can read your login. "
            "Take https:// where the server has it, or an SSH tunnel"
        )


def _is_here(host: str) -> bool:
    names = {"localhost", socket.gethostname().lower(), socket.gethostname().split(".")[0].lower()}
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in names or host.lower().endswith(".localhost")


def _address_from_environment() -> str:
    if os.environ.get("CRYOSPARC_BASE_URL"):
        return os.environ["CRYOSPARC_BASE_URL"]
    if os.environ.get("CRYOSPARC_MASTER_HOSTNAME"):
        return f"http://{os.environ['CRYOSPARC_MASTER_HOSTNAME']}:{os.environ.get('CRYOSPARC_BASE_PORT') or client47.BASE_PORT}"
    raise GanpickError("`url` is missing: give the address that the browser shows, or set CRYOSPARC_BASE_URL")


def _why(error: Exception, address: str, client: Version, console: Console) -> str:
    if isinstance(error, ValueError) and "authentication not provided" in str(error):
        return (
            f"there is no login for {address}: run 'python -m cryosparc.tools login --url {address}', "
            "or set CRYOSPARC_EMAIL and CRYOSPARC_PASSWORD"
        )
    return console.clean(f"no connection to CryoSPARC at {address}: {explain_no_connection(address, client)} ({_short(error)})")


def _short(error: BaseException) -> str:
    """Name the reason of a client's long complaint."""
    cause = error.__cause__ or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return f"{type(cause).__name__}: {lines[0][:200]}" if lines else type(cause).__name__
