"""The sliced Wasserstein distance: features compared through their sorted values along directions.

Sorting does not add up over tiles as the sums of `statistics` do: a map has to be there as a whole.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nst_jax.objective.statistics import total, wide

# The sorted values along a direction are kept as the means of so many parts of equal weight.
PARTS = 256


class Projections(NamedTuple):
    """The distribution of features along directions.

    Attributes:
        positions: how many features there are, or as many as a guide counts.
        directions: the columns.
        parts: for each direction, a column, the mean of each 1/`PARTS` of the sorted values v·f, from the least.
    """

    positions: Float[Array, ""]
    directions: Float[Array, "c d"]
    parts: Float[Array, "q d"]


def describe_projections(style: Float[Array, "n h w c"], guide: Float[Array, "n h w"] | None = None) -> Projections:
    """The projections of a style's feature map along random directions, uniform and always the same."""
    return projections(style, guide, jax.random.orthogonal(jax.random.key(0), style.shape[-1], dtype=wide(style)))


def projections(
    feature_map: Float[Array, "n h w c"], guide: Float[Array, "n h w"] | None, directions: Float[Array, "c d"]
) -> Projections:
    """The distribution of a feature map along directions; with a guide each position counts for as much as that says.

    Example:
        >>> row = jnp.arange(4.0 * PARTS).reshape(1, 1, -1, 1)
        >>> projections(row, None, jnp.eye(1)).parts[:2, 0].tolist()  # the means of 0, 1, 2, 3 and of 4, 5, 6, 7
        [1.5, 5.5]
    """
    f = feature_map.reshape(-1, feature_map.shape[-1])
    v = directions.astype(f.dtype)
    values = jnp.matmul(v.T, f.T, precision="highest", preferred_element_type=directions.dtype)
    order = jnp.argsort(jax.lax.stop_gradient(values))  # along rows: on processors in half the time of columns
    values = jnp.take_along_axis(values, order, axis=1)
    if guide is None:
        count = jnp.asarray(len(f), directions.dtype)
        return Projections(count, directions, jax.vmap(_even_part_means, out_axes=1)(values))
    counts = guide.reshape(-1).astype(values.dtype)
    return Projections(total(counts), directions, jax.vmap(_part_means, out_axes=1)(values, counts[order]))


def _even_part_means(values: Float[Array, " m"]) -> Float[Array, " q"]:
    """`_part_means` of values that count alike: where the parts begin is known before, and nothing is searched for."""
    middle = jax.lax.stop_gradient(values[len(values) // 2])
    places = np.arange(PARTS + 1) * (len(values) / PARTS)
    whole = np.minimum(places.astype(int), len(values) - 1)
    integral = jnp.concatenate([jnp.zeros(1, values.dtype), jnp.cumsum(values - middle)])
    at = integral[whole] + jnp.asarray(places - whole, values.dtype) * (values[whole] - middle)
    return middle + PARTS / len(values) * jnp.diff(at)


def _part_means(values: Float[Array, " m"], counts: Float[Array, " m"]) -> Float[Array, " q"]:
    """The mean of each 1/`PARTS` of sorted values that count so much: differences of the integral of the quantiles."""
    middle = jax.lax.stop_gradient(values[len(values) // 2])  # about it the integral keeps more digits than about 0
    shares = counts / total(counts)
    begin = jnp.zeros(1, values.dtype)
    ends = jnp.concatenate([begin, jnp.cumsum(shares)])
    integral = jnp.concatenate([begin, jnp.cumsum(shares * (values - middle))])
    levels = jnp.arange(PARTS + 1, dtype=values.dtype) / PARTS * ends[-1]
    return middle + PARTS * jnp.diff(jnp.interp(levels, ends, integral))


def blend_projections(
    styles: Sequence[Projections], shares: Sequence[Float[Array, ""] | float], _epsilon: float = 0.0
) -> Projections:
    """The barycenter along each direction, whose quantiles are the means of the styles' (Bonneel et al. 2015)."""
    parts = sum(share * style.parts for share, style in zip(shares, styles, strict=True))
    return styles[0]._replace(parts=jnp.asarray(parts))


def sliced_distance(found: Projections, target: Projections) -> Float[Array, ""]:
    """The mean over directions of the squared Wasserstein-2 distance of the values along them, by the means of their parts.

    With no more positions than parts it is the mean squared difference of the quantiles; more make it a lower bound, without
    what differs inside of a part. A shift of all features costs what it does in `wasserstein`. It sees the whole
    distribution along a direction, not its mean and variance alone, and takes a sort. The paper draws new directions at each
    step; here they stay, so that the loss is one function.

    Example:
        >>> row = jnp.arange(4.0).reshape(1, 1, 4, 1)
        >>> style = describe_projections(row)
        >>> float(sliced_distance(projections(row + 3, None, style.directions), style))
        9.0

    References:
        Heitz, Vanhoey, Chambon and Belcour, A Sliced Wasserstein Loss for Neural Texture Synthesis, 2021, arXiv:2006.07229.
        Bonneel, Rabin, Peyré and Pfister, Sliced and Radon Wasserstein Barycenters of Measures, 2015.
    """
    return jnp.mean((found.parts - target.parts) ** 2)
