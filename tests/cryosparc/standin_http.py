"""What both stand-ins do alike at the level of HTTP: read a body, send an answer, drop the connection."""

from __future__ import annotations

import io
import socket
from http.server import BaseHTTPRequestHandler

from standin_world import GARBAGE


class PlainHandler(BaseHTTPRequestHandler):
    """Reads whole or chunked bodies, answers with a length, and can hang up without a word."""

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
