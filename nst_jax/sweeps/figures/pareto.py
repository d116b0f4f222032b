"""The content against the style loss of a sweep's members, and the front: those that no other one beats in both."""

import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nst_jax.sweeps.folder import SweepFolder
from nst_jax.sweeps.grid import short_names, shown
from nst_jax.system.atomic_write import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colors of Okabe and Ito, which people who are color blind can tell apart.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# The list of members is drawn up to so many lines; the table has them all.
MOST_LINES = 50
Row = Mapping[str, Any]


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """The indices of the points that no other point beats: is as small in both coordinates, and smaller in one.

    Example:
        >>> front([(1.0, 5.0), (2.0, 3.0), (3.0, 4.0), (4.0, 1.0)])
        [0, 1, 3]
    """
    return [
        i
        for i, (x, y) in enumerate(points)
        if not any(a <= x and b <= y and (a < x or b < y) for j, (a, b) in enumerate(points) if j != i)
    ]


def draw_pareto(sweep: SweepFolder, rows: Sequence[Row], measures: Sequence[str | None], keys: Sequence[str]) -> bool:
    """Writes pareto.png: L_content and L_style without their weights, on logarithmic axes.

    Members whose losses are measured in different ways, with another network or other layers, have a front of their own.

    Args:
        sweep: where to.
        rows: as `table.rows_of` gives them.
        measures: of each row, as `table.measure_of` gives them.
        keys: the swept settings.

    Returns:
        Whether there was anything to draw: two members with both losses.
    """
    from matplotlib.figure import Figure  # takes a second to import

    groups: dict[str, list[Row]] = defaultdict(list)
    for row, measure in zip(rows, measures, strict=True):
        if measure is not None and (row.get("content_loss") or 0) > 0 and (row.get("style_loss") or 0) > 0:
            groups[measure].append(row)
    if sum(map(len, groups.values())) < 2:
        return False
    figure = Figure(figsize=(10, 6), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel="content loss (without its weight)", ylabel="style loss (without its weight)", xscale="log", yscale="log")
    axes.grid(which="major", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    common, names = _common(list(groups.values()), keys), short_names(list(keys))
    lines: list[str] = []
    for number, group in enumerate(groups.values()):
        title = _settings(group[0], common, names) or "members"
        _draw_group(axes, group, _COLORS[number % len(_COLORS)], title)
        others = [key for key in keys if key not in common]
        lines += [title, *(f"{row['member']}: {_settings(row, others, names)}" for row in group), ""]
    axes.set_title("lines and circles: the front, those that none beats in both", loc="left", fontsize=9)
    axes.legend(frameon=False, loc="best", fontsize="small")
    if len(lines) <= MOST_LINES:
        axes.text(1.02, 1, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=7.5, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    atomic_write(sweep.path / "pareto.png", buffer.getvalue())
    return True


def _common(groups: list[list[Row]], keys: Sequence[str]) -> list[str]:
    """The settings that tell the groups apart: one value within each, several over all."""
    single = [key for key in keys if all(len({row[key] for row in group}) == 1 for group in groups)]
    return [key for key in single if len({row[key] for group in groups for row in group}) > 1]


def _settings(row: Row, keys: Sequence[str], names: Mapping[str, str]) -> str:
    return ", ".join(f"{names[key]} {shown(row[key])}" for key in keys if row[key] is not None)


def _draw_group(axes: "Axes", group: list[Row], color: str, title: str) -> None:
    points = [(row["content_loss"], row["style_loss"]) for row in group]
    best = sorted(points[i] for i in front(points))
    axes.plot(*zip(*points, strict=True), "o", color=color, markersize=6, label=title)
    axes.plot(*zip(*best, strict=True), "-", color=color, linewidth=1.2, alpha=0.7)
    axes.plot(*zip(*best, strict=True), "o", color=color, markersize=11, fillstyle="none")
    for row, point in zip(group, points, strict=True):
        axes.annotate(str(row["member"]), point, xytext=(7, 5), textcoords="offset points", fontsize=8, color="0.25")
