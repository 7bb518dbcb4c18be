"""Try again what may succeed a little later: lost connections and servers that are busy or restarting."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from typing import TypeVar

from cryosparc_tool.console import Console

T = TypeVar("T")

WAITS = (2.0, 10.0, 30.0)
"""Seconds before the second, third and fourth attempt."""

PASSING_CODES = (408, 425, 429, 500, 502, 503, 504)
NETWORK_BASES = ("TransportError", "URLError")


def is_network_error(error: BaseException) -> bool:
    """Tell errors of the network from answers of the server, for both clients, without importing either."""
    if isinstance(error, (ConnectionError, TimeoutError, http.client.HTTPException)):
        return True
    return any(base.__name__ in NETWORK_BASES for base in type(error).__mro__)


def server_code(error: BaseException) -> int | None:
    """HTTP status of a server's refusal; None for other errors. Version 4.7 gives lost connections the code 500."""
    if type(error).__name__ == "HTTPStatusError":  # how the client 5 reports a refusal of its first request
        return int(getattr(getattr(error, "response", None), "status_code", 0)) or None
    code = getattr(error, "code", None)
    is_ours = type(error).__name__ in ("APIError", "CommandError")
    return code if is_ours and isinstance(code, int) else None


def may_pass(error: BaseException) -> bool:
    """Tell whether another attempt makes sense."""
    return is_network_error(error) or server_code(error) in PASSING_CODES


def is_client_error(error: BaseException) -> bool:
    """Tell errors that a client raises for the network, for answers of the server, or for unusable data."""
    known = ("APIError", "CommandError", "DatasetLoadError", "InvalidSlotsError", "ValidationError", "ExternalJobError")
    return is_network_error(error) or any(base.__name__ in known for base in type(error).__mro__)


def patiently(action: Callable[[], T], what: str, console: Console) -> T:
    """Do something, and again after a while when an error may pass.

    Parameters
    ----------
    action
        Must be safe to repeat: the server may have done it although its answer was lost.
    what
        Words for the log, such as "saving the picks".
    """
    for wait in WAITS:
        try:
            return action()
        except Exception as error:
            if not may_pass(error):
                raise
            console.complain(f"{what} failed ({in_words(error)}); trying again in {wait:g} s")
        time.sleep(wait)
    return action()


def in_words(error: BaseException) -> str:
    """Name an error in one short line."""
    code = server_code(error)
    text = " ".join(str(error).split())
    name = type(error).__name__
    if code is not None:
        data = getattr(error, "data", None)
        detail = data.get("detail") if isinstance(data, dict) else None
        text = f"the server answered {code}: {detail if isinstance(detail, str) else text}"
        return text[:300]
    return f"{name}: {text}"[:300] if text else name
