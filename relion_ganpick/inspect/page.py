"""The page as one HTML file: Bokeh's figures, the page's own JavaScript and style, everything inline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from bokeh.document import Document
from bokeh.embed import file_html
from bokeh.models import CustomJS
from bokeh.resources import INLINE
from jinja2 import Environment

from relion_ganpick.inspect.figures import histogram_figure, micrograph_table, picture_figure, power_figure, series_figure

SCRIPTS = ("job", "selection", "editing", "show", "overview", "averages", "saving", "keys", "main")
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
    document = Document()
    for root in (
        micrograph_table(),
        picture_figure(),
        histogram_figure(),
        power_figure(),
        series_figure("picks", "picks"),
        series_figure("mean", "mean figure of merit"),
        series_figure("contaminated", "contaminated %"),
    ):
        document.add_root(root)
    document.title = title
    document.js_on_event("document_ready", CustomJS(code="ganpick.start()"))
    variables = {
        "policy": POLICY.format(connect="'self'" if data is None else "'none'"),
        "css": _file("page.css"),
        "data": {name.replace("/", "-"): as_json(value) for name, value in (data or {}).items()},
        "script": "\n".join(_file(f"{name}.js") for name in SCRIPTS),
    }
    template = Environment().from_string(_file("page.html"))
    html: str = file_html(document, INLINE, title, template=template, template_variables=variables)
    return html


def as_json(value: Any) -> str:
    """JSON that may stand in a page: no text in it can end a script."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _file(name: str) -> str:
    return files("relion_ganpick.inspect").joinpath("js", name).read_text(encoding="utf-8")
