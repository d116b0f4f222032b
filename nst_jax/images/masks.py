"""Masks: which part of a picture belongs to which region. White is inside."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from nst_jax.errors import InputError
from nst_jax.images.files import resize

Mask = Float[np.ndarray, "1 _h _w 1"]
# A mask's aspect may differ from its picture's by this share, and by the rounding of its own sides.
ASPECT = 0.01
# Share of the picture on which masks may add up to less than `LEAST` or more than `MOST`, as they do along drawn edges.
STRAY, LEAST, MOST = 0.01, 0.5, 1.5
# A mask that is nowhere this white was meant otherwise: a map of labels, or 0 and 1 in a file of 0 to 255.
FAINT = 0.1


def as_mask(pixels: Float[np.ndarray, "1 h w 3"]) -> Mask:
    """The mask that a picture shows: the mean of its channels, 1 where it is white."""
    return pixels.mean(-1, keepdims=True, dtype=np.float32)


def check_mask(what: str, mask: Mask, picture: Float[np.ndarray, "1 h2 w2 3"]) -> None:
    """Raises InputError if a mask's aspect is not that of its picture (the size may differ), or if it is nowhere near white."""
    if 0 < mask.max() < FAINT:
        raise InputError(f"{what} must be white inside, got at most {mask.max():.1%} of white; paint it white (255 of 255)")
    (height, width), (tall, wide) = mask.shape[1:3], picture.shape[1:3]
    if abs(width * tall / (height * wide) - 1) > ASPECT + 1 / min(height, width):
        raise InputError(f"{what} must have the aspect of its picture, {wide}x{tall}, got {width}x{height}; crop it alike")


def feathered(mask: Mask, pixels: int) -> Mask:
    """A mask whose edges fade over about so many pixels.

    Example:
        >>> edge = np.tile(np.repeat(np.array([1.0, 0.0], np.float32), 32), (64, 1)).reshape(1, 64, 64, 1)
        >>> soft = feathered(edge, 8)[0, 32, :, 0]
        >>> bool(soft[4] > 0.99), bool(0 < soft[32] < 1), bool(soft[60] < 0.01)
        (True, True, True)
    """
    height, width = mask.shape[1:3]
    coarse = max(1, height // max(1, pixels)), max(1, width // max(1, pixels))
    return resize(resize(mask, coarse), (height, width)) if pixels > 1 else mask


def regions_at(masks: Sequence[Mask | None], height_width: tuple[int, int]) -> Float[np.ndarray, "r h w 1"]:
    """The masks at one size, adding up to 1 everywhere. None is the rest: what the others leave.

    Example:
        >>> left = np.tile(np.array([1.0, 1, 0, 0], np.float32), (4, 1)).reshape(1, 4, 4, 1)
        >>> regions_at([left, None], (4, 4))[:, 0, :, 0].tolist()
        [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]
    """
    stacked = _stacked(masks, height_width)
    total = stacked.sum(0, keepdims=True)
    return np.where(total > 0, stacked / np.maximum(total, 1e-6), np.float32(1 / len(masks)))


def check_regions(masks: Sequence[Mask | None], height_width: tuple[int, int]) -> None:
    """Raises InputError if masks leave out or claim twice more than a little of the picture, or if one of them is empty."""
    stacked = _stacked(masks, height_width)
    total = stacked.sum(0)
    for which, share, advice in (
        ("cover all of", np.mean(total < LEAST), "is in none of them; paint it white in one, or add the region rest"),
        ("not overlap on", np.mean(total > MOST), "is in several; paint it black in all but one"),
    ):
        if share > STRAY:
            raise InputError(f"mask.regions must {which} the picture, but {share:.0%} of it {advice}")
    for number, region in enumerate(stacked, 1):
        if region.sum() < 1:
            size = f"{height_width[1]}x{height_width[0]}"
            raise InputError(
                f"region {number} must be at least a pixel at {size}, got less; use a larger scale, or leave it out"
            )


def _stacked(masks: Sequence[Mask | None], height_width: tuple[int, int]) -> Float[np.ndarray, "r h w 1"]:
    given = [None if mask is None else resize(mask, height_width)[0] for mask in masks]
    claimed = sum((mask for mask in given if mask is not None), np.zeros((*height_width, 1), np.float32))
    rest = np.clip(1 - claimed, 0, 1)
    return np.stack([rest if mask is None else mask for mask in given])
