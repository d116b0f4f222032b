"""Guides: how much of what a unit of the network sees lies within a region of the picture."""

from collections.abc import Sequence

from jaxtyping import Array, Float

from nst_jax.networks.architectures import ARCHITECTURES, extent, names_of
from nst_jax.networks.ops.padding import pad
from nst_jax.networks.ops.pooling import average_pool


def guides(mask: Float[Array, "n h w 1"], taps: Sequence[str], architecture: str) -> dict[str, Float[Array, "n _h _w 1"]]:
    """For each tapped layer, at each of its positions, the share in [0, 1] of the mask in what the unit there sees.

    The mask goes through the geometry of the network: each convolution and each pooling takes the mean of its window, over
    the same windows. So a unit's receptive field counts more in its middle, which more paths lead from, as in the network.
    Beyond the border the mask goes on as it is at the border.

    Args:
        mask: in [0, 1], at the size of the picture; several at once are a batch.
        taps: layer names.
        architecture: a key of `ARCHITECTURES`.

    Example:
        >>> import jax.numpy as jnp
        >>> left = jnp.array([1.0, 1.0, 0.0, 0.0]).reshape(1, 1, 4, 1)
        >>> [round(float(t), 2) for t in guides(left, ["conv1_1"], "vgg19")["conv1_1"].ravel()]
        [1.0, 0.67, 0.33, 0.0]

    References:
        Gatys et al., Controlling Perceptual Factors in Neural Style Transfer, 2017, arXiv:1611.07865, sec. 4 (guidance
        channels; there resized, or 0 or 1 by whether the receptive field meets the region).
    """
    found: dict[str, Float[Array, "n _h _w 1"]] = {}
    x = mask
    for layer in ARCHITECTURES[architecture]:
        size, stride, margin = extent(layer)
        x = average_pool(pad(x, margin, "replicate"), size, stride)
        found |= {name: x for name in names_of(layer) if name in taps}
        if len(found) == len(set(taps)):
            break
    return found
