"""Fixtures of the page's tests: a job, a server for it, and a real browser."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from inspect_job import Page, make_job

from relion_ganpick.inspect.report import write_report

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    "--hide-scrollbars",
)


@pytest.fixture
def job_folder(tmp_path: Path) -> Path:
    return make_job(tmp_path / "project")


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of a report, for tests that only look."""
    return write_report(make_job(tmp_path_factory.mktemp("report") / "project")).as_uri()


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Start ``ganpick inspect`` and give the page's address."""
    running: list[subprocess.Popen[str]] = []

    def start(folder: Path, *options: str) -> str:
        words = [sys.executable, "-m", "relion_ganpick.cli", "inspect", str(folder), "--port", "0", *options]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        running.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http" in line, line + process.stdout.read()
        return line.split()[-1]

    yield start
    for process in running:
        process.terminate()
        process.wait(60)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Debian's Chromium without a window, started once."""
    webdriver = pytest.importorskip("selenium.webdriver")
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("no browser (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}", "--window-size=1280,800"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        yield started
        started.quit()


@pytest.fixture
def page(chromium: Any) -> Iterator[Page]:
    for kind in ("browser", "performance"):
        chromium.get_log(kind)
    yield Page(chromium)
    chromium.execute_script("window.ganpick && (ganpick.done = [], ganpick.saved_selection = null)")
    chromium.get("about:blank")
