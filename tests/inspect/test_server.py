"""Who may ask the server what."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from inspect_job import N

Serve = Callable[..., str]


@pytest.fixture
def site(job_folder: Path, serve: Serve) -> tuple[str, str]:
    """Base address and token."""
    address = urlsplit(serve(job_folder))
    assert address.hostname == "127.0.0.1"
    return f"http://{address.netloc}", parse_qs(address.query)["token"][0]


def ask(address: str, headers: dict[str, str] | None = None, body: object = None) -> tuple[int, bytes, dict[str, str]]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def test_nobody_gets_in_without_the_token(site: tuple[str, str]) -> None:
    base, token = site
    assert len(token) >= 32
    for path in ("/", "/job", "/micrograph/0", "/contamination/0", "/classes/0", "/averages", "/progress"):
        assert ask(base + path)[0] == 403
        assert ask(f"{base}{path}?token=wrong")[0] == 403
    assert ask(f"{base}/job?token={token}")[0] == 403  # data only with the header, which no foreign page can send
    assert ask(f"{base}/?token={token}")[0] == 200
    assert ask(base + "/job", {"X-Ganpick-Token": token})[0] == 200


def test_page_of_another_origin_cannot_save(site: tuple[str, str], job_folder: Path) -> None:
    base, token = site
    body = {"edits": [{"index": 0, "list": {"x": [], "y": [], "score": []}}], "selection": None}
    headers = {"X-Ganpick-Token": token, "Content-Type": "application/json"}
    for origin in ("http://evil.example", "http://127.0.0.1:1", "null"):
        assert ask(base + "/save", headers | {"Origin": origin}, body)[0] == 403
    assert ask(base + "/save", headers, body)[0] == 403
    assert ask(base + "/save", {"Origin": base, "Content-Type": "application/json"}, body)[0] == 403
    assert not (job_folder / "edits.json").exists()
    assert ask(base + "/save", headers | {"Origin": base}, body)[0] == 200


def test_other_names_of_this_machine_are_refused(site: tuple[str, str]) -> None:
    base, token = site
    assert ask(base + "/job", {"X-Ganpick-Token": token, "Host": "evil.example:80"})[0] == 403
    port = base.rpartition(":")[2]
    assert ask(base + "/job", {"X-Ganpick-Token": token, "Host": f"localhost:{port}"})[0] == 200
    tunnel = {"X-Ganpick-Token": token, "Host": "localhost:9000", "Origin": "http://localhost:9000"}
    assert ask(base + "/job", tunnel)[0] == 200


def test_page_may_ask_nobody_but_its_server(site: tuple[str, str]) -> None:
    base, token = site
    _, html, headers = ask(f"{base}/?token={token}")
    assert b"default-src 'none'" in html
    assert b"connect-src 'self'" in html
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Server" not in headers


def test_numbers_that_the_job_does_not_have_and_bad_bodies_are_refused(site: tuple[str, str]) -> None:
    base, token = site
    headers = {"X-Ganpick-Token": token}
    assert ask(f"{base}/micrograph/{N}", headers)[0] == 404
    assert ask(f"{base}/micrograph/-1", headers)[0] == 404
    status, text, _ = ask(base + "/save", headers | {"Origin": base}, {"edits": 3})
    assert status == 409
    assert b"load it again" in text


def test_port_that_is_taken_is_named(job_folder: Path, site: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    from relion_ganpick.cli import main

    port = site[0].rpartition(":")[2]
    assert main(["inspect", str(job_folder), "--port", port]) == 1
    assert f"--port {port}: cannot be used" in capsys.readouterr().err


def test_missing_extra_is_named(job_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from relion_ganpick.cli import main
    from relion_ganpick.inspect import report

    monkeypatch.setattr(report, "can_report", lambda: False)
    assert main(["inspect", str(job_folder)]) == 1
    assert "pip install 'relion-ganpick[inspect]'" in capsys.readouterr().err
