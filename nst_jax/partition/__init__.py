"""How a loss is executed: sums over a picture's maps by tiles, or over several devices."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ExecutionPlan:
    """How a loss is executed: another plan gives the same loss, with other memory, time and rounding.

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
