"""Regions by hand: strokes of a brush in a few colors become masks, a region for each color and one for the rest."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from nst_jax.errors import InputError
from nst_jax.images.files import MIN_SIDE, fit_long_side
from nst_jax.images.masks import Mask, feathered

# The colors of the brush, one for each region.
BRUSHES = ("#e8452c", "#2c6fe8", "#1f9d55")
_LEAST = 16  # pixels of a region
_ROUNDS, _SEEN = 3, 320  # of GrabCut, at so many pixels of the longer side: a second for each color


def painted_masks(layers: Sequence[UInt8[np.ndarray, "h w 4"]], feather: int = 0, inverted: bool = False) -> dict[int, Mask]:
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
    found = _painted(layers)
    if inverted and len(found) > 1:
        raise InputError(f"an inverted region must be the only one, got {len(found)}; paint with one color")
    return {
        number: feathered((inside != inverted)[None, :, :, None].astype(np.float32), feather)
        for number, inside in found.items()
    }


def painted_layer(masks: Mapping[int, Mask]) -> UInt8[np.ndarray, "h w 4"]:
    """The layer of the editor, RGBA, whose masks these are, by number; soft edges become sharp."""
    return _layer({number: mask[0, :, :, 0] >= 0.5 for number, mask in masks.items()})


def grown(photo: UInt8[np.ndarray, "h w 3"], layers: Sequence[UInt8[np.ndarray, "h w 4"]]) -> UInt8[np.ndarray, "h w 4"]:
    """Scribbles grown to the parts of the photograph that they mark, by GrabCut (Rother, Kolmogorov & Blake 2004).

    Each color grows to what looks like its strokes and hangs together with them, and takes nothing from the others' strokes.

    Args:
        photo: sRGB.
        layers: of the editor, RGBA, with the scribbles.

    Returns:
        One layer in their place.

    Raises:
        InputError: nothing was painted, or OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise InputError('regions can be found with OpenCV only, got none; pip install "nst-jax[studio]"') from error

    strokes = _painted(layers)
    height, width = photo.shape[:2]
    small = fit_long_side(height, width, min(_SEEN, max(height, width)))[::-1]
    seen = cv2.resize(photo, small, interpolation=cv2.INTER_AREA)
    scribbles = {
        number: cv2.resize(own.astype(np.float32), small, interpolation=cv2.INTER_AREA) > 0 for number, own in strokes.items()
    }
    free = ~np.any([*scribbles.values()], axis=0)
    regions: dict[int, Bool[np.ndarray, "h w"]] = {}
    for number, own in scribbles.items():
        labels = np.where(own, cv2.GC_FGD, np.where(free, cv2.GC_PR_BGD, cv2.GC_BGD)).astype(np.uint8)
        if not own.all():
            cv2.setRNGSeed(0)
            cv2.grabCut(seen, labels, (0, 0, 0, 0), np.zeros((1, 65)), np.zeros((1, 65)), _ROUNDS, cv2.GC_INIT_WITH_MASK)
        inside = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
        _, parts = cv2.connectedComponents(inside.astype(np.uint8))
        inside &= np.isin(parts, parts[own])
        free &= ~inside
        regions[number] = cv2.resize(inside.astype(np.float32), (width, height)) >= 0.5
    return _layer(regions | {number: regions[number] | own for number, own in strokes.items()})


def as_picture(mask: Mask) -> Float[np.ndarray, "1 h w 3"]:
    """A mask as a picture to write."""
    return np.repeat(mask, 3, axis=-1)


def _painted(layers: Sequence[UInt8[np.ndarray, "h w 4"]]) -> dict[int, Bool[np.ndarray, "h w"]]:
    """Where each brush was used. Raises InputError if none was."""
    brush = _brushes(layers) if layers else np.full((MIN_SIDE, MIN_SIDE), -1)
    found = {number: brush == number for number in range(len(BRUSHES)) if (brush == number).sum() >= _LEAST}
    if not found or min(brush.shape) < MIN_SIDE:
        raise InputError("regions must be painted, got none; paint with the brush, or choose no regions")
    return found


def _brushes(layers: Sequence[UInt8[np.ndarray, "h w 4"]]) -> Int[np.ndarray, "h w"]:
    """The number of the brush whose color is uppermost; -1 where nothing was painted."""
    brush = np.full(layers[0].shape[:2], -1)
    for layer in layers:
        inside = layer[..., 3] > 127
        distances = [np.abs(layer[..., :3].astype(int) - _rgb(color)).sum(-1) for color in BRUSHES]
        brush[inside] = np.argmin(distances, 0)[inside]
    return brush


def _layer(regions: Mapping[int, Bool[np.ndarray, "h w"]]) -> UInt8[np.ndarray, "h w 4"]:
    layer = np.zeros((*next(iter(regions.values())).shape, 4), np.uint8)
    for number, inside in regions.items():
        layer[inside] = [*_rgb(BRUSHES[number]), 255]
    return layer


def _rgb(color: str) -> Any:
    return np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)])
