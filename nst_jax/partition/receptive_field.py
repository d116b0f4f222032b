"""Receptive fields, from the table of an architecture alone, and guides: the share of a region in what each unit sees."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Array, Float

from nst_jax.networks.architectures import ARCHITECTURES, extent, names_of
from nst_jax.networks.convnet import layer_names
from nst_jax.networks.ops import pad
from nst_jax.networks.ops.pooling import average_pool


class Field(NamedTuple):
    """The receptive fields of a map along one side: position i sees `size` pixels from `start + i * stride` on.

    Attributes:
        start: in pixels; negative where the first position sees padding.
        size: in pixels.
        stride: in pixels.
    """

    start: int
    size: int
    stride: int

    def window(self, first: int, number: int) -> tuple[int, int]:
        """The first pixel that `number` positions from `first` on see, and the first one beyond.

        Example:
            >>> Field(-1, 3, 2).window(1, 2)
            (1, 6)
        """
        start = self.start + first * self.stride
        return start, start + (number - 1) * self.stride + self.size


def deepest_stride(architecture: str, taps: Sequence[str]) -> int:
    """The distance in pixels between positions of the deepest of some maps.

    Example:
        >>> deepest_stride("vgg19", ("relu1_1", "relu3_1"))
        4
    """
    return max(receptive_field(architecture, tap).stride for tap in taps)


def receptive_field(architecture: str, layer: str) -> Field:
    """The receptive field of a layer's positions.

    Example:
        >>> receptive_field("vgg19", "relu2_1"), receptive_field("alexnet", "relu5")
        (Field(start=-4, size=10, stride=2), Field(start=-66, size=163, stride=16))
    """
    start, size, stride = 0, 1, 1
    passed = {*layer_names(architecture)[: layer_names(architecture).index(layer) + 1]}
    for part in ARCHITECTURES[architecture]:
        if names_of(part)[0] not in passed:
            break
        side, step, margin = extent(part)
        start, size, stride = start - margin * stride, size + (side - 1) * stride, stride * step
    return Field(start, size, stride)


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
