"""Figures as PNG, drawn by Matplotlib."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst_jax.report import LOSS_AXES, loss_curves, scale_starts
from nst_jax.system.atomic_write import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_losses(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Plots the loss and its terms over the steps on a logarithmic scale, with the changes of scale marked.

    Args:
        path: the PNG file to write.
        rows: as from `RunFolder.read_metrics`.

    Raises:
        InputError: the file is not writable.
    """
    figure, axes = new_axes((9.0, 5.0), LOSS_AXES, yscale="log")
    steps = [row["step"] for row in rows]
    for curve in loss_curves(rows):
        marker = "o" if len(rows) == 1 else None
        axes.plot(steps, curve.values, color=curve.color, linewidth=curve.width, marker=marker, label=curve.name)
    if axes.lines:
        axes.legend(frameon=False, ncols=len(axes.lines), loc="lower right", bbox_to_anchor=(1, 1.02))
    for number, (step, size) in enumerate(scale_starts(rows)):
        if number:
            axes.axvline(step, color="0.6", linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        at: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "xytext": (4, -3), "textcoords": "offset points"}
        axes.annotate(f"{size} px", (step, 1), **at, va="top", fontsize="small", color="0.35")
    save_figure(path, figure)


def new_axes(inches: tuple[float, float], labels: tuple[str, str], **options: Any) -> "tuple[Figure, Axes]":
    """An empty figure in the style of all figures, with `labels` for x and y and further properties of the axes."""
    from matplotlib.figure import Figure  # takes a second to import, which the first step must not wait for

    figure = Figure(figsize=inches, dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=labels[0], ylabel=labels[1], **options)
    axes.grid(which="major", color="0.88")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save_figure(path: Path, figure: "Figure") -> None:
    """Writes a figure as PNG. Raises InputError if the file is not writable."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi="figure")
    atomic_write(path, buffer.getvalue())
