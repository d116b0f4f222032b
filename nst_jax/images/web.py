"""Pictures for web pages and films: small JPEGs, and frames brought to one size."""

import base64
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from nst_jax.disk import disk_errors
from nst_jax.images.files import fit_long_side, read_file

_QUALITY = 86  # of a JPEG: a picture of 384 pixels takes about 40 KB


def data_uri(path: Path, long_side: int | None = None) -> str:
    """The picture in `path` as a JPEG inside an address, reduced to `long_side` pixels where it is larger.

    Raises:
        InputError: there is no such file.
        OSError: it is no picture.
    """
    with Image.open(io.BytesIO(read_file(path))) as image:
        picture = _reduced(image.convert("RGB"), long_side)
    out = io.BytesIO()
    picture.save(out, format="JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"


def read_frame(path: Path, width_height: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
    """The picture in `path` at another size, in 8 bits."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize(width_height, Image.Resampling.LANCZOS))


def picture_size(path: Path, long_side: int | None = None) -> tuple[int, int]:
    """Width and height of the picture in `path`, brought to `long_side` where it is larger."""
    with Image.open(path) as image:
        return _reduced(image.convert("RGB"), long_side).size


def write_gif(path: Path, frames: Iterable[UInt8[np.ndarray, "h w 3"]], milliseconds: list[int]) -> None:
    """Writes a film that repeats, each frame with its own 256 colors and its own time.

    Raises:
        InputError: the disk refuses.
    """
    pictures = (Image.fromarray(frame).quantize(dither=Image.Dither.NONE) for frame in frames)
    with disk_errors(path):
        next(pictures).save(path, format="GIF", save_all=True, append_images=pictures, duration=milliseconds, loop=0)


def _reduced(image: Image.Image, long_side: int | None) -> Image.Image:
    width, height = image.size
    if long_side is None or max(width, height) <= long_side:
        return image
    height, width = fit_long_side(height, width, long_side)
    return image.resize((width, height), Image.Resampling.LANCZOS)
