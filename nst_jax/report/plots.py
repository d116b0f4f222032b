"""The loss curves of a run as a picture."""

import io
import math
from collections.abc import Mapping, Sequence
from itertools import cycle, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst_jax.runs.folder import loss_terms
from nst_jax.system.atomic_write import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colors of Okabe and Ito, which people who are color blind can tell apart; the sum is drawn black and thick.
_COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def plot_losses(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draws the loss and its terms against the step, on a logarithmic scale, with the changes of scale marked.

    Values that are not `drawable` leave a gap; a term without any other value is left out.

    Args:
        path: the PNG file to write.
        rows: as `RunFolder.read_metrics` gives them.

    Raises:
        InputError: if the file cannot be written.
    """
    from matplotlib.figure import Figure  # takes a second to import, which the first step must not wait for

    figure = Figure(figsize=(9, 5), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel="step", ylabel="loss (weighted terms)", yscale="log")
    axes.grid(which="major", color="0.88")
    axes.spines[["top", "right"]].set_visible(False)
    _draw_curves(axes, rows)
    _mark_scales(axes, rows)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    atomic_write(path, buffer.getvalue())


def drawable(row: Mapping[str, Any], term: str) -> float:
    """A term as a logarithmic axis shows it; NaN if it has no logarithm, or is less than a millionth of the loss: rounding.

    Example:
        >>> drawable({"loss": 2.0, "content": 1e-13}, "content"), drawable({"loss": 2.0, "tv": 0.5}, "tv")
        (nan, 0.5)
    """
    value, loss = row.get(term), row.get("loss")
    return float(value) if isinstance(value, int | float) and value > 1e-6 * (loss or 0) else math.nan


def _draw_curves(axes: "Axes", rows: Sequence[Mapping[str, Any]]) -> None:
    steps = [row["step"] for row in rows]
    for key, color in zip(loss_terms(rows[0]) if rows else (), cycle(_COLORS)):
        values = [drawable(row, key) for row in rows]
        if any(value > 0 for value in values):
            marker = "o" if len(rows) == 1 else None
            axes.plot(steps, values, color=color, linewidth=2.2 if key == "loss" else 1.4, marker=marker, label=key)
    if axes.lines:
        axes.legend(frameon=False, ncols=len(axes.lines), loc="lower right", bbox_to_anchor=(1, 1.02))


def _mark_scales(axes: "Axes", rows: Sequence[Mapping[str, Any]]) -> None:
    changes = [(before["step"], after["size"]) for before, after in pairwise(rows) if before["scale"] != after["scale"]]
    starts = [(rows[0]["step"], rows[0]["size"]), *changes] if changes else []
    for number, (step, size) in enumerate(starts):
        if number:
            axes.axvline(step, color="0.6", linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        axes.annotate(
            f"{size} px", (step, 1), xycoords=("data", "axes fraction"), xytext=(4, -3), textcoords="offset points",
            va="top", fontsize="small", color="0.35",
        )  # fmt: skip
