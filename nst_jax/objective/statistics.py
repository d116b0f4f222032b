"""Measure: what the loss needs to know of feature maps, as sums over positions.

Sums over positions add up: over the tiles of a large picture, the shards on several devices, the regions of a mask. The
losses (`style`, `content`) see these sums only, never pixels.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nst_jax.types import Features


class Moments(NamedTuple):
    """Sums over the positions of one feature map f: how many, Σ f, and Σ f fᵀ."""

    positions: Float[Array, ""]
    sum: Float[Array, " c"]
    product: Float[Array, "c c"]


class SquaredError(NamedTuple):
    """Sums over the entries of F − P, two feature maps: how many positions and channels, and Σ (F − P)²."""

    positions: Float[Array, ""]
    channels: Float[Array, ""]
    sum: Float[Array, ""]


class Statistics(NamedTuple):
    """Everything measured of one image, by layer name."""

    style: dict[str, Moments]
    content: dict[str, SquaredError]


@jax.custom_vjp
def product_sum(f: Float[Array, "m c"]) -> Float[Array, "c c"]:
    """Σ f fᵀ over the rows of `f`: M times the Gram matrix over M (Gatys et al. 2016, eq. 3).

    Its derivative is one matrix product, f (D + Dᵀ), where the derivative of a general product would be two.

    Example:
        >>> product_sum(jnp.array([[1.0, 2.0], [0.0, 1.0]])).tolist()
        [[1.0, 2.0], [2.0, 5.0]]
    """
    return f.T @ f


product_sum.defvjp(lambda f: (f.T @ f, f), lambda f, d: (f @ (d + d.T),))


def moments(feature_map: Float[Array, "n h w c"]) -> Moments:
    """The sums of one feature map over all its positions (of all pictures of the batch).

    Example:
        >>> m = moments(jnp.array([1.0, 3.0]).reshape(1, 1, 2, 1))
        >>> float(m.positions), float(m.sum[0]), float(m.product[0, 0])
        (2.0, 4.0, 10.0)
    """
    f = feature_map.reshape(-1, feature_map.shape[-1])
    return Moments(jnp.asarray(f.shape[0], f.dtype), f.sum(0), product_sum(f))


def squared_error(feature_map: Float[Array, "n h w c"], target: Float[Array, "n h w c"]) -> SquaredError:
    """The squared distance of a feature map from the content's, summed over positions and channels."""
    positions = feature_map.size // feature_map.shape[-1]
    like = feature_map.dtype
    total = jnp.sum((feature_map - target) ** 2)
    return SquaredError(jnp.asarray(positions, like), jnp.asarray(feature_map.shape[-1], like), total)


def measure(features: Features, content: Features, style_layers: tuple[str, ...]) -> Statistics:
    """The statistics of an image from its feature maps.

    Args:
        features: the image's maps, at least at the content's and the style's layers.
        content: the content picture's maps at the content layers.
        style_layers: where style is measured.
    """
    return Statistics(
        style={name: moments(features[name]) for name in style_layers},
        content={name: squared_error(features[name], target) for name, target in content.items()},
    )
