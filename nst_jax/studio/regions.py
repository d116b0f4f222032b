"""Regions by hand: strokes of a brush in a few colors become masks, a region for each color and one for the rest."""

from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from nst_jax.errors import InputError
from nst_jax.images.files import MIN_SIDE
from nst_jax.images.masks import Mask, feathered

# The colors of the brush, one for each region.
BRUSHES = ("#e8452c", "#2c6fe8", "#1f9d55")
_LEAST = 16  # pixels of a region


def painted_masks(layers: list[UInt8[np.ndarray, "h w 4"]], feather: int = 0, inverted: bool = False) -> dict[int, Mask]:
    """The masks of the brushes that were used, by number.

    Args:
        layers: of the editor, RGBA, the uppermost last.
        feather: over how many pixels an edge fades.
        inverted: what was not painted is inside.

    Raises:
        InputError: nothing was painted, or `inverted` with more than one brush.

    Example:
        >>> layer = np.zeros((32, 32, 4), np.uint8)
        >>> layer[:16] = [232, 69, 44, 255]
        >>> {number: float(mask.mean()) for number, mask in painted_masks([layer]).items()}
        {0: 0.5}
    """
    if not layers:
        raise InputError("regions must be painted, got none; paint with the brush, or choose no regions")
    nearest = np.full(layers[0].shape[:2], -1)
    for layer in layers:
        inside = layer[..., 3] > 127
        distances = [np.abs(layer[..., :3].astype(int) - _rgb(color)).sum(-1) for color in BRUSHES]
        nearest[inside] = np.argmin(distances, 0)[inside]
    found = {number: nearest == number for number in range(len(BRUSHES)) if (nearest == number).sum() >= _LEAST}
    if not found or min(nearest.shape) < MIN_SIDE:
        raise InputError("regions must be painted, got none; paint with the brush, or choose no regions")
    if inverted and len(found) > 1:
        raise InputError(f"an inverted region must be the only one, got {len(found)}; paint with one color")
    return {
        number: feathered((inside != inverted)[None, :, :, None].astype(np.float32), feather)
        for number, inside in found.items()
    }


def as_picture(mask: Mask) -> Float[np.ndarray, "1 h w 3"]:
    """A mask as a picture to write."""
    return np.repeat(mask, 3, axis=-1)


def _rgb(color: str) -> Any:
    return np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)])
