"""Bokeh's parts of the page as they were once made, so that no run has to import Bokeh and to make them again.

The figures hold no data: the page's own JavaScript fills them. So they are the same in every page, as long as neither Bokeh's
version nor the code that makes them changes. Both are recorded, and where one of them is another, nothing recorded holds. Bokeh's
libraries are not recorded: they come from the Bokeh that is installed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

MADE_BY = ("figures.py", "parts.py")
_LIBRARY = re.compile(r"@library (bokeh[a-z-]*\.min\.js)@")
_NUMBER = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")


@dataclass(frozen=True)
class Parts:
    """What the page's template takes from Bokeh, as HTML.

    Attributes
    ----------
    css, libraries
        Bokeh's style and libraries.
    script
        The figures, and what puts them into their places.
    roots
        The places, by the figures' names.
    """

    css: str
    libraries: str
    script: str
    roots: Mapping[str, str]


def recorded_parts() -> Parts | None:
    """Give the parts that were recorded; None where Bokeh is missing or another one, or the figures have changed since."""
    try:
        content = json.loads(_file().read_text(encoding="utf-8"))
        if content["made_with"] != made_with():
            return None
        parts = Parts(**content["parts"])
        return replace(parts, libraries=_LIBRARY.sub(lambda found: _library(found[1]), parts.libraries))
    except (OSError, ValueError, LookupError, TypeError, PackageNotFoundError):
        return None


def record(parts: Parts) -> Path:
    """Take down parts that were made now, without the libraries, and with running numbers in place of random ones."""
    libraries = parts.libraries
    for path in _libraries().glob("bokeh*.min.js"):
        text = path.read_text(encoding="utf-8")
        libraries = libraries.replace(text, f"@library {path.name}@") if text else libraries
    content = {"made_with": made_with(), "parts": asdict(numbered(replace(parts, libraries=libraries)))}
    _file().write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return _file()


def numbered(parts: Parts) -> Parts:
    """Put running numbers in the place of Bokeh's random ones."""
    known: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        return known.setdefault(found[0], f"00000000-0000-4000-8000-{len(known):012d}")

    roots = {name: _NUMBER.sub(number, text) for name, text in parts.roots.items()}
    return replace(parts, roots=roots, script=_NUMBER.sub(number, parts.script))


def made_with() -> dict[str, str]:
    """Name what the parts depend on: Bokeh's version, and the code that makes them.

    Raises
    ------
    PackageNotFoundError
        If there is no Bokeh.
    """
    here = files("relion_ganpick.inspect")
    code = hashlib.sha256(b"".join(here.joinpath(name).read_bytes() for name in MADE_BY)).hexdigest()
    return {"bokeh": version("bokeh"), "code": code}


def _file() -> Path:
    return Path(str(files("relion_ganpick.inspect").joinpath("js", "figures.json")))


def _libraries() -> Path:
    """Folder of Bokeh's libraries; Bokeh is not imported for that."""
    found = find_spec("bokeh")
    if found is None or found.origin is None:
        raise LookupError("bokeh")
    return Path(found.origin).parent / "server" / "static" / "js"


def _library(name: str) -> str:
    return (_libraries() / name).read_text(encoding="utf-8")
