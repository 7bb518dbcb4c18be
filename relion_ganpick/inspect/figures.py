"""Figures, table and tools of the page, in Bokeh. They hold no data: the page's own JavaScript fills them."""

from __future__ import annotations

import numpy as np
from bokeh.models import (
    ColumnDataSource,
    CustomJS,
    DataTable,
    HoverTool,
    HTMLTemplateFormatter,
    LinearColorMapper,
    NumberFormatter,
    PanTool,
    PointDrawTool,
    Range1d,
    Span,
    TableColumn,
    TapTool,
)
from bokeh.models.tools import BoxSelectTool
from bokeh.palettes import Plasma256
from bokeh.plotting import figure as make_figure
from bokeh.transform import linear_cmap

BY_HAND, ADDED, REMOVED, DROPPED, MEMBER = "#00e5ff", "#2ee66b", "#ff4d4d", "#c9ced6", "#ff9bf5"
INK, QUIET, ACCENT = "#1d2733", "#9aa7b5", "#d9480f"
FILL_ALPHA = 0.55


def picture_figure() -> make_figure:
    """Make the micrograph in grey with contamination over it and circles on top, rows downwards as in RELION's Display."""
    plot = make_figure(
        name="picture",
        x_range=Range1d(0, 1),
        y_range=Range1d(1, 0),
        tools="wheel_zoom,box_zoom,reset",
        active_scroll="wheel_zoom",
        toolbar_location=None,
        sizing_mode="stretch_both",
        output_backend="canvas",
        background_fill_color="#0b0f14",
        border_fill_color="#0b0f14",
        outline_line_color=None,
        min_border=0,
        x_axis_location=None,
        y_axis_location=None,
    )
    plot.grid.visible = False
    grey = LinearColorMapper(palette="Greys256", low=0, high=255, name="grey")
    veil = LinearColorMapper(palette=[f"#ff7a1a{k:02x}" for k in range(0, 200, 2)], low=0, high=255)
    for name, mapper in (("image", grey), ("veil", veil)):
        source = ColumnDataSource(_no_image(), name=name)
        plot.image("image", "x", "y", "dw", "dh", source=source, color_mapper=mapper, name=f"{name}_glyph")
    empty = {name: np.empty(0) for name in ("x", "y", "score", "radius", "power", "label")}
    for name, colour, width, alpha in (
        ("dropped", DROPPED, 1.0, 0.6),
        ("removed", REMOVED, 2.5, 0.95),
        ("added", ADDED, 2.5, 0.95),
    ):
        plot.circle(
            "x",
            "y",
            radius="radius",
            source=ColumnDataSource(dict(empty), name=name),
            fill_alpha=0,
            line_color=colour,
            line_width=width,
            line_alpha=alpha,
            name=f"{name}_circles",
        )
    colours = linear_cmap("score", Plasma256[64:], 0.0, 1.0, low_color=BY_HAND)
    picks = plot.circle(
        "x",
        "y",
        radius="radius",
        source=ColumnDataSource(dict(empty), name="picks"),
        fill_alpha=0,
        line_color=colours,
        line_width=1.8,
        name="picks_circles",
        nonselection_line_alpha=1.0,
        nonselection_fill_alpha=0,
        selection_line_color="white",
        selection_line_width=3,
        selection_fill_alpha=0,
        hover_line_color="white",
        hover_fill_alpha=0,
    )
    plot.circle(
        "x",
        "y",
        radius="radius",
        source=ColumnDataSource(dict(empty), name="members"),
        fill_color=MEMBER,
        fill_alpha=0.35,
        line_color=MEMBER,
        line_width=3,
        name="members_circles",
    )
    dropped = plot.select_one({"name": "dropped_circles"})
    tips = "<b>@label</b>&nbsp; x @x{0}, y @y{0}"
    plot.add_tools(
        HoverTool(renderers=[picks, dropped], tooltips=tips, name="hover"),
        PointDrawTool(renderers=[picks], name="draw"),
        PanTool(name="pan"),
    )
    plot.toolbar.active_drag = plot.select_one({"name": "pan"})
    for name in ("inner_width", "inner_height"):
        plot.js_on_change(name, CustomJS(code="window.ganpick && ganpick.fit()"))
    return plot


def histogram_figure() -> make_figure:
    """Figures of merit of this micrograph over those of all, with a line to drag for the threshold."""
    plot = _small("histogram", "figure of merit", "picks per micrograph")
    source = ColumnDataSource({name: np.empty(0) for name in ("left", "right", "all", "this")}, name="bars")
    plot.quad(left="left", right="right", bottom=0, top="all", source=source, fill_color="#c3ccd6", line_color=None)
    plot.step(x="right", y="this", source=source, line_color=ACCENT, line_width=1.6, mode="before")
    _handle(plot, "threshold_line", "height", "threshold")
    plot.js_on_event("tap", CustomJS(code="ganpick.choose({threshold: cb_obj.x})"))
    return plot


