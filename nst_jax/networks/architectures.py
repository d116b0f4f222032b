"""The tables of layers of the networks.

References:
    Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2015, arXiv:1409.1556.
    Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014, arXiv:1404.5997 ("alexnet").
    Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional Neural Networks, 2012 ("alexnet2012").
    Jia et al., Caffe, 2014, arXiv:1408.5093 ("bvlc_alexnet", and "caffenet", which pools before it normalizes).
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

from nst_jax.errors import InputError


class Conv(NamedTuple):
    """A convolution `conv<name>` followed by `relu<name>` or `tanh<name>`: kernel side, stride and margin in pixels.

    A dense layer `fc<name>` is one whose kernel covers the map: at the size that the network was made for it has one position.

    Attributes:
        groups: parts of equal numbers of channels, each of which sees its own part of the input only.
        kind: "conv" or "fc".
        activation: what follows, "relu", "tanh", or nothing: "".
        dropout: share of the channels set to 0 in training.
        bias: where training starts.
        std: standard deviation of the kernel where training starts; 0 is He's.
    """

    name: str
    features: int
    size: int = 3
    stride: int = 1
    margin: int = 1
    groups: int = 1
    kind: str = "conv"
    activation: str = "relu"
    dropout: float = 0.0
    bias: float = 0.0
    std: float = 0.0


class Pool(NamedTuple):
    """A pooling layer `pool<name>`: window and stride in pixels; windows overlap where the stride is less."""

    name: str
    window: int = 2
    stride: int = 2


class Norm(NamedTuple):
    """Local response normalization `norm<name>` over neighboring channels: see `nst_jax.networks.layers.local_response`."""

    name: str
    offset: float = 2.0
    alpha: float = 1e-4


Layer = Conv | Pool | Norm


def _vgg(depths: Sequence[int]) -> tuple[Layer, ...]:
    layers: list[Layer] = []
    for block, (depth, width) in enumerate(zip(depths, (64, 128, 256, 512, 512), strict=True), 1):
        layers += [Conv(f"{block}_{i}", width) for i in range(1, depth + 1)]
        layers.append(Pool(str(block)))
    return tuple(layers)


def _krizhevsky(after: Sequence[tuple[Layer, ...]]) -> tuple[Layer, ...]:
    """The network of 2012, with what follows its first two convolutions."""
    conv = functools.partial(Conv, std=0.01)
    dense = functools.partial(conv, margin=0, kind="fc")
    return (
        *(conv("1", 96, size=11, stride=4, margin=0), *after[0]),
        *(conv("2", 256, size=5, margin=2, groups=2, bias=1.0), *after[1]),
        *(conv("3", 384), conv("4", 384, groups=2, bias=1.0)),
        *(conv("5", 256, groups=2, bias=1.0), Pool("5", window=3)),
        dense("6", 4096, size=6, dropout=0.5, bias=1.0),
        dense("7", 4096, size=1, dropout=0.5, bias=1.0),
        dense("8", 1000, size=1, activation=""),
    )


# Caffe divides α by the 5 channels that it sums over, and has an offset of 1.
_caffe_norm = functools.partial(Norm, offset=1.0, alpha=2e-5)

ARCHITECTURES: dict[str, tuple[Layer, ...]] = {
    "vgg16": _vgg((2, 2, 3, 3, 3)),
    "vgg19": _vgg((2, 2, 4, 4, 4)),
    "alexnet": (
        *(Conv("1", 64, size=11, stride=4, margin=2), Pool("1", window=3)),
        *(Conv("2", 192, size=5, margin=2), Pool("2", window=3)),
        *(Conv("3", 384), Conv("4", 256), Conv("5", 256), Pool("5", window=3)),
    ),
    "alexnet2012": _krizhevsky([(Norm("1"), Pool("1", window=3)), (Norm("2"), Pool("2", window=3))]),
    "bvlc_alexnet": _krizhevsky([(_caffe_norm("1"), Pool("1", window=3)), (_caffe_norm("2"), Pool("2", window=3))]),
    "caffenet": _krizhevsky([(Pool("1", window=3), _caffe_norm("1")), (Pool("2", window=3), _caffe_norm("2"))]),
}


def register_architecture(name: str, layers: Sequence[Layer]) -> None:
    """Makes a table of layers available as `NetworkSpec(NAME)`; parameters are the caller's.

    Args:
        name: replaces what has this name already.
        layers: from the first to the last.

    Raises:
        InputError: two layers of one name.

    Example:
        >>> register_architecture("tiny", [Conv("1", 8), Pool("1")])
        >>> ARCHITECTURES.pop("tiny")[1]
        Pool(name='1', window=2, stride=2)
    """
    names = [each for layer in layers for each in names_of(layer)]
    if not names or len(set(names)) < len(names):
        raise InputError(f"layers of {name} must have names of their own, got {', '.join(names) or 'none'}; rename them")
    ARCHITECTURES[name] = tuple(layers)


def names_of(layer: Layer) -> tuple[str, ...]:
    """The names of what a row of the table computes, in order.

    Example:
        >>> names_of(Conv("8", 10, kind="fc", activation="")), names_of(Conv("1_1", 64)), names_of(Norm("1"))
        (('fc8',), ('conv1_1', 'relu1_1'), ('norm1',))
    """
    if isinstance(layer, Conv):
        return (layer.kind + layer.name, *((layer.activation + layer.name,) if layer.activation else ()))
    return (("pool" if isinstance(layer, Pool) else "norm") + layer.name,)


def extent(layer: Layer) -> tuple[int, int, int]:
    """Side of the window, stride and margin of a row of the table, in positions of its input.

    Example:
        >>> extent(Pool("1", window=3)), extent(Norm("1"))
        ((3, 2, 0), (1, 1, 0))
    """
    if isinstance(layer, Conv):
        return layer.size, layer.stride, layer.margin
    return (layer.window, layer.stride, 0) if isinstance(layer, Pool) else (1, 1, 0)
