"""The description of a job, which decides its picture, and its input pictures."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nst_jax.images.masks import Mask
from nst_jax.objective.loss import Objective
from nst_jax.objective.temporal import Reference
from nst_jax.optimize.solver import SolverSpec
from nst_jax.partition import ExecutionPlan
from nst_jax.types import Pixels

# Initial images, besides a picture of the user ("file").
INITS = ("recolored", "content", "style", "noise", "adain")


@dataclass(frozen=True)
class Scale:
    """One stage of coarse to fine: the longer side in pixels, and the number of steps (evaluations of the loss)."""

    size: int
    steps: int


@dataclass(frozen=True)
class JobSpec:
    """Everything that decides the result, except the input pictures and the network's parameters.

    Attributes:
        objective: the structure of the loss.
        loss_weights: its multipliers, as plain numbers.
        solver: how it is minimized.
        scales: coarse to fine; each continues from the upsampled state of the one before.
        style_scales: each style's longer side over the content's; one for all, or one each. Styles are never enlarged.
        style_shares: by layer, and there by region, the share of each style; see `nst_jax.objective.loss.Styles`.
        init: the initial image: "recolored" (the content in the colors of its styles), "content", "style",
            "noise", "adain" (see `nst_jax.runner.prepare.preview`) or "file".
        seed: of the noise.
        color: whose colors the result has, one of `nst_jax.images.color.COLORS`.
        plan_settings: the fields of `ExecutionPlan` that are not chosen by the free memory.
        plans: how each scale is executed; () is chosen when its programs are compiled.
        repeatable: whether programs leave out operations of a GPU that give other bits each time.
    """

    objective: Objective
    loss_weights: Any
    solver: SolverSpec
    scales: tuple[Scale, ...]
    style_scales: tuple[float, ...] = (1.0,)
    style_shares: dict[str, Any] = field(default_factory=dict)
    init: str = "recolored"
    seed: int = 0
    color: str = "style"
    plan_settings: dict[str, Any] = field(default_factory=dict)
    plans: tuple[ExecutionPlan, ...] = ()
    repeatable: bool = False


class Inputs(NamedTuple):
    """The pictures of a job; sRGB in [0, 1], of any sizes.

    Attributes:
        content: the scene of the result.
        styles: the texture and colors of the result.
        init: the initial image, for `JobSpec.init == "file"`.
        masks: the regions of the content, see `nst_jax.images.masks.regions_at`; () is one that covers everything.
        style_masks: for each style, the part of it that counts, or None for all of it; () is None for each.
        reference: of the temporal term, at the size of the only scale.
    """

    content: Pixels
    styles: tuple[Pixels, ...]
    init: Pixels | None = None
    masks: tuple[Mask | None, ...] = ()
    style_masks: tuple[Mask | None, ...] = ()
    reference: Reference | None = None
