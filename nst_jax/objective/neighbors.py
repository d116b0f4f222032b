"""The nearest-neighbor distance: every position of an image is compared with the style vector that is most like it.

With the style's vectors given it is a mean over positions, so that it adds up over tiles, shards and regions.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from nst_jax.objective.statistics import total, wide
from nst_jax.objective.wasserstein import EPSILON

# The number of vectors that are kept of a layer of a style.
VECTORS = 2048
# r² over the variance of a style: what is nearer to the mean than a hundredth of the spread counts as equal.
SHARE = 1e-4
# Positions that are searched for at a time: their cosines stay in a processor's cache.
POSITIONS = 128


class Bag(NamedTuple):
    """Vectors of a style's feature map, as directions.

    Attributes:
        mean: of all features of the map.
        radius: r, with r² = `SHARE` times their mean squared distance from the mean, plus ε per channel.
        vectors: (f − mean, r) of the positions drawn, each divided by its length.
    """

    mean: Float[Array, " c"]
    radius: Float[Array, ""]
    vectors: Float[Array, "k c+1"]


class Bags(NamedTuple):
    """What an image is compared with: the vectors of each style, and its share."""

    shares: tuple[Float[Array, ""], ...]
    bags: tuple[Bag, ...]


class Mismatch(NamedTuple):
    """Sums over the positions of a feature map: how many there are, and Σ 1 − cos; under a guide t, Σ t and Σ t (1 − cos)."""

    positions: Float[Array, ""]
    sum: Float[Array, ""]


def describe_bag(style: Float[Array, "n h w c"], guide: Float[Array, "n h w"] | None = None) -> Bag:
    """`VECTORS` vectors of a style's feature map, drawn evenly over its positions, as they count by a guide.

    The counts are added up row by row, and a position is drawn wherever that sum passes one of as many equally spaced levels:
    always the same positions, each at least once if they are fewer. So programs do not depend on the size of a style.

    Example:
        >>> row = jnp.array([3.0, 5.0]).reshape(1, 1, 2, 1)
        >>> bag = describe_bag(row)
        >>> float(bag.mean[0]), round(float(bag.radius), 2), bag.vectors[:: VECTORS // 2].round().tolist()
        (4.0, 0.01, [[-1.0, 0.0], [1.0, 0.0]])
    """
    f = style.reshape(-1, style.shape[-1]).astype(wide(style))
    counts = jnp.ones_like(f[:, 0]) if guide is None else guide.reshape(-1).astype(f.dtype)
    mean = jnp.sum(counts[:, None] * f, 0) / total(counts)
    variance = jnp.sum(counts * jnp.sum((f - mean[None]) ** 2, -1)) / total(counts)
    radius = jnp.sqrt(SHARE * variance + EPSILON * f.shape[1])
    ends = jnp.cumsum(counts)
    levels = (jnp.arange(VECTORS, dtype=f.dtype) + 0.5) * (ends[-1] / VECTORS)
    drawn = jnp.minimum(jnp.searchsorted(ends, levels, side="right"), len(f) - 1)
    return Bag(mean, radius, _directions(f[drawn], mean, radius))


def _raised(f: Float[Array, "m c"], mean: Float[Array, " c"], radius: Float[Array, ""]) -> Float[Array, "m c+1"]:
    """The features from the mean, with the radius as a further coordinate."""
    return jnp.concatenate([f - mean[None], jnp.broadcast_to(radius, (len(f), 1))], 1)


def _directions(f: Float[Array, "m c"], mean: Float[Array, " c"], radius: Float[Array, ""]) -> Float[Array, "m c+1"]:
    raised = _raised(f, mean, radius)
    return raised * jax.lax.rsqrt(jnp.sum(raised**2, -1, keepdims=True))


def blend_bags(styles: Sequence[Bag], shares: Sequence[Float[Array, ""] | float], _epsilon: float = 0.0) -> Bags:
    """All bags: a position is compared with its nearest vector in each, and the distances are mixed by the shares."""
    return Bags(tuple(jnp.asarray(share, bag.mean.dtype) for share, bag in zip(shares, styles, strict=True)), tuple(styles))


def mismatch(feature_map: Float[Array, "n h w c"], guide: Float[Array, "n h w"] | None, target: Bags) -> Mismatch:
    """How far the positions of a map are from the nearest vectors of the styles; with a guide, as they count by it."""
    f = feature_map.reshape(-1, feature_map.shape[-1]).astype(wide(feature_map))
    far = jnp.zeros_like(f[:, 0])
    for share, bag in zip(target.shares, target.bags, strict=True):
        found = _directions(f, bag.mean, bag.radius)
        searched = jax.lax.stop_gradient(found)
        nothing = jnp.zeros(len(f), jnp.int32)
        nearest = jax.lax.cond(share > 0, lambda f, v: _nearest(f, v), lambda f, v, n=nothing: n, searched, bag.vectors)
        far += share * jnp.sum((found - bag.vectors[nearest]) ** 2, -1) / 2  # 1 − cos, exact where that is small
    if guide is None:
        return Mismatch(jnp.asarray(len(f), far.dtype), far.sum())
    t = guide.reshape(-1).astype(far.dtype)
    return Mismatch(total(t), jnp.sum(t * far))


def _nearest(f: Float[Array, "m d"], vectors: Float[Array, "k d"]) -> Int[Array, " m"]:
    """The number of the vector with the largest cosine, for each row.

    By a maximum and a comparison, which are vectorized on processors: an argmax there takes four times as long.
    """
    numbers = jnp.arange(len(vectors), dtype=jnp.int32)

    def some(rows: Float[Array, "p d"]) -> Int[Array, " p"]:
        cosines = jnp.matmul(rows, vectors.T, precision="highest")
        return jnp.where(cosines >= cosines.max(-1, keepdims=True), numbers[None], len(vectors) - 1).min(-1)

    rows = jnp.pad(f, [(0, -len(f) % POSITIONS), (0, 0)]).reshape(-1, POSITIONS, f.shape[1])
    return jax.lax.map(some, rows).reshape(-1)[: len(f)]


def neighbor_distance(found: Mismatch, target: Bags) -> Float[Array, ""]:
    """The mean over positions p of 1 − cos(a_p, b_p), with b_p the vector of the style for which it is the least; in [0, 2].

    a = (f − μ, r): features from the style's mean μ, with a small r as a further coordinate. It is the centered cosine distance
    of Kolkin et al. (last stage of their optimization), but for r, without which directions would be noise where f is μ. With
    r as large as the spread contrast counts, too, and pictures turn gray (experiments/017-neighbors). μ is the style's for
    both, where they center each set on its own mean, so that the sum adds up over tiles. Matches are made anew at each
    evaluation, and have no gradient.

    References:
        Kolkin, Kucera, Paris, Sykora, Shechtman and Shakhnarovich, Neural Neighbor Style Transfer, 2022, arXiv:2203.13215.
        Li and Wand, Combining Markov Random Fields and Convolutional Neural Networks for Image Synthesis, 2016.
    """
    return found.sum / found.positions
