"""What both stand-ins do alike at the level of HTTP: read a body, send an answer, drop the connection, fail as they are told."""

from __future__ import annotations

import io
import socket
import time
from http.server import BaseHTTPRequestHandler

from standin_world import ECHOES, GARBAGE, RefusedError


class PlainHandler(BaseHTTPRequestHandler):
    """Reads whole or chunked bodies, answers with a length, and can hang up without a word."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _body(self, limit: int | None = None) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            size = int(self.headers.get("Content-Length", 0))
            return self.rfile.read(size if limit is None else min(size, limit))
        out = io.BytesIO()
        while (size := int(self.rfile.readline().strip() or b"0", 16)) and (limit is None or out.tell() < limit):
            out.write(self.rfile.read(size))
            self.rfile.readline()
        if limit is None:
            self.rfile.readline()
        return out.getvalue()

    def _send(self, code: int, mime: str, data: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", mime)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _talk_nonsense(self) -> None:
        self.close_connection = True
        self.wfile.write(GARBAGE)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.connection.close()

    def _is_struck(self, kind: object, slow_seconds: float) -> bool:
        """Strike with a fault that is no answer at all, after the request was read; tell whether there was one."""
        if kind == "garbage":
            self._talk_nonsense()
        elif kind == "slow":
            time.sleep(slow_seconds)
            self._hang_up()
        return kind in ("garbage", "slow")

    def _check_fault(self, kind: object, body: bytes) -> None:
        """Refuse where a status was told: the worst that a server may do is to send back what it was given, credentials included.

        Raises
        ------
        RefusedError
            If the fault is a status.
        """
        if isinstance(kind, int):
            raise RefusedError(kind, f"told to answer {kind} to {dict(self.headers)} {body[:2000]!r} {ECHOES}")
