"""Serve the page on this machine only. Whoever asks must know the token that is in the page's address.

The served page is the same as the report; it asks for micrographs as they are looked at, and can save. It keeps what was edited
in the browser, so that nothing is lost when the connection breaks for a while.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tornado.httpserver import HTTPServer
from tornado.web import Application, HTTPError, RequestHandler

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.inspect.page import page_html
from relion_ganpick.inspect.session import Session

HOST = "127.0.0.1"
OURS = ("127.0.0.1", "localhost", "[::1]")
TOKEN_HEADER = "X-Ganpick-Token"
LARGEST_REQUEST = 64 * 2**20
THREADS = 3


@dataclass
class Site:
    """What all handlers share."""

    session: Session
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    page: bytes = b""
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(THREADS, "inspect"))


class Handler(RequestHandler):
    """Checks who asks, and answers in JSON."""

    def initialize(self, site: Site, answer: Callable[..., dict[str, Any]] | None = None) -> None:
        """Take what all handlers share, and what this one answers."""
        self.site, self.answer = site, answer

    def set_default_headers(self) -> None:
        """Let no other page show or read this one."""
        self.clear_header("Server")
        for name, value in (
            ("Cache-Control", "no-store"),
            ("X-Frame-Options", "DENY"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ):
            self.set_header(name, value)

    def prepare(self) -> None:
        """Refuse whoever comes by another name, from another page, or without the token."""
        host = self.request.headers.get("Host", "")
        if host.rpartition(":")[0] not in OURS and host not in OURS:
            raise HTTPError(403, reason="ask for 127.0.0.1 or localhost")
        origin = self.request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise HTTPError(403, reason="another page may not ask")
        if self.request.method == "POST" and origin is None:
            raise HTTPError(403, reason="only the page may save")
        given = self.request.headers.get(TOKEN_HEADER) or (self.get_query_argument("token", "") if self.answer is None else "")
        if not hmac.compare_digest(given.encode(), self.site.token.encode()):
            raise HTTPError(403, reason="the address lacks the token that ganpick inspect has printed")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say in plain words what is wrong."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(self._reason)

    async def get(self, *numbers: str) -> None:
        """Answer with JSON."""
        await self._reply(*(int(each) for each in numbers))

    async def _reply(self, *arguments: Any) -> None:
        assert self.answer is not None
        try:
            content = await asyncio.get_running_loop().run_in_executor(self.site.pool, self.answer, *arguments)
        except GanpickError as error:
            self.set_status(409)
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.finish(str(error))
            return
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(content, separators=(",", ":")))


class NumberedHandler(Handler):
    """Answers about one micrograph."""

    def prepare(self) -> None:
        """Refuse numbers that the job does not have, too."""
        super().prepare()
        if int(self.path_args[0]) >= len(self.site.session.job.names):
            raise HTTPError(404, reason="the job has no such micrograph")


class PageHandler(Handler):
    """The page itself."""

    async def get(self, *_: str) -> None:
        """Answer with the page."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(self.site.page)


class SaveHandler(Handler):
    """Saves."""

    async def post(self) -> None:
        """Begin to save what the page has sent."""
        try:
            content = json.loads(self.request.body)
        except ValueError as error:
            raise HTTPError(400, reason="not JSON") from error
        await self._reply(content)


def make_site(session: Session) -> tuple[Application, Site]:
    """Make the application, and the token that opens it."""
    site = Site(session, page=page_html(f"{session.job.folder} - ganpick").encode())

    def shared(answer: Callable[..., dict[str, Any]] | None = None) -> dict[str, Any]:
        return {"site": site, "answer": answer}

    routes: list[Any] = [
        (r"/", PageHandler, shared()),
        (r"/job", Handler, shared(session.payload)),
        (r"/micrograph/(\d{1,9})", NumberedHandler, shared(session.details)),
        (r"/contamination/(\d{1,9})", NumberedHandler, shared(session.contamination)),
        (r"/classes/(\d{1,9})", NumberedHandler, shared(session.classes)),
        (r"/averages", Handler, shared(session.averages)),
        (r"/progress", Handler, shared(session.progress)),
        (r"/save", SaveHandler, shared(session.save)),
    ]
    return Application(routes, compress_response=False, log_function=lambda _: None), site


async def serve(session: Session, port: int, say: Callable[[str], None]) -> None:
    """Serve until the task is cancelled.

    Parameters
    ----------
    session
        The job.
    port
        Port on 127.0.0.1; 0 takes a free one.
    say
        Takes the page's address.

    Raises
    ------
    GanpickError
        If the port is taken.
    """
    application, site = make_site(session)
    try:
        listening = socket.create_server((HOST, port))
    except OSError as error:
        raise GanpickError(
            f"`port` {port}: cannot be used ({error.strerror}); give another one, or 0 for any free one"
        ) from error
    server = HTTPServer(application, max_body_size=LARGEST_REQUEST, max_buffer_size=2 * LARGEST_REQUEST)
    listening.setblocking(False)
    server.add_socket(listening)
    say(f"http://{HOST}:{listening.getsockname()[1]}/?token={site.token}")
    try:
        await asyncio.Event().wait()
    finally:
        server.stop()
        site.pool.shutdown(wait=False, cancel_futures=True)
