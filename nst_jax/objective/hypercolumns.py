"""Hypercolumns: the maps of several layers joined to one, named as in "relu1_1+relu2_1+relu3_1".

A position of it holds what all of these layers see there, so that a comparison of positions asks for agreement in all at once.
Its positions are those of the deepest layer: maps before are averaged over the squares of positions that lie there, so that
hypercolumns of the parts of a picture are parts of that of the whole.

References:
    Hariharan, Arbeláez, Girshick and Malik, Hypercolumns for Object Segmentation and Fine-grained Localization, CVPR 2015.
    Kolkin et al., Neural Neighbor Style Transfer, 2022, arXiv:2203.13215 (there resized bilinearly to a quarter of the
    picture's size, each map divided by its number of channels).
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from nst_jax.errors import InputError
from nst_jax.networks.convnet import check_taps, layer_names, num_channels
from nst_jax.partition.receptive_field import receptive_field
from nst_jax.types import Features


def taps_of(layer: str) -> tuple[str, ...]:
    """The layers that are joined, from the first to the deepest; a plain layer is one.

    Example:
        >>> taps_of("relu1_1+relu2_1"), taps_of("relu1_1")
        (('relu1_1', 'relu2_1'), ('relu1_1',))
    """
    return tuple(layer.split("+"))


def deepest(layer: str) -> str:
    """The layer whose positions a hypercolumn has."""
    return taps_of(layer)[-1]


def check_layer(architecture: str, layer: str) -> None:
    """Raises InputError unless what is joined are layers of the network, in its order."""
    taps = taps_of(layer)
    check_taps(architecture, taps)
    places = [layer_names(architecture).index(tap) for tap in taps]
    if places != sorted(set(places)):
        raise InputError(f"layers joined by + must be in the order of the network, each once, got {layer!r}")


def joined_channels(architecture: str, layer: str) -> int:
    """The number of channels of a layer, or of a hypercolumn.

    Example:
        >>> joined_channels("vgg19", "relu1_1+relu2_1")
        192
    """
    return sum(num_channels(architecture, tap) for tap in taps_of(layer))


def joined(maps: Features, layer: str, architecture: str) -> Float[Array, "n h w c"]:
    """The map of a layer, or a hypercolumn of `maps`.

    Of n layers, each with C_l of C channels, each map is multiplied by √(C / (n C_l)): the mean square over all channels is the
    mean of the layers' mean squares, whatever their channels.

    Example:
        >>> maps = {"relu1_1": jnp.ones((1, 5, 4, 64)), "relu2_1": jnp.zeros((1, 2, 2, 128))}
        >>> found = joined(maps, "relu1_1+relu2_1", "vgg19")
        >>> found.shape, round(float(jnp.mean(found**2)), 3)
        ((1, 2, 2, 192), 0.5)
    """
    taps = taps_of(layer)
    if len(taps) == 1:
        return maps[layer]
    height, width = maps[deepest(layer)].shape[1:3]
    stride = receptive_field(architecture, deepest(layer)).stride
    share, parts = joined_channels(architecture, layer) / len(taps), []
    for tap in taps:
        side = stride // receptive_field(architecture, tap).stride
        part = maps[tap][:, : height * side, : width * side]
        # fewer rows are of the zeros that devices fill up with, which no guide counts
        part = jnp.pad(part, [(0, 0), (0, height * side - part.shape[1]), (0, 0), (0, 0)])
        squares = part.reshape(-1, height, side, width, side, part.shape[-1])
        parts.append(squares.mean((2, 4)) * math.sqrt(share / squares.shape[-1]))
    return jnp.concatenate(parts, axis=-1)
