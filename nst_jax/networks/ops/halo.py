"""Halos: the rows of a picture shared among devices, each of which borrows its neighbors' outermost rows of every map.

Each device holds as many rows of a map as every other one, one below the other, and computes the same rows of the next map.
For these it needs a few rows more, above and below its own: those it is sent, so that nothing is computed twice. The rows of
the last devices may lie beyond the picture; what is in them is never looked at.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from nst_jax.distributed import AXIS


class Rows(NamedTuple):
    """The distribution of the rows of a picture over devices.

    Attributes:
        devices: how many there are.
        heights: by name of a layer, how many rows its map has in all; "" is the picture.
    """

    devices: int
    heights: tuple[tuple[str, int], ...]

    def of(self, name: str) -> int:
        """The height of the map `name`."""
        return dict(self.heights)[name]


def halo(size: int, stride: int, margin: int) -> tuple[int, int]:
    """The numbers of rows above and below its own that a device needs for a window of `size` rows, on a map padded by `margin`.

    Example:
        >>> halo(3, 1, 1), halo(2, 2, 0), halo(11, 4, 2)
        ((1, 1), (0, 0), (2, 5))
    """
    return margin, size - stride - margin


def with_halo(
    x: Float[Array, "n h w c"], extent: tuple[int, int, int], *, padding: str, height: int, devices: int
) -> Float[Array, "n h2 w c"]:
    """A device's rows of a map with those above and below that it needs; beyond the borders of the picture, padding.

    To be called on all devices of the axis `AXIS` at once.

    Args:
        x: the device's rows.
        extent: of the window that is moved over the map: side, stride, and how far the map is padded.
        padding: a key of `nst_jax.networks.ops.PADDINGS`.
        height: of the whole map.
        devices: how many there are.
    """
    above, below = halo(*extent)
    if not above and not below:
        return x
    own, parts = x.shape[1], [x]
    if above:  # the first device gets zeros
        parts.insert(0, jax.lax.ppermute(x[:, own - above :], AXIS, [(i, i + 1) for i in range(devices - 1)]))
    if below:
        parts.append(jax.lax.ppermute(x[:, :below], AXIS, [(i + 1, i) for i in range(devices - 1)]))
    extended = jnp.concatenate(parts, axis=1)
    if padding == "zero" and own * devices == height:
        return extended
    return _padded(extended, jax.lax.axis_index(AXIS) * own - above, padding, height, above)


def _padded(
    x: Float[Array, "n h w c"], first: Int[Array, ""], padding: str, height: int, margin: int
) -> Float[Array, "n h w c"]:
    """The rows of a map from `first` on, those beyond its `height` being what it is padded with."""
    rows = first + jnp.arange(x.shape[1])
    if padding == "zero":
        return jnp.where(((rows >= 0) & (rows < height))[None, :, None, None], x, 0)
    mirrored = jnp.where(rows < 0, -rows, 2 * (height - 1) - rows) if padding == "reflect" and margin < height else rows
    source = jnp.where((rows >= 0) & (rows < height), rows, jnp.clip(mirrored, 0, height - 1))
    return jnp.take(x, jnp.clip(source - first, 0, x.shape[1] - 1), axis=1)
