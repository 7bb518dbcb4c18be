"""How the stand-in for a CryoSPARC 5 server speaks HTTP: finds the route, checks the request, strikes with faults, answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from standin5_routes import JSON, PREFIX, ROUTES, Route, openapi
from standin_http import PlainHandler
from standin_world import RefusedError, World


@dataclass
class Request:
    """What a handler gets."""

    path: dict[str, str]
    query: dict[str, list[str]]
    body: bytes

    def one(self, name: str, default: str = "") -> str:
        """Value of a query parameter."""
        return self.query.get(name, [default])[0]


class Owner(Protocol):
    """A server that knows what to answer."""

    world: World
    tokens: set[str]

    def answer(self, route: Route, request: Request) -> tuple[str, bytes]:
        """Do what is asked for; mime type and body of the answer."""


class Handler(PlainHandler, BaseHTTPRequestHandler):
    """Finds the route, checks what every request must have, strikes with faults, and answers."""

    owner: Owner

    def do_GET(self) -> None:
        """Answer."""
        self._serve()

    do_POST = do_PUT = do_GET  # noqa: N815 (the base class chooses the names)

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        name, route, path = self._find(parts.path)
        fault = self.owner.world.fault(name)
        kind = None if fault is None else fault.kind
        if kind == "refuse":
            return self._hang_up()
        if kind == "drop":
            self._body(limit=64)
            return self._hang_up()
        body = self._body()
        if self._is_struck(kind, self.owner.world.slow_seconds):
            return None
        try:
            self._check_fault(kind, body)
            if name == "openapi":
                mime, data = JSON, json.dumps(openapi()).encode()
            elif route is None:
                raise RefusedError(404, f"no such page {parts.path}")
            else:
                self._check(route, parse_qs(parts.query))
                mime, data = self.owner.answer(route, Request(path, parse_qs(parts.query), body))
        except RefusedError as error:
            return self._send(error.code, JSON, json.dumps({"detail": error.detail}).encode())
        if kind == "lost":
            return self._hang_up()
        return self._send(200, mime, data)

    def _find(self, path: str) -> tuple[str, Route | None, dict[str, str]]:
        if path == PREFIX + "/openapi.json":
            return "openapi", None, {}
        words = unquote(path).removeprefix(PREFIX).split("/")
        for route in ROUTES:
            pattern = route.path.split("/")
            if route.method.upper() == self.command and len(words) == len(pattern):
                pairs = list(zip(pattern, words, strict=True))
                if all(a == b or a.startswith("{") for a, b in pairs):
                    return route.name, route, {a[1:-1]: b for a, b in pairs if a.startswith("{")}
        return "unknown", None, {}

    def _check(self, route: Route, query: dict[str, list[str]]) -> None:
        if route.name != "login":
            kind, _, token = self.headers.get("Authorization", "").partition(" ")
            if kind != "Bearer" or token not in self.owner.tokens:
                raise RefusedError(401, "not logged in, or no longer")
        missing = [name[1:] for name in route.query if name.startswith("!") and name[1:] not in query]
        if missing:
            raise RefusedError(422, f"missing {missing}")
        if route.body and self.headers.get("Content-Type", "").split(";")[0] != route.body[0]:
            raise RefusedError(422, f"content type must be {route.body[0]}")
