"""Execution of a loss: sums over a picture's maps in tiles, or over several devices."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ExecutionPlan:
    """A way to execute a loss; all plans compute the same loss, with different memory, time and rounding.

    Attributes:
        remat: what the gradient recomputes instead of storing it, a key of `nst_jax.networks.convnet.REMAT`.
        tile: the longest side, in pixels, of what the network is run on at a time; 0 is the whole picture.
        devices: how many devices share the work.
    """

    remat: str = "none"
    tile: int = 0
    devices: int = 1


# The whole picture on one device; all maps are stored.
WHOLE = ExecutionPlan()
