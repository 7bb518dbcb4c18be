"""Logging in, and which versions of client and server fit, with the client that is installed."""

from __future__ import annotations

import hashlib
import html
import json
import re
import socket
import socketserver
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from importlib.util import find_spec
from pathlib import Path
from unicodedata import normalize
from urllib.parse import quote, quote_plus

import pytest
from cryosparc_project import fake_picking, make_world
from hypothesis import example, given
from hypothesis import strategies as st
from machine import patience
from standin5 import Server5
from standin47 import Server47
from standin_world import EMAIL, GARBAGE, PASSWORD, PROJECT, SOURCE, TOKEN, World

from cryosparc_tool.console import HIDDEN, Console
from cryosparc_tool.main import main
from cryosparc_tool.server import versions
from cryosparc_tool.server.connect import _warn_of_plain_http

pytestmark = [
    pytest.mark.cryosparc,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
MAJOR = versions.client_version().major if find_spec("cryosparc.tools") else 0


@pytest.fixture
def world(project_folder: Path, user: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    fake_picking(monkeypatch)
    if MAJOR == 4:
        monkeypatch.setattr("cryosparc.command.RETRY_INTERVAL", 0)
    return make_world(project_folder, 1)


@pytest.fixture
def server5(world: World) -> Iterator[Server5]:
    with Server5(world) as server:
        yield server


def pick(url: str, *more: str) -> int:
    options = ["--project", PROJECT, "--workspace", "W1", "--job", SOURCE, "--diameter", "20", "--overlays", "0"]
    return main([*(("--url", url) if url else ()), *options, *more])


def free_port() -> int:
    with socket.socket() as each:
        each.bind(("127.0.0.1", 0))
        return int(each.getsockname()[1])


@pytest.mark.skipif(MAJOR != 5, reason="needs cryosparc-tools 5")
def test_token_of_the_tools_own_login_is_used(server5: Server5, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from cryosparc import auth

    monkeypatch.delenv("CRYOSPARC_PASSWORD")
    monkeypatch.delenv("CRYOSPARC_EMAIL")
    auth.get_default_auth_config_path.cache_clear()
    path = tmp_path / "config" / "cryosparc-tools" / "auth.json"
    path.parent.mkdir(parents=True)
    expires = (datetime.now(timezone.utc) + timedelta(days=1)).isoformat()
    session = {"token": {"access_token": TOKEN, "token_type": "bearer"}, "expires": expires}
    path.write_text(json.dumps({server5.url: {EMAIL: session}}))
    try:
        assert pick(server5.url + "/") == 0
    finally:
        auth.get_default_auth_config_path.cache_clear()
    assert "login" not in server5.world.requests


@pytest.mark.skipif(MAJOR != 5, reason="needs cryosparc-tools 5")
def test_missing_login_names_the_command(
    server5: Server5, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CRYOSPARC_PASSWORD")
    assert pick(server5.url) == 1
    assert f"python -m cryosparc.tools login --url {server5.url}" in capfd.readouterr().err


@pytest.mark.skipif(MAJOR != 5, reason="needs cryosparc-tools 5")
def test_wrong_password_is_not_shown(
    server5: Server5, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The stand-in sends the login form back, as FastAPI does with what it refuses."""
    monkeypatch.setenv("CRYOSPARC_PASSWORD", "not-the-password")
    assert pick(server5.url) == 1
    output = "".join(capfd.readouterr())
    assert "check the credentials" in output
    assert "not-the-password" not in output
    assert hashlib.sha256(b"not-the-password").hexdigest() not in output


@pytest.mark.skipif(MAJOR != 5, reason="needs cryosparc-tools 5")
def test_address_is_taken_from_the_environment(server5: Server5, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYOSPARC_BASE_URL", server5.url)
    assert pick("") == 0
    monkeypatch.delenv("CRYOSPARC_BASE_URL")
    monkeypatch.setenv("CRYOSPARC_MASTER_HOSTNAME", "127.0.0.1")
    monkeypatch.setenv("CRYOSPARC_BASE_PORT", server5.url.rpartition(":")[2])
    assert pick("") == 0


@pytest.mark.skipif(MAJOR != 5, reason="needs cryosparc-tools 5")
def test_newer_server_is_named_with_the_command_that_mends_it(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    with Server5(world, "v5.1.2") as server:
        assert pick(server.url) == 0
    error = capfd.readouterr().err
    assert "CryoSPARC v5.1.2 needs cryosparc-tools 5.1, installed is 5.0: python -m pip install 'cryosparc-tools~=5.1.0'" in error


@pytest.mark.skipif(MAJOR != 5, reason="needs cryosparc-tools 5")
def test_client_5_at_a_server_4_7_says_which_client_is_needed(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    with Server47(world) as server:
        port = int(server.url.rpartition(":")[2]) + 2
        assert pick(f"http://127.0.0.1:{port}") == 1
    assert "if it is CryoSPARC 4.7: python -m pip install 'cryosparc-tools~=4.7.0'" in capfd.readouterr().err
    assert world.external_jobs() == []


@pytest.mark.skipif(MAJOR != 4, reason="needs cryosparc-tools 4.7")
def test_client_4_7_at_a_server_5_says_which_client_is_needed(server5: Server5, capfd: pytest.CaptureFixture[str]) -> None:
    assert pick(server5.url) == 1
    assert "cannot talk to it: python -m pip install 'cryosparc-tools~=5.0.0'" in capfd.readouterr().err


@pytest.mark.skipif(MAJOR != 4, reason="needs cryosparc-tools 4.7")
@pytest.mark.parametrize("name", ["CRYOSPARC_LICENSE_ID", "CRYOSPARC_EMAIL", "CRYOSPARC_PASSWORD"])
def test_missing_variable_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.delenv(name)
    with Server47(world) as server:
        assert pick(server.url) == 1
    assert f"CryoSPARC 4.7 needs {name} in the environment" in capfd.readouterr().err


@pytest.mark.skipif(MAJOR != 4, reason="needs cryosparc-tools 4.7")
def test_wrong_password_of_4_7_is_not_shown(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """This client names the parameters of a failed call in its error."""
    monkeypatch.setenv("CRYOSPARC_PASSWORD", "not-the-password")
    with Server47(world) as server:
        assert pick(server.url) == 1
    output = "".join(capfd.readouterr())
    assert "no connection to CryoSPARC" in output
    assert "not-the-password" not in output


def test_nobody_there_is_said(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert pick(f"http://127.0.0.1:{free_port()}") == 1
    assert "nobody answers at http://127.0.0.1" in capfd.readouterr().err


@pytest.mark.parametrize("url", ["cryoem1:39000", "ftp://cryoem1", "http://", "http://cryoem1:x"])
def test_address_that_is_none_is_refused(world: World, url: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert pick(url) == 1
    assert f"--url {url}: give the address that the browser shows" in capfd.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["--password", "s3cret-word"], ["--password=s3cret-word"], ["--token=s3cret-word"], ["--license", "s3cret-word"]],
)
def test_credentials_are_no_arguments_and_are_not_repeated(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--project", "P1", *words]) == 1
    output = "".join(capfd.readouterr())
    assert "never give a password as an option" in output
    assert "s3cret-word" not in output


def test_password_in_the_address_is_refused_and_not_repeated(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert pick("http://ada:s3cret-word@cryoem1:39000") == 1
    output = "".join(capfd.readouterr())
    assert "--url holds a user name or password" in output
    assert "s3cret-word" not in output


def test_console_hides_secrets_and_their_sums() -> None:
    console = Console()
    console.hide(PASSWORD, None, "")
    text = f"{PASSWORD} {hashlib.sha256(PASSWORD.encode()).hexdigest()} abc"
    assert console.clean(text) == f"{HIDDEN} {HIDDEN} abc"


SECRETS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=4, max_size=20).filter(lambda s: s.strip())


@example("000&", "{}")
@example("100%", "{}")
@example("000\u00c3", "{}")
@given(SECRETS, st.sampled_from(["{}", "a={}&b", '{{"password": "{}"}}', "word{}word"]))
def test_console_hides_a_secret_however_it_is_written(secret: str, around: str) -> None:
    console = Console()
    console.hide(secret)
    ways = [secret, quote(secret), quote(secret, safe=""), quote_plus(secret)]
    ways += [json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1], html.escape(secret)]
    ways += [quote(quote(secret, safe=""), safe=""), quote(json.dumps(secret)[1:-1], safe=""), json.dumps(ways[4])[1:-1]]
    ways += [html.escape(json.dumps(secret)[1:-1]), html.escape(secret, quote=False), html.escape(html.escape(secret))]
    ways += ["".join(f"&#{ord(each)};" for each in secret), "".join(f"\\u{ord(each):04X}" for each in secret)]
    ways += [secret.replace("'", "'\\''"), normalize("NFD", secret)]
    for way in ways:
        assert console.clean(around.format(way)) == around.format(HIDDEN)


def test_console_hides_what_is_computed_from_a_secret() -> None:
    console = Console()
    console.hide(PASSWORD)
    data = PASSWORD.encode()
    for kind in ("sha256", "sha1", "md5"):
        found = hashlib.new(kind, data)
        for text in (found.hexdigest(), found.hexdigest().upper(), b64encode(found.digest()).decode()):
            assert console.clean(f"<{text}>") == f"<{HIDDEN}>"
    assert console.clean(b64encode(data).decode()) == HIDDEN


def test_console_is_quick_with_long_texts_of_backslashes_and_percent_signs() -> None:
    console = Console()
    console.hide("\\\\a\\ '%25'", "%%%%", "p&1")
    began = time.monotonic()
    for each in ("\\", "%25", "%", "&amp;", " ", "'", "\\'"):
        console.clean(each * 3000)
    assert time.monotonic() - began < patience(5)


@pytest.mark.parametrize("secret", ["a", "7z", "p&1", 'x"y'])
def test_a_short_secret_is_hidden_where_it_stands_alone(secret: str) -> None:
    console = Console()
    console.hide(secret)
    for text in (
        f"password={quote_plus(secret)}&x=1",
        json.dumps({"password": secret}),
        f"'{secret}'",
        f"%22{quote_plus(secret)}%22",
    ):
        assert HIDDEN in console.clean(text)
    assert console.clean("a micrograph was taken") == (
        "a micrograph was taken" if secret != "a" else f"{HIDDEN} micrograph was taken"
    )
    assert console.clean("alpha 17zz") == "alpha 17zz"


@pytest.mark.parametrize(
    ("url", "warns"),
    [
        ("http://cryoem1:39000", True), ("http://10.1.2.3:39000", True), ("https://cryoem1:39000", False),
        ("http://localhost:39000", False), ("http://127.0.0.2:39000", False), ("http://[::1]:39000", False),
        (f"http://{socket.gethostname()}:39000", False),
    ],
)  # fmt: skip
def test_a_login_that_others_can_read_is_warned_of(url: str, warns: bool, capfd: pytest.CaptureFixture[str]) -> None:
    _warn_of_plain_http(url, Console())
    assert ("is not encrypted: others on the network can read your login" in capfd.readouterr().err) == warns


class Listener(socketserver.ThreadingTCPServer):
    """A port where something else than a web server answers, with these bytes."""

    daemon_threads, allow_reuse_address, says = True, True, GARBAGE


class Talker(socketserver.BaseRequestHandler):
    """Says its bytes and hangs up."""

    server: Listener

    def handle(self) -> None:
        self.request.sendall(self.server.says)


@pytest.mark.parametrize("says", [GARBAGE, b"\x15\x03\x03\x00\x02\x02\x46", b"\x00" * 100])
def test_a_port_that_speaks_no_http_is_explained(world: World, capfd: pytest.CaptureFixture[str], says: bytes) -> None:
    with Listener(("127.0.0.1", 0), Talker) as listener:
        listener.says = says
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        assert pick(f"http://127.0.0.1:{listener.server_address[1]}") == 1
        listener.shutdown()
    error = capfd.readouterr().err
    assert "Traceback" not in error
    assert re.search(r"somebody answers at http://127\.0\.0\.1:\d+, but not as a web server does", error)
    assert "check the port in --url" in error


@pytest.mark.parametrize("words", [["--version"], ["--help"]])
def test_version_and_help_import_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\nfrom cryosparc_tool.main import main\n"
        f"try:\n    main({words!r})\nfinally:\n"
        "    print(sorted({'torch', 'cv2', 'cryosparc.tools', 'scipy'} & set(sys.modules)))"
    )
    checkout = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
