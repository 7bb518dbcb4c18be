"""README and pages: what they promise is in the code, and they stay short and plain."""

from __future__ import annotations

import argparse
import ast
import re
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from relion_ganpick.adaptation.options import AdaptOptions
from relion_ganpick.cli import make_parser
from relion_ganpick.core.settings import PickRequest, RunSettings
from relion_ganpick.version import __version__

CHECKOUT = Path(__file__).resolve().parent.parent
DOCS = CHECKOUT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *CHECKOUT.glob("*.md")])
LONGEST_SENTENCE = 34
README_LINES, README_WORDS = 150, 700


@cache
def texts_of_the_code() -> str:
    """All strings of the code, one a line, with an ellipsis where values are put in."""
    lines = []
    scripts = [path.read_text() for path in (CHECKOUT / "bin").iterdir()]
    for path in (path for folder in ("relion_ganpick", "cryosparc_tool") for path in (CHECKOUT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                lines.append("".join(part.value if isinstance(part, ast.Constant) else "..." for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                lines.append(node.value)
    return as_shown("\n".join(lines + scripts))


def as_shown(text: str) -> str:
    """A parameter in a message is shown as a flag on a command line and bare in a library: leave both signs away."""
    return re.sub(r"`|--", "", text)


def sentences(page: Path) -> list[str]:
    """Sentences of a page's prose: no tables, headings, code, and one for each item of a list."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    kept = [line for line in text.splitlines() if not re.match(r"\s*(\||#|!|<|:::|--8<--)", line)]
    blocks = re.split(r"\n\s*\n|\n\s*(?:[-*]|\d+\.)\s", "\n".join(kept))
    plain = [re.sub(r"\]\([^)]*\)", "]", " ".join(block.split())) for block in blocks]
    return [sentence for block in plain for sentence in re.split(r"(?<=[.!?:])\s+", block) if sentence]


def test_readme_is_short() -> None:
    text = (CHECKOUT / "README.md").read_text()
    assert len(text.splitlines()) <= README_LINES
    assert len(text.split()) <= README_WORDS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_sentences_are_short(page: Path) -> None:
    assert [sentence for sentence in sentences(page) if len(sentence.split()) > LONGEST_SENTENCE] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    assert [name for name in targets if "://" not in name and not (page.parent / name).exists()] == []


def test_every_option_is_in_the_tutorial() -> None:
    text = (DOCS / "relion.md").read_text()
    names = [each.name for settings in (PickRequest, RunSettings, AdaptOptions) for each in fields(settings)]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_every_command_is_in_the_table() -> None:
    (subparsers,) = (action for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction))
    listed = re.findall(r"^\| `ganpick ([a-z-]+)` \|", (DOCS / "shell.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(subparsers.choices)


def test_messages_in_the_troubleshooting_page_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| [^|]+ \| [^|]+ \|$", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
    assert len(rows) > 40
    parts = {as_shown(part).strip() for row in rows for part in row.split("...")}
    assert [part for part in sorted(parts) if part not in texts_of_the_code()] == []


def test_places_of_the_papers_parts_are_there() -> None:
    rows = re.findall(r"\| `([a-z_/]+\.py)`: ([^|]+)\|", (DOCS / "paper.md").read_text())
    assert len(rows) > 12
    for file, what in rows:
        code = (CHECKOUT / "relion_ganpick" / file).read_text()
        names = re.findall(r"`(\w+)`", what)
        assert [name for name in names if f"def {name}" not in code and f"class {name}" not in code] == [], file


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_benchmarks_know_the_options_that_pages_give(page: Path) -> None:
    known = "\n".join(path.read_text() for path in (CHECKOUT / "benchmarks").glob("*.py"))
    commands = re.findall(r"benchmarks/\w+\.py[^`\n|]*", page.read_text())
    options = {option for command in commands for option in re.findall(r"--\w+", command)}
    assert [option for option in sorted(options) if f'"{option}"' not in known] == []
    files = {name for command in commands for name in re.findall(r"benchmarks/\w+\.py", command)}
    assert [name for name in sorted(files) if not (CHECKOUT / name).is_file()] == []


def test_citation_names_this_version_and_the_paper() -> None:
    text = (CHECKOUT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (\S+)$", text, re.MULTILINE) == [__version__]
    assert re.findall(r"family-names: (\w+)", text) == ["Kong", "Li", "Liu", "Yan", "Gong"]


def test_changes_name_this_version() -> None:
    assert f"\n## {__version__} - " in (CHECKOUT / "CHANGELOG.md").read_text()
