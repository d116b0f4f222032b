"""Interactive charts of the report pages, drawn by Bokeh, which is imported when first needed."""

import base64
import gzip
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from nst_jax.report import LOSS_AXES, PALETTE, PARETO_AXES, SUM_COLOR, loss_curves, scale_starts

if TYPE_CHECKING:
    from bokeh.plotting import figure

# Text and lines take the colors of the page, light or dark.
_STYLE = """:host {
  --bk-background-fill-color: transparent; --bk-border-fill-color: transparent;
  --bk-major-label-text-color: var(--muted); --bk-axis-label-text-color: var(--muted);
  --bk-grid-line-color: var(--line); --bk-axis-line-color: var(--line); --bk-outline-line-color: transparent;
  --bk-major-tick-line-color: var(--line); --bk-minor-tick-line-color: var(--line);
}"""


@cache
def bokeh_script() -> str:
    """BokehJS, gzipped, as base64: 0.47 instead of 1.27 megabytes."""
    from bokeh.resources import Resources

    (code,) = Resources(mode="inline", components=["bokeh"]).js_raw[:1]
    return base64.b64encode(gzip.compress(code.encode(), 9, mtime=0)).decode()


def loss_chart(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The loss and its weighted terms over the steps: drag to zoom, hover to read values, click a name to hide its curve.

    Args:
        rows: as from `RunFolder.read_metrics`.

    Returns:
        The argument of `Bokeh.embed.embed_item`, whose data source is named "rows"; None if no value can be drawn.
    """
    from bokeh.models import ColumnDataSource, HoverTool, Span

    curves = loss_curves(rows)
    if not curves:
        return None
    plot = _figure(LOSS_AXES, y_axis_type="log", height=380)
    data: Any = columns(rows)
    source = ColumnDataSource(data, name="rows")
    lines: list[Any] = [
        plot.line("step", curve.name, source=source, color=curve.color, line_width=curve.width, legend_label=curve.name)
        for curve in curves
    ]
    shown = [("step", "@step of scale @size px"), *((curve.name, f"@{{{curve.name}}}{{0.000e}}") for curve in curves)]
    plot.add_tools(HoverTool(renderers=lines[:1], mode="vline", tooltips=[*shown, ("seconds", "@seconds{0.0}")]))
    for step, _ in scale_starts(rows)[1:]:
        plot.add_layout(Span(location=step, dimension="height", line_color=SUM_COLOR, line_dash="dashed"))
    _put_legend_above(plot)
    return _embedded(plot)


def columns(rows: Sequence[Mapping[str, Any]], of: slice = slice(None)) -> dict[str, list[Any]]:
    """The data of the loss chart by column; values without a logarithm are NaN.

    Args:
        rows: all of them, which determine the terms.
        of: the rows whose values are returned.

    >>> row = {"step": 1, "scale": 0, "size": 16, "seconds": 0.5, "loss": 2.0}
    >>> columns([row, row | {"loss": 0.0}])["loss"]
    [2.0, nan]
    """
    plain = {key: [row[key] for row in rows[of]] for key in ("step", "size", "seconds")}
    return plain | {curve.name: curve.values[of] for curve in loss_curves(rows)}


def pareto_chart(members: Sequence[Mapping[str, Any]], fronts: Sequence[Sequence[int]]) -> dict[str, Any]:
    """The style loss of each member of a sweep over its content loss; a click opens the report of the member.

    Args:
        members: with "content", "style", "title", "thumbnail" (a URI), "link", and the number of their "group".
        fronts: of each group the indices in `members` of its Pareto front.
    """
    from bokeh.models import ColumnDataSource, HoverTool, OpenURL, TapTool

    plot = _figure(PARETO_AXES, x_axis_type="log", y_axis_type="log", height=440)
    colors = [PALETTE[number % len(PALETTE)] for number in range(len(fronts))]
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


def _figure(labels: tuple[str, str], **options: Any) -> "figure":
    from bokeh.plotting import figure

    tools: dict[str, Any] = {"tools": "pan,box_zoom,wheel_zoom,reset,save", "active_drag": "box_zoom"}
    axes = {"x_axis_label": labels[0], "y_axis_label": labels[1]}
    plot = figure(sizing_mode="stretch_width", toolbar_location="below", **tools, **axes, **options)
    plot.toolbar.logo = None
    plot.stylesheets.append(_STYLE)
    return plot


def _put_legend_above(plot: "figure") -> None:
    legend = plot.legend[0]
    legend.update(click_policy="hide", orientation="horizontal", background_fill_alpha=0, border_line_alpha=0, margin=0)
    legend.stylesheets.append(".bk-label { color: var(--text) !important }")  # it has no variable of its own
    plot.center.remove(legend)
    plot.add_layout(legend, "above")


def _embedded(plot: "figure") -> dict[str, Any]:
    from bokeh.embed import json_item

    return dict(json_item(plot))
