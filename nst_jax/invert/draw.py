"""Drawn on pictures: what a group of neurons sees, and several pictures beside each other."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from nst_jax.invert import dsift, hog
from nst_jax.invert.neurons import Neurons
from nst_jax.partition.receptive_field import Field, receptive_field

Pixels = Float[np.ndarray, "1 _h _w 3"]
FIELDS = {"hog": hog.FIELD, "hogb": hog.FIELD, "dsift": dsift.FIELD}
GAP = 4  # pixels between pictures


def field_of(layer: str, architecture: str) -> Field:
    """The receptive field of a network's layer or a descriptor.

    Example:
        >>> field_of("dsift", "")
        Field(start=-5, size=26, stride=15)
    """
    return FIELDS[layer] if layer in FIELDS else receptive_field(architecture, layer)


def outline(pixels: Pixels, field: Field, neurons: Neurons) -> Pixels:
    """The picture with a frame around all that the patch of neurons sees, and the rest of it darkened."""
    assert neurons.patch is not None
    top, left, height, width = neurons.patch
    ranges = field.window(top, height), field.window(left, width)
    (y0, y1), (x0, x1) = (np.clip(r, 0, side) for r, side in zip(ranges, pixels.shape[1:3], strict=True))
    drawn = pixels / 2
    drawn[:, y0:y1, x0:x1] = (1.0, 0.8, 0.0)
    drawn[:, y0 + 1 : y1 - 1, x0 + 1 : x1 - 1] = pixels[:, y0 + 1 : y1 - 1, x0 + 1 : x1 - 1]
    return drawn


def row(pictures: Sequence[Pixels]) -> Pixels:
    """Pictures of one height beside each other, on white."""
    gap = np.ones((1, pictures[0].shape[1], GAP, 3), np.float32)
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(parts[:-1], axis=2)
