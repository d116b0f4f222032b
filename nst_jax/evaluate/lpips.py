"""LPIPS, the Learned Perceptual Image Patch Similarity: a distance of pictures calibrated on people's judgments."""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

from nst_jax.types import Features

# Where it looks, by network; the heads have this order.
LAYERS = {
    "alexnet": tuple(f"relu{i}" for i in range(1, 6)),
    "vgg16": ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"),
}


def unit_length(feature_map: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """Every position's vector of channels over its length (plus 1e-10).

    Example:
        >>> unit_length(jnp.array([3.0, 4.0]).reshape(1, 1, 1, 2)).ravel().tolist()
        [0.6000000238418579, 0.800000011920929]
    """
    return feature_map / (jnp.sqrt(jnp.sum(feature_map**2, -1, keepdims=True)) + 1e-10)


def lpips(maps: Features, other: Features, heads: Mapping[str, Float[Array, " _c"]]) -> Float[Array, " n"]:
    """Σ_l 1/(H_l W_l) Σ_hw Σ_c w_lc (ŷ_lhwc − ŷ'_lhwc)² of two batches, ŷ the features scaled to unit length.

    Symmetric; 0 for equal pictures, about 0.1 for a slight blur and 0.7 for unrelated ones.

    Args:
        maps: the features at the layers of `heads`.
        other: those of the pictures to compare with.
        heads: layer -> the weight of each channel, >= 0.

    References:
        Zhang, Isola, Efros, Shechtman and Wang, The Unreasonable Effectiveness of Deep Features as a Perceptual Metric,
        CVPR 2018, arXiv:1801.03924, eq. 1 (with w in place of its w²: the released heads are non-negative).
    """
    parts = [
        jnp.mean(jnp.matmul((unit_length(maps[name]) - unit_length(other[name])) ** 2, weights, precision="highest"), (1, 2))
        for name, weights in heads.items()
    ]
    return jnp.sum(jnp.stack(parts), 0)
