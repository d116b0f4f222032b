"""Measure: what the loss needs to know of feature maps, as sums over positions.

Sums over positions add up: over the tiles of a large picture, the shards on several devices, the regions of a mask. The
losses (`style`, `content`) see these sums only, never pixels.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float


class Moments(NamedTuple):
    """Sums over the positions of one feature map f: how many, Σ f, and Σ f fᵀ.

    Under a guide t in [0, 1], which says how much each position counts, they are Σ t, Σ t f and Σ t f fᵀ.
    """

    positions: Float[Array, ""]
    sum: Float[Array, " c"]
    product: Float[Array, "c c"]


class SquaredError(NamedTuple):
    """Sums over the entries of F − P, two feature maps: how many there are, and Σ (F − P)²."""

    entries: Float[Array, ""]
    sum: Float[Array, ""]


class Statistics(NamedTuple):
    """Everything measured of one image, by layer name; of style for each region."""

    style: dict[str, tuple[Any, ...]]
    content: dict[str, SquaredError]


@jax.custom_jvp
def product_sum(f: Float[Array, "m c"], guide: Float[Array, "m 1"] | None = None) -> Float[Array, "c c"]:
    """Σ t f fᵀ over the rows of `f`, with t = 1 or a guide: M times the Gram matrix over M (Gatys et al. 2016, eq. 3).

    Its gradient by f is one matrix product, t f (D + Dᵀ), where that of a general product would be two.

    Example:
        >>> product_sum(jnp.array([[1.0, 2.0], [0.0, 1.0]])).tolist()
        [[1.0, 2.0], [2.0, 5.0]]
    """
    f = f if guide is None else jnp.sqrt(guide) * f
    return _products(f.T, f)


@functools.partial(product_sum.defjvp, symbolic_zeros=True)
def _product_sum_jvp(primals: tuple[Array, Array | None], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    (f, guide), (df, dguide) = primals, tangents
    root = 1 if guide is None else jnp.sqrt(guide)
    parts = []
    if not isinstance(df, SymbolicZero):
        half = _products((root * f).T, root * df)
        parts.append(half + half.T)
    if guide is not None and not isinstance(dguide, SymbolicZero):
        parts.append(_products(f.T, dguide * f))
    return product_sum(f, guide), sum(parts[1:], parts[0])


def _products(a: Float[Array, "m k"], b: Float[Array, "k n"]) -> Float[Array, "m n"]:
    """`a @ b`, summed in float32 at least."""
    return jnp.matmul(a, b, precision="highest", preferred_element_type=wide(a))


def wide(a: Array) -> jnp.dtype:
    """The dtype of sums over `a`: its own, but at least float32."""
    return a.dtype if a.dtype.itemsize >= 4 else jnp.dtype("float32")


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
    if guide is None:
        return Moments(jnp.asarray(f.shape[0], wide(f)), f.sum(0, dtype=wide(f)), product_sum(f))
    t = guide.reshape(-1, 1).astype(f.dtype)
    return Moments(total(guide), (t * f).sum(0, dtype=wide(f)), product_sum(f, t))


# The positions of a guide that has fewer: the mean of none is 0, and its gradient finite.
FEWEST_POSITIONS = 1e-6


def total(guide: Float[Array, "..."]) -> Float[Array, ""]:
    """The number of positions that a guide makes up, at least `FEWEST_POSITIONS`."""
    return jnp.maximum(guide.sum(dtype=wide(guide)), FEWEST_POSITIONS)


def squared_error(feature_map: Float[Array, "n h w c"], target: Float[Array, "n h w c"]) -> SquaredError:
    """The squared distance of a feature map from the content's, summed over positions and channels."""
    dtype = wide(feature_map)
    total = jnp.sum((feature_map.astype(dtype) - target.astype(dtype)) ** 2)
    return SquaredError(jnp.asarray(feature_map.size, dtype), total)


def content_distance(e: SquaredError) -> Float[Array, ""]:
    """The content loss of one layer, ½ Σ_ij (F_ij − P_ij)² (Gatys et al. 2016, eq. 1). It grows with the picture.

    Example:
        >>> import jax.numpy as jnp
        >>> float(content_distance(SquaredError(jnp.array(8.0), jnp.array(6.0))))
        3.0
    """
    return e.sum / 2
