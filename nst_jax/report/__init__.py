"""Pages, figures and videos of run folders; here what figures show, as PNG (`plots`) and in browsers (`charts`)."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from nst_jax.runs.folder import loss_terms

# Colors of Okabe and Ito, safe for color-blind readers; the sum is gray. All are seen on white as on black.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
SUM_COLOR, SUM_WIDTH, WIDTH = "#7A7F88", 2.6, 1.6
LOSS_AXES = ("step", "loss (weighted terms)")
PARETO_AXES = ("content loss (unweighted)", "style loss (unweighted)")


class Curve(NamedTuple):
    """A term of the loss over the steps; NaN leaves a gap."""

    name: str
    color: str
    width: float
    values: list[float]


def loss_curves(rows: Sequence[Mapping[str, Any]]) -> list[Curve]:
    """The loss and its terms, without those that are never `drawable`."""
    names = dict.fromkeys(term for row in rows for term in loss_terms(row))  # later frames of a film have a term more
    colors = {name: PALETTE[number % len(PALETTE)] for number, name in enumerate(name for name in names if name != "loss")}
    curves = [
        Curve(name, colors.get(name, SUM_COLOR), WIDTH if name in colors else SUM_WIDTH, [drawable(row, name) for row in rows])
        for name in names
    ]
    return [curve for curve in curves if not all(map(math.isnan, curve.values))]


def drawable(row: Mapping[str, Any], term: str) -> float:
    """A term on a logarithmic axis; NaN if it has no logarithm, or is below a millionth of the loss, which is rounding.

    Example:
        >>> drawable({"loss": 2.0, "content": 1e-13}, "content"), drawable({"loss": 2.0, "tv": 0.5}, "tv")
        (nan, 0.5)
    """
    value, loss = row.get(term), row.get("loss")
    return float(value) if isinstance(value, int | float) and value > 1e-6 * (loss or 0) else math.nan


def scale_starts(rows: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """The step at which each scale begins, and its size; empty if there is one scale only."""
    changes = [(before["step"], after["size"]) for before, after in pairwise(rows) if before["scale"] != after["scale"]]
    return [(rows[0]["step"], rows[0]["size"]), *changes] if changes else []
