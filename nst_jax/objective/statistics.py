"""Measure: what the loss needs to know of feature maps, as sums over positions.

Sums over positions add up: over the tiles of a large picture, the shards on several devices, the regions of a mask. The
losses (`style`, `content`) see these sums only, never pixels.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class Moments(NamedTuple):
    """Sums over the positions of one feature map f: how many, Σ f, and Σ f fᵀ.

    Under a guide t in [0, 1], which says how much each position counts, they are Σ t, Σ t f and Σ t f fᵀ.
    """

    positions: Float[Array, ""]
    sum: Float[Array, " c"]
    product: Float[Array, "c c"]

    @property
    def channels(self) -> int:
        """The number of channels of f."""
        return self.sum.shape[0]


class SquaredError(NamedTuple):
    """Sums over the entries of F − P, two feature maps: how many there are, and Σ (F − P)²."""

    entries: Float[Array, ""]
    sum: Float[Array, ""]


class Statistics(NamedTuple):
    """Everything measured of one image, by layer name; of style for each region."""

    style: dict[str, tuple[Any, ...]]
    content: dict[str, SquaredError]


@jax.custom_jvp
def product_sum(f: Float[Array, "m c"]) -> Float[Array, "c c"]:
    """Σ f fᵀ over the rows of `f`: M times the Gram matrix over M (Gatys et al. 2016, eq. 3).

    Its gradient is one matrix product, f (D + Dᵀ), where that of a general product would be two.

    Example:
        >>> product_sum(jnp.array([[1.0, 2.0], [0.0, 1.0]])).tolist()
        [[1.0, 2.0], [2.0, 5.0]]
    """
    return _products(f.T, f)


@product_sum.defjvp
def _product_sum_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    half = _products(primals[0].T, tangents[0])
    return product_sum(*primals), half + half.T


def _products(a: Float[Array, "m k"], b: Float[Array, "k n"]) -> Float[Array, "m n"]:
    """`a @ b`, added up in float32 at least."""
    return jnp.matmul(a, b, precision="highest", preferred_element_type=_wide(a))


def _wide(a: Array) -> jnp.dtype:
    """The type that sums over `a` are made in: its own, but float32 for bfloat16."""
    return jnp.dtype("float32") if a.dtype == jnp.bfloat16 else a.dtype


def moments(feature_map: Float[Array, "n h w c"], guide: Float[Array, "n h w"] | None = None) -> Moments:
    """The sums of one feature map over all its positions (of all pictures of the batch), or as they count by a guide.

    Example:
        >>> m = moments(jnp.array([1.0, 3.0]).reshape(1, 1, 2, 1))
        >>> float(m.positions), float(m.sum[0]), float(m.product[0, 0])
        (2.0, 4.0, 10.0)
        >>> m = moments(jnp.array([1.0, 3.0]).reshape(1, 1, 2, 1), jnp.array([[[0.5, 0.0]]]))
        >>> float(m.positions), round(float(m.sum[0]), 6), round(float(m.product[0, 0]), 6)
        (0.5, 0.5, 0.5)
    """
    f = feature_map.reshape(-1, feature_map.shape[-1])
    wide = _wide(f)
    if guide is None:
        return Moments(jnp.asarray(f.shape[0], wide), f.sum(0, dtype=wide), product_sum(f))
    root = jnp.sqrt(guide.reshape(-1, 1)).astype(f.dtype)
    guided = root * f  # √t f: its products are t f fᵀ
    return Moments(total(guide), (root * guided).sum(0, dtype=wide), product_sum(guided))


def total(guide: Float[Array, "..."]) -> Float[Array, ""]:
    """How many positions a guide makes; of none a little, so that their mean is 0."""
    return jnp.maximum(guide.sum(), jnp.finfo(guide.dtype).tiny)


def squared_error(feature_map: Float[Array, "n h w c"], target: Float[Array, "n h w c"]) -> SquaredError:
    """The squared distance of a feature map from the content's, summed over positions and channels."""
    wide = _wide(feature_map)
    total = jnp.sum((feature_map.astype(wide) - target.astype(wide)) ** 2)
    return SquaredError(jnp.asarray(feature_map.size, wide), total)


def content_distance(e: SquaredError) -> Float[Array, ""]:
    """The content loss of one layer, ½ Σ_ij (F_ij − P_ij)² (Gatys et al. 2016, eq. 1). It grows with the picture.

    Example:
        >>> import jax.numpy as jnp
        >>> float(content_distance(SquaredError(jnp.array(8.0), jnp.array(6.0))))
        3.0
    """
    return e.sum / 2
