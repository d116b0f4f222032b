"""Charts for the report, as Bokeh draws them in a browser; the only module that imports Bokeh, and does so when asked."""

import base64
import gzip
import math
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from nst_jax.report.plots import drawable
from nst_jax.runs.folder import loss_terms

if TYPE_CHECKING:
    from bokeh.plotting import figure

# Seen on white as on black, and told apart by people who are color blind; terms beyond the known ones take the rest.
_COLORS = {"loss": "#8a8f98", "content": "#3a8fd6", "style": "#e8702a", "tv": "#1fa187"}
_OTHER_COLORS = ("#b565c9", "#c9a227", "#d6537b", "#6b7fd7")
_GROUP_COLORS = (_COLORS["content"], _COLORS["style"], _COLORS["tv"], *_OTHER_COLORS)
# Texts and lines take the colors of the page, light or dark.
_STYLE = """:host {
  --bk-background-fill-color: transparent; --bk-border-fill-color: transparent;
  --bk-major-label-text-color: var(--muted); --bk-axis-label-text-color: var(--muted);
  --bk-grid-line-color: var(--line); --bk-axis-line-color: var(--line); --bk-outline-line-color: transparent;
  --bk-major-tick-line-color: var(--line); --bk-minor-tick-line-color: var(--line);
}"""


@cache
def bokeh_script() -> str:
    """Bokeh's program for browsers, as base64 of its gzip form: 0.47 instead of 1.27 megabytes."""
    from bokeh.resources import Resources

    (code,) = Resources(mode="inline", components=["bokeh"]).js_raw[:1]
    return base64.b64encode(gzip.compress(code.encode(), 9, mtime=0)).decode()


def loss_chart(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The loss and its weighted terms against the step: zoomed by dragging, read by pointing, terms hidden by a click.

    Args:
        rows: as `RunFolder.read_metrics` gives them.

    Returns:
        What `Bokeh.embed.embed_item` takes. Its data source is named "rows". None if there is nothing to draw: a loss of 0.
    """
    from bokeh.models import ColumnDataSource, HoverTool, Span

    terms = _term_colors(rows)
    if not terms:
        return None
    plot = _figure(x_axis_label="step", y_axis_label="loss (weighted terms)", y_axis_type="log", height=380)
    source = ColumnDataSource(columns(rows), name="rows")
    lines: list[Any] = [
        plot.line("step", term, source=source, color=color, line_width=3 if term == "loss" else 2, legend_label=term)
        for term, color in terms
    ]
    shown = [("step", "@step of scale @size px"), *((term, f"@{{{term}}}{{0.000e}}") for term, _ in terms)]
    plot.add_tools(HoverTool(renderers=lines[:1], mode="vline", tooltips=[*shown, ("seconds", "@seconds{0.0}")]))
    for before, after in pairwise(rows):
        if before["scale"] != after["scale"]:
            plot.add_layout(Span(location=before["step"], dimension="height", line_color="#8a8f98", line_dash="dashed"))
    _put_legend_above(plot)
    return _embedded(plot)


def columns(rows: Sequence[Mapping[str, Any]], of: slice = slice(None)) -> dict[str, list[Any]]:
    """The rows by column, as the chart takes them; what a logarithm cannot show is NaN.

    Args:
        rows: all of them, which say what terms there are.
        of: those whose values are given.

    >>> row = {"step": 1, "scale": 0, "size": 16, "seconds": 0.5, "loss": 2.0}
    >>> columns([row, row | {"loss": 0.0}])["loss"]
    [2.0, nan]
    """
    terms = [term for term, _ in _term_colors(rows)]
    plain = {key: [row[key] for row in rows[of]] for key in ("step", "size", "seconds")}
    return plain | {term: [drawable(row, term) for row in rows[of]] for term in terms}


def pareto_chart(members: Sequence[Mapping[str, Any]], fronts: Sequence[Sequence[int]]) -> dict[str, Any]:
    """The style loss of each member of a sweep against its content loss; a click opens the member's report.

    Args:
        members: with "content", "style", "title", "thumbnail" (an address), "link", and the number of their "group".
        fronts: of each group those to be joined by a line, by their number in `members`.
    """
    from bokeh.models import ColumnDataSource, HoverTool, OpenURL, TapTool

    plot = _figure(x_axis_label="content loss", y_axis_label="style loss", x_axis_type="log", y_axis_type="log", height=440)
    colors = [_GROUP_COLORS[number % len(_GROUP_COLORS)] for number in range(len(fronts))]
    for color, front in zip(colors, fronts, strict=True):
        best = sorted((members[i] for i in front), key=lambda member: member["content"])
        plot.step([m["content"] for m in best], [m["style"] for m in best], mode="after", color=color, line_width=2)
    data = {key: [member[key] for member in members] for key in ("content", "style", "title", "thumbnail", "link")}
    source = ColumnDataSource({**data, "color": [colors[member["group"]] for member in members]}, name="members")
    points = plot.scatter("content", "style", source=source, size=12, color="color", line_color="white")
    picture = "<img src='@thumbnail' alt='' style='max-width:150px;display:block'>"
    text = "<b>@title</b><br>content @content{0.000e}<br>style @style{0.000e}"
    tooltips = f"<div style='color:#222;max-width:220px'>{picture}{text}</div>"
    plot.add_tools(HoverTool(renderers=[points], tooltips=tooltips), TapTool(callback=OpenURL(url="@link", same_tab=True)))
    return _embedded(plot)


def _figure(**options: Any) -> "figure":
    from bokeh.plotting import figure

    tools: dict[str, Any] = {"tools": "pan,box_zoom,wheel_zoom,reset,save", "active_drag": "box_zoom"}
    plot = figure(sizing_mode="stretch_width", toolbar_location="below", **tools, **options)
    plot.toolbar.logo = None
    plot.stylesheets.append(_STYLE)
    return plot


def _put_legend_above(plot: "figure") -> None:
    legend = plot.legend[0]
    legend.update(click_policy="hide", orientation="horizontal", background_fill_alpha=0, border_line_alpha=0, margin=0)
    legend.stylesheets.append(".bk-label { color: var(--text) !important }")  # it looks at no variable of its own
    plot.center.remove(legend)
    plot.add_layout(legend, "above")


def _embedded(plot: "figure") -> dict[str, Any]:
    from bokeh.embed import json_item

    return dict(json_item(plot))


def _term_colors(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The terms that have a value that can be drawn, each with its color."""
    others = iter(_OTHER_COLORS * len(rows[0]))
    terms = [(term, _COLORS.get(term) or next(others)) for term in loss_terms(rows[0])]
    return [(term, color) for term, color in terms if any(not math.isnan(drawable(row, term)) for row in rows)]
