"""The sliced Wasserstein distance as sums over positions: what share of the features lies below each of some levels.

Along a direction v, the values v·f of two sets of features are as far apart as their sorted values. Sorting does not add up
over tiles or regions, but this does: for each bin between two neighboring quantiles of the style, Σ t clip(upper − v·f, 0,
width), which is the integral over the bin of how many values lie below. The distance is exact up to the width of the bins.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nst_jax.objective.statistics import total

# Bins of a direction: each holds this part of the style's values.
BINS = 16


class Quantiles(NamedTuple):
    """For each direction v, a column, the style's values v·f at the levels 0, 1/BINS, ... 1."""

    directions: Float[Array, "c c"]
    values: Float[Array, "k c"]


class Below(NamedTuple):
    """Sums over positions: how many; for each bin and direction the integral of the number of values below; squares beyond."""

    positions: Float[Array, ""]
    integral: Float[Array, "b c"]
    beyond: Float[Array, " c"]

    @property
    def channels(self) -> int:
        """The number of channels, and of directions."""
        return self.beyond.shape[0]


def directions(channels: int) -> Float[Array, "c c"]:
    """As many orthogonal directions as there are channels, always the same random ones."""
    return jax.random.orthogonal(jax.random.key(0), channels)


def quantiles(feature_map: Float[Array, "n h w c"], guide: Float[Array, "n h w"] | None = None) -> Quantiles:
    """The quantiles of a style's features, counted by a guide, along the directions."""
    v = directions(feature_map.shape[-1])
    values = _along(feature_map, v)
    weight = jnp.ones(values.shape[0]) if guide is None else guide.reshape(-1)
    order = jnp.argsort(values, axis=0)
    ranks = jnp.cumsum(weight[order], axis=0) - weight[order] / 2
    levels = jnp.linspace(0, 1, BINS + 1) * total(weight)
    read = jax.vmap(lambda rank, value: jnp.interp(levels, rank, value), in_axes=1, out_axes=1)
    return Quantiles(v, read(ranks, jnp.take_along_axis(values, order, axis=0)))


def blend_quantiles(styles: Sequence[Quantiles], shares: Sequence[Float[Array, ""] | float]) -> Quantiles:
    """The barycenter along each direction: the mean of the quantiles."""
    values = jnp.asarray(sum(share * style.values for share, style in zip(shares, styles, strict=True)))
    return Quantiles(styles[0].directions, values)


def below(feature_map: Float[Array, "n h w c"], guide: Float[Array, "n h w"] | None, target: Quantiles) -> Below:
    """The sums of an image's features in the bins of the target."""
    values = _along(feature_map, target.directions)
    weight = jnp.ones((values.shape[0], 1), values.dtype) if guide is None else guide.reshape(-1, 1)
    lower, upper = target.values[:-1], target.values[1:]
    inside = jnp.clip(upper[None] - values[:, None], 0, (upper - lower)[None])
    beyond = jnp.maximum(target.values[:1] - values, 0) ** 2 + jnp.maximum(values - target.values[-1:], 0) ** 2
    return Below(total(weight), jnp.sum(weight[:, None] * inside, 0), jnp.sum(weight * beyond, 0))


def sliced_distance(found: Below, target: Quantiles) -> Float[Array, ""]:
    """The mean over directions of the squared Wasserstein-2 distance of the values along them.

    ∫ (F⁻¹ − G⁻¹)² = 2 ∫ dx ∫ from G(x) to F(x) of (G⁻¹(u) − x) du, F being the share of the image's values below x and G
    that of the style, whose G⁻¹ is linear between its quantiles. In a bin F is its mean there. Values beyond all of the
    style's count by their squared distance from its nearest. There are as many directions as channels, always the same ones,
    where the paper draws new ones at each step: the loss stays one function.

    Example:
        >>> style = Quantiles(jnp.eye(1), jnp.linspace(0.0, 1.0, BINS + 1)[:, None])
        >>> image = jnp.full((1, 1, 4, 1), 0.5)  # all of them in the middle of the style's 0 to 1: ∫ (u − ½)² du = 1/12
        >>> round(float(sliced_distance(below(image, None, style), style)), 2)
        0.08

    References:
        Heitz, Vanhoey, Chambon and Belcour, A Sliced Wasserstein Loss for Neural Texture Synthesis, 2021, arXiv:2006.07229.
    """
    width = jnp.diff(target.values, axis=0)
    share = found.integral / (found.positions * jnp.maximum(width, jnp.finfo(width.dtype).tiny))
    middle = ((jnp.arange(BINS, dtype=share.dtype) + 0.5) / BINS)[:, None]
    at_middle = (target.values[:-1] + target.values[1:]) / 2
    excess = _antiderivative(target.values, share) - _antiderivative(target.values, jnp.broadcast_to(middle, share.shape))
    inside = 2 * jnp.sum(width * (excess - at_middle * (share - middle)), 0)
    return jnp.mean(inside + found.beyond / found.positions)


def _antiderivative(values: Float[Array, "k c"], level: Float[Array, "b c"]) -> Float[Array, "b c"]:
    """∫ from 0 to each level of G⁻¹, which is linear between `values` at the levels 0, 1/BINS, ... 1."""
    steps = (values[:-1] + values[1:]) / (2 * BINS)
    whole = jnp.concatenate([jnp.zeros_like(steps[:1]), jnp.cumsum(steps, 0)])
    index = jnp.clip(jnp.floor(level * BINS).astype(jnp.int32), 0, BINS - 1)
    rest = level * BINS - index.astype(level.dtype)
    start, end = (jnp.take_along_axis(values, index + i, axis=0) for i in (0, 1))
    return jnp.take_along_axis(whole, index, axis=0) + (start * rest + (end - start) * rest**2 / 2) / BINS


def _along(feature_map: Float[Array, "n h w c"], v: Float[Array, "c c"]) -> Float[Array, "m c"]:
    f = feature_map.reshape(-1, feature_map.shape[-1])
    return jnp.matmul(f, v.astype(f.dtype), precision="highest", preferred_element_type=v.dtype)
