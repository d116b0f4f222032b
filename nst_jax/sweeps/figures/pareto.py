"""The Pareto front of a sweep: content loss against style loss."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nst_jax.report import PALETTE, PARETO_AXES
from nst_jax.report.plots import new_axes, save_figure
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.sweeps.grid import describe, short_names
from nst_jax.sweeps.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The most lines of the list of members; the table has them all.
MOST_LINES = 50
Row = Mapping[str, Any]


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """The indices of the points that no other point dominates: is no larger in both coordinates, and smaller in one.

    Example:
        >>> front([(1.0, 5.0), (2.0, 3.0), (3.0, 4.0), (4.0, 1.0)])
        [0, 1, 3]
    """
    return [
        i
        for i, (x, y) in enumerate(points)
        if not any(a <= x and b <= y and (a < x or b < y) for j, (a, b) in enumerate(points) if j != i)
    ]


def draw_pareto(sweep: SweepFolder, table: Table) -> bool:
    """Writes pareto.png: the content and style loss without their weights, on logarithmic axes.

    Members whose losses are measured differently, with another network or other layers, have a front of their own. Nothing is
    drawn if there are fewer than two members with both losses, or if the pictures vary.

    Returns:
        Whether the file was written.
    """
    groups = table.fronts()
    if not groups:
        return False
    figure, axes = new_axes((10.0, 6.0), PARETO_AXES, xscale="log", yscale="log")
    common, names = _common(groups, table.keys), short_names(table.keys)
    lines: list[str] = []
    for number, group in enumerate(groups):
        title = describe(group[0], common, names) or "members"
        _draw_group(axes, group, PALETTE[number % len(PALETTE)], title)
        others = [key for key in table.keys if key not in common]
        lines += [title, *(f"{row['member']}: {describe(row, others, names)}" for row in group), ""]
    axes.set_title("Pareto front highlighted", loc="left", fontsize=9)
    axes.legend(frameon=False, loc="best", fontsize="small")
    if len(lines) <= MOST_LINES:
        axes.text(1.02, 1, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=7.5, parse_math=False)
    save_figure(sweep.path / "pareto.png", figure)
    return True


def _common(groups: Sequence[Sequence[Row]], keys: Sequence[str]) -> list[str]:
    """The settings that differ between the groups but not within any."""
    single = [key for key in keys if all(len({row[key] for row in group}) == 1 for group in groups)]
    return [key for key in single if len({row[key] for group in groups for row in group}) > 1]


def _draw_group(axes: "Axes", group: Sequence[Row], color: str, title: str) -> None:
    points = [(row["content_loss"], row["style_loss"]) for row in group]
    best = sorted(points[i] for i in front(points))
    axes.plot(*zip(*points, strict=True), "o", color=color, markersize=6, label=title)
    axes.plot(*zip(*best, strict=True), "-", color=color, linewidth=1.2, alpha=0.7)
    axes.plot(*zip(*best, strict=True), "o", color=color, markersize=11, fillstyle="none")
    for row, point in zip(group, points, strict=True):
        axes.annotate(str(row["member"]), point, xytext=(7, 5), textcoords="offset points", fontsize=8, color="0.25")
