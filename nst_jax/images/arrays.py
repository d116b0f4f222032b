"""Pictures as Python has them (paths, PIL images, arrays), read into the package's form and given back."""

import io
import os
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from nst_jax.errors import InputError
from nst_jax.images.files import MIN_SIDE, Picture, picture_from_bytes, read_image
from nst_jax.images.masks import Mask, as_mask
from nst_jax.images.named import NAMED, find_image

_PNG_MODES = ("1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA")


def as_picture(what: str, given: Any, background: float = 1.0) -> Picture:
    """Reads a picture from a path, a name in `nst_jax.images.named.NAMED`, a PIL image, or an array (see `as_pixels`).

    Args:
        what: what messages call it.
        given: the picture.
        background: the gray that alpha is composited on: 1 is white.

    Raises:
        InputError: it cannot be read as a picture.
    """
    if isinstance(given, str) and given in NAMED:
        return find_image(given)
    if isinstance(given, str | os.PathLike):
        return read_image(os.path.expanduser(given), background=background)
    if isinstance(given, Image.Image):
        return _from_pillow(what, given, background)
    return Picture(as_pixels(what, given), "", what)


def as_region(what: str, given: Any) -> Mask | None:
    """Reads a mask like `as_picture`, or from an array [h, w] of 0 to 1, booleans, or integers up to their type's maximum.

    Integers of 0 and 1 alone are taken as such. None and "rest" stay None: what the other masks leave.
    """
    if given is None or (isinstance(given, str) and given.lower() == "rest"):
        return None
    if isinstance(given, str | os.PathLike | Image.Image):
        return as_mask(as_picture(what, given, background=0.0).pixels)  # transparent is outside
    array = np.asarray(given)
    if array.ndim != 2:
        raise InputError(f"{what} must have the shape [h, w], got {list(array.shape)}")
    if array.dtype == bool or (array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= 1):
        array = array.astype(np.float32)
    return as_mask(as_pixels(what, np.repeat(array[..., None], 3, -1)))


def as_pixels(what: str, given: Any) -> Float[np.ndarray, "1 h w 3"]:
    """Converts an array to float32 [1, h, w, 3], sRGB in [0, 1].

    Args:
        what: what messages call it.
        given: anything that NumPy reads, [h, w, 3] or [1, h, w, 3]; uint8 and uint16 over their range, or floats in [0, 1].

    Raises:
        InputError: another shape or dtype, a value out of range, or a side below `MIN_SIDE`.

    Example:
        >>> float(as_pixels("content", np.full((16, 16, 3), 51, np.uint8))[0, 0, 0, 0])
        0.20000000298023224
    """
    array = np.asarray(given)
    shape = list(array.shape)
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or array.shape[0] != 1 or array.shape[3] != 3:
        got = shape if shape else repr(given)
        raise InputError(f"{what} must be a path, a PIL image, or an array of the shape [h, w, 3] or [1, h, w, 3], got {got}")
    height, width = array.shape[1:3]
    if min(height, width) < MIN_SIDE:
        raise InputError(f"{what} must be at least {MIN_SIDE} pixels on each side, got {width}x{height}")
    if array.dtype in (np.uint8, np.uint16):
        return array.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
        raise InputError(f"{what} must be uint8, uint16 or floating point, got {array.dtype}; convert it")
    array = array.astype(np.float32)
    if not (np.min(array) >= 0 and np.max(array) <= 1):
        raise InputError(f"{what} must have values in [0, 1], got {np.min(array):g} to {np.max(array):g}; divide or clip")
    return array


def _from_pillow(what: str, image: Image.Image, background: float) -> Picture:
    """Encodes the image, so that its palette, profile, orientation and transparency are read as a file's are."""
    encoded = io.BytesIO()
    form = "PNG" if image.mode in _PNG_MODES else "TIFF"
    try:
        image.save(encoded, form, compress_level=0, icc_profile=image.info.get("icc_profile"), exif=image.getexif())
    except (OSError, ValueError) as error:
        raise InputError(f"{what} must be a picture that can be saved, got {error}; convert it to RGB") from error
    return picture_from_bytes(encoded.getvalue(), what, background=background)
