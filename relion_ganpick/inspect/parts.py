"""Bokeh's parts of the page: what its figures and its libraries become in HTML.

    python -m relion_ganpick.inspect.parts

records them in the package, see `inspect.recorded`. That is to be done when the figures change, or Bokeh's version.
"""

from __future__ import annotations

import json

from bokeh.document import Document
from bokeh.embed import file_html
from bokeh.models import CustomJS
from bokeh.resources import INLINE
from jinja2 import Environment

from relion_ganpick.inspect.figures import histogram_figure, micrograph_table, picture_figure, power_figure, series_figure
from relion_ganpick.inspect.recorded import Parts, record

TITLE = "ganpick"
TEMPLATE = """{% from macros import embed %}{"css": {{ bokeh_css | tojson }}, "libraries": {{ bokeh_js | tojson }},
"script": {{ plot_script | tojson }}, "roots": {
{% for root in roots %}{{ root.name | tojson }}: {{ embed(root) | tojson }}{{ "" if loop.last else "," }}{% endfor %}}}"""


def make_parts() -> Parts:
    """Make the figures, and turn them into HTML."""
    document = Document()
    roots = (
        micrograph_table(),
        picture_figure(),
        histogram_figure(),
        power_figure(),
        series_figure("picks", "picks"),
        series_figure("mean", "mean figure of merit"),
        series_figure("contaminated", "contaminated %"),
    )
    with document.models.freeze():  # else each root is looked through anew for every one that joins it
        for root in roots:
            document.add_root(root)
    document.title = TITLE
    document.js_on_event("document_ready", CustomJS(code="ganpick.start()"))
    return Parts(**json.loads(file_html(document, INLINE, TITLE, template=Environment().from_string(TEMPLATE))))


if __name__ == "__main__":
    print(record(make_parts()))
