"""The page as one HTML file: Bokeh's figures, the page's own JavaScript and style, everything inline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment

from relion_ganpick.inspect.recorded import Parts, recorded_parts

FIRST = "job"
SCRIPTS = ("selection", "editing", "show", "overview", "averages", "saving", "keys", "main")
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
    "font-src data:; connect-src {connect}; base-uri 'none'; form-action 'none'"
)
"""What a browser lets the page do. Bokeh compiles its callbacks; nothing is fetched but from the page's own server."""


def page_html(title: str, data: Mapping[str, Any] | None = None) -> str:
    """Make the page.

    Parameters
    ----------
    title
        What the browser's window is called.
    data
        Answers that a server would give, by address; None for a page that asks its server.
    """
    parts = recorded_parts() or _parts()
    page: str = (
        Environment(loader=DictLoader({"page": _file("page.html")}))
        .get_template("page")
        .render(
            title=title,
            policy=POLICY.format(connect="'self'" if data is None else "'none'"),
            css=_file("page.css"),
            data={name.replace("/", "-"): as_json(value) for name, value in (data or {}).items()},
            first=_file(f"{FIRST}.js"),
            script="\n".join(_file(f"{name}.js") for name in SCRIPTS),
            bokeh_css=parts.css,
            bokeh_js=parts.libraries,
            roots=parts.roots,
            plot_script=parts.script,
        )
    )
    return page


def as_json(value: Any) -> str:
    """JSON that may stand in a page: no text in it can end a script."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _parts() -> Parts:
    """Have Bokeh make its parts; it takes seconds to import and to make them."""
    from relion_ganpick.inspect.parts import make_parts

    return make_parts()


def _file(name: str) -> str:
    return files("relion_ganpick.inspect").joinpath("js", name).read_text(encoding="utf-8")
