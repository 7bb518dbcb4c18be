"""Bokeh's parts of the page are recorded: they must be what Bokeh would make now, and hold only for that."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from relion_ganpick.inspect import recorded
from relion_ganpick.inspect.page import page_html
from relion_ganpick.inspect.recorded import made_with, record, recorded_parts

MAKE = "python -m relion_ganpick.inspect.parts"
COMPARE = (
    "from relion_ganpick.inspect.parts import make_parts; from relion_ganpick.inspect.recorded import numbered, recorded_parts;"
    "print(numbered(make_parts()) == recorded_parts())"
)


@pytest.fixture
def another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Record into this file, and not into the package."""
    path = tmp_path / "figures.json"
    monkeypatch.setattr(recorded, "_file", lambda: path)
    return path


def test_recorded_parts_are_those_that_bokeh_makes() -> None:
    found = recorded_parts()
    if found is None and version("bokeh") != "3.9.2":
        pytest.skip("another Bokeh than that of the record: the page is made without it")
    assert found is not None, f"the figures have changed: run {MAKE}"
    done = subprocess.run([sys.executable, "-c", COMPARE], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n", f"run {MAKE}"


def test_page_from_the_record_is_the_page_that_bokeh_makes(another_file: Path) -> None:
    from relion_ganpick.inspect.parts import make_parts

    parts = make_parts()
    assert record(parts) == another_file
    assert "Anaconda" not in another_file.read_text()  # whose libraries are read where they are installed
    found = recorded_parts()
    assert found is not None
    assert found == recorded.numbered(parts)
    assert "BEGIN bokeh.min.js" in found.libraries
    assert "Anaconda" in found.libraries


@pytest.mark.parametrize("what", ["bokeh", "code"])
def test_record_of_another_version_does_not_hold(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other: dict[str, Any] = made_with() | {what: "0"}
    monkeypatch.setattr(recorded, "made_with", lambda: other)
    assert recorded_parts() is None
    page = page_html("a title", {"job": {}})
    assert "<title>a title</title>" in page
    assert page.count("data-root-id=") == 7


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"made_with": 1}'])
def test_damaged_record_does_not_hold(text: str, another_file: Path) -> None:
    another_file.write_text(text)
    assert recorded_parts() is None