def power_figure() -> make_figure:
    """Figure of merit against local power, with a line to drag for each end of the power."""
    plot = _small("power", "figure of merit", "local power")
    empty = {name: np.empty(0) for name in ("x", "y")}
    plot.scatter("x", "y", source=ColumnDataSource(dict(empty), name="cloud"), size=2, color=QUIET, alpha=0.35)
    plot.scatter("x", "y", source=ColumnDataSource(dict(empty), name="cloud_here"), size=4, color=ACCENT, alpha=0.8)
    _handle(plot, "threshold_line_2", "height", "threshold")
    _handle(plot, "power_low", "width", "power_low")
    _handle(plot, "power_high", "width", "power_high")
    return plot


def series_figure(name: str, label: str) -> make_figure:
    """One quantity of every micrograph against order or defocus; a click goes there, a drag selects."""
    plot = _small(f"series_{name}", "", label)
    source = ColumnDataSource({each: [] for each in ("x", "y", "index", "colour", "name")}, name=f"points_{name}")
    points = plot.scatter(
        "x",
        "y",
        source=source,
        size=5,
        color="colour",
        alpha=0.75,
        nonselection_alpha=0.25,
        selection_alpha=1.0,
        selection_color=ACCENT,
    )
    here = ColumnDataSource({"x": np.empty(0), "y": np.empty(0)}, name=f"here_{name}")
    plot.scatter("x", "y", source=here, size=11, fill_alpha=0, line_color=INK, line_width=2)
    select = BoxSelectTool(renderers=[points], name="select", dimensions="both")
    tap = TapTool(renderers=[points])
    plot.add_tools(select, tap, HoverTool(renderers=[points], tooltips="@name: @y{0.00}", point_policy="snap_to_data"))
    plot.toolbar.active_drag, plot.toolbar.active_tap = select, tap
    source.selected.js_on_change("indices", CustomJS(code=f"ganpick.points_selected({name!r})"))
    return plot


def micrograph_table() -> DataTable:
    """List of micrographs, coloured by their state."""
    names = ("index", "name", "picks", "mean", "contaminated", "defocus", "colour", "weight", "tip")
    source = ColumnDataSource({name: [] for name in names}, name="rows")
    named = HTMLTemplateFormatter(
        template='<span title="<%= tip %>" style="color:<%= colour %>;font-weight:<%= weight %>"><%= value %></span>'
    )
    known = {"text_align": "right", "nan_format": "", "null_format": ""}
    table = DataTable(
        source=source,
        name="table",
        columns=[
            TableColumn(field="name", title="micrograph", formatter=named, width=112),
            TableColumn(field="picks", title="picks", formatter=NumberFormatter(format="0", **known), width=40),
            TableColumn(field="mean", title="merit", formatter=NumberFormatter(format="0.00", **known), width=40),
            TableColumn(field="contaminated", title="dirt", formatter=NumberFormatter(format="0", **known), width=32),
            TableColumn(field="defocus", title="µm", formatter=NumberFormatter(format="0.0", **known), width=30),
        ],
        sizing_mode="stretch_both",
        index_position=None,
        sortable=False,
        reorderable=False,
        selectable=True,
        autosize_mode="none",
        row_height=22,
        stylesheets=[
            ".slick-cell{font-size:12px;padding:1px 4px}.slick-header-column{font-size:11px;padding:2px 4px;background:#eef1f4}"
            ".slick-cell.selected{background:#ffe8d9}"
        ],
    )
    source.selected.js_on_change("indices", CustomJS(code="ganpick.row_selected()"))
    return table


def _small(name: str, x_label: str, y_label: str) -> make_figure:
    plot = make_figure(
        name=name,
        tools="",
        toolbar_location=None,
        sizing_mode="stretch_both",
        x_axis_label=x_label,
        y_axis_label=y_label,
        x_range=Range1d(0, 1),
        y_range=Range1d(0, 1),
        min_border=2,
        outline_line_color=None,
        background_fill_color=None,
        border_fill_color=None,
    )
    plot.grid.grid_line_color = "#e6eaee"
    plot.axis.axis_label_text_font_size = "11px"
    plot.axis.axis_label_text_font_style = "normal"
    plot.axis.axis_label_text_color = INK
    plot.axis.axis_label_standoff = 2
    plot.axis.major_label_text_font_size = "10px"
    plot.axis.minor_tick_line_color = None
    plot.axis.axis_line_color = QUIET
    plot.axis.major_tick_line_color = QUIET
    return plot


def _handle(plot: make_figure, name: str, dimension: str, what: str) -> None:
    """Add a line that can be dragged; the page hears of it."""
    line = Span(
        location=0,
        dimension=dimension,
        name=name,
        editable=True,
        line_color=INK,
        line_width=3,
        hover_line_color=ACCENT,
        hover_line_width=4,
        level="overlay",
    )
    line.js_on_change("location", CustomJS(code=f"ganpick.dragged({what!r}, cb_obj.location)"))
    plot.add_layout(line)


def _no_image() -> dict[str, object]:
    return {"image": [np.zeros((1, 1), np.uint8)], "x": [0.0], "y": [0.0], "dw": [1.0], "dh": [1.0]}
