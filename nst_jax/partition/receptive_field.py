"""Receptive fields, computed from the table of an architecture alone."""

from collections.abc import Sequence
from typing import NamedTuple

from nst_jax.networks.architectures import ARCHITECTURES, extent, names_of
from nst_jax.networks.convnet import layer_names


class Field(NamedTuple):
    """What the positions of a map see along one side: position i sees `size` pixels from `start + i * stride` on.

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
    """How many pixels the positions of the deepest of some maps are apart.

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
