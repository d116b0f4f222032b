"""Images for web pages, as small JPEGs in data URIs."""

import base64
import io
from pathlib import Path

from PIL import Image

from nst_jax.images.decode import pillow_limits
from nst_jax.images.files import fit_long_side, read_file

_QUALITY = 86  # of a JPEG: a picture of 384 pixels takes about 40 KB


def data_uri(path: Path, long_side: int | None = None) -> str:
    """The image in `path` as a JPEG in a data URI, reduced to `long_side` pixels if it is larger.

    Raises:
        InputError: there is no such file.
        OSError: it is no picture.
    """
    with pillow_limits(), Image.open(io.BytesIO(read_file(path))) as image:
        picture = _reduced(image.convert("RGB"), long_side)
    out = io.BytesIO()
    picture.save(out, format="JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"


def picture_size(path: Path, long_side: int | None = None) -> tuple[int, int]:
    """Width and height of the picture in `path`, reduced to `long_side` where it is larger."""
    with pillow_limits(), Image.open(path) as image:
        return _reduced_size(image, long_side)


def _reduced(image: Image.Image, long_side: int | None) -> Image.Image:
    size = _reduced_size(image, long_side)
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _reduced_size(image: Image.Image, long_side: int | None) -> tuple[int, int]:
    width, height = image.size
    if long_side is None or max(width, height) <= long_side:
        return width, height
    height, width = fit_long_side(height, width, long_side)
    return width, height
