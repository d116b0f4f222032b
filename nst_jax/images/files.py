"""Pictures on disk to float32 sRGB arrays and back: the only module that opens or writes image files."""

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from jaxtyping import Float, UInt8
from PIL import Image, ImageCms, PngImagePlugin

from nst_jax.disk import replace_file
from nst_jax.errors import InputError, one_of
from nst_jax.images.decode import decode

MIN_SIDE = 16  # the network halves the sides four times
_DESCRIPTION = 0x010E  # ImageDescription: the text tag that TIFF and EXIF share


@dataclass(frozen=True)
class Picture:
    """A picture as read.

    Attributes:
        pixels: sRGB in [0, 1].
        sha256: of the bytes of the file.
        source: the name or path as it was given.
        notices: what was done to the picture, or must be said of it, one line each.
    """

    pixels: Float[np.ndarray, "1 h w 3"]
    sha256: str
    source: str
    notices: tuple[str, ...] = ()


def read_image(path: str | Path) -> Picture:
    """The picture in the file `path` as sRGB: turned upright, converted from its color profile, alpha on white.

    Raises:
        InputError: there is no such file, it cannot be read, is no whole picture, or a side has fewer than 16 pixels.
    """
    return picture_from_bytes(read_file(Path(path)), str(path))


def read_file(path: Path) -> bytes:
    """The bytes of a file that a user named, or one clear line."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise InputError(f"image {path} must be a file, got {found}; check the path")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"image {path} must be readable, got {error.strerror}; check its permissions") from error
    if not data:
        raise InputError(f"image {path} must be a picture, got an empty file; copy or export it again")
    return data


def picture_from_bytes(data: bytes, source: str) -> Picture:
    """The picture in the bytes of a file; `source` is what messages call it."""
    try:
        pixels, notices = decode(data)
    except InputError as error:
        raise InputError(f"image {source} {error}") from error
    height, width, _ = pixels.shape
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"image {source} must be at least {MIN_SIDE} pixels on each side, got {width}x{height}; use a larger one"
        )
    return Picture(pixels[None], hashlib.sha256(data).hexdigest(), source, notices)


def fit_long_side(height: int, width: int, size: int) -> tuple[int, int]:
    """(height, width) with the longer side `size`, the aspect kept to the nearest pixel.

    >>> fit_long_side(768, 1024, 512)
    (384, 512)
    """
    long = max(height, width)
    return max(1, round(height * size / long)), max(1, round(width * size / long))


def resize(pixels: Float[np.ndarray, "1 h w c"], height_width: tuple[int, int]) -> Float[np.ndarray, "1 h2 w2 c"]:
    """`pixels` at another size by a Lanczos filter as wide as the scale needs, in float32; the overshoot is clipped.

    At their own size they are what they are.

    >>> resize(np.full((1, 64, 32, 3), 0.25, np.float32), (20, 30))[0, 5, 5].tolist()
    [0.25, 0.25, 0.25]
    """
    height, width = height_width
    if pixels.shape[1:3] == height_width:
        return pixels
    channels = [
        Image.fromarray(np.ascontiguousarray(pixels[0, :, :, channel], np.float32))
        .resize((width, height), Image.Resampling.LANCZOS)
        for channel in range(pixels.shape[3])
    ]  # fmt: skip
    return np.clip(np.stack([np.asarray(channel) for channel in channels], axis=-1)[None], 0, 1)


def write_image(path: str | Path, pixels: Float[np.ndarray, "1 h w 3"], *, text: Mapping[str, str] | None = None) -> None:
    """Write `pixels` in the form that the extension says, with an sRGB profile and `text` inside.

    .png has 8 bits, .jpg quality 95 without chroma subsampling, .webp quality 95, .tif and .tiff 16 bits. The same
    pixels and text give the same bytes. Nothing is seen under `path` before the file is whole.

    Args:
        path: in a folder that exists; a file of that name is replaced.
        pixels: sRGB; values outside [0, 1] are clipped.
        text: PNG text entries; in the other forms one JSON object in ImageDescription (64 KB in JPEG).

    Raises:
        InputError: an unknown extension, or the file cannot be written.
    """
    path = Path(path)
    encode = _ENCODERS[one_of("extension of an image to write", path.suffix.lower(), tuple(_ENCODERS))]
    if not np.isfinite(pixels).all():
        raise InputError(f"pixels to write to {path} must be finite, got NaN or infinity")
    try:
        data = encode(np.clip(pixels[0], 0, 1), dict(text or {}))
    except ValueError as error:
        raise InputError(f"image {path} must fit its format, got {error}; write a .png") from error
    replace_file(path, data)


def read_text(path: str | Path) -> dict[str, str]:
    """The text that `write_image` put inside the file; empty if there is none."""
    with Image.open(io.BytesIO(read_file(Path(path)))) as image:
        if isinstance(image, PngImagePlugin.PngImageFile):
            return {key: str(value) for key, value in image.text.items()}
        description = image.getexif().get(_DESCRIPTION, "")
    try:
        entries = json.loads(description)
    except ValueError:
        entries = description
    return entries if isinstance(entries, dict) else {"ImageDescription": description} if description else {}


@cache
def _srgb_profile() -> bytes:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes.fromhex("07d0 0001 0001 0000 0000 0000")  # lcms writes the time of day into the header
    return bytes(profile)


def _to_8_bits(pixels: Float[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    return np.round(pixels * 255).astype(np.uint8)


def _encode_png(pixels: Float[np.ndarray, "h w 3"], text: dict[str, str]) -> bytes:
    entries = PngImagePlugin.PngInfo()
    for key, value in text.items():
        entries.add_itxt(key, value)
    return _encode_with_pillow(pixels, format="PNG", pnginfo=entries)


def _encode_jpeg(pixels: Float[np.ndarray, "h w 3"], text: dict[str, str]) -> bytes:
    return _encode_with_pillow(pixels, format="JPEG", quality=95, subsampling=0, exif=_exif(text))


def _encode_webp(pixels: Float[np.ndarray, "h w 3"], text: dict[str, str]) -> bytes:
    return _encode_with_pillow(pixels, format="WEBP", quality=95, exif=_exif(text))


def _encode_tiff(pixels: Float[np.ndarray, "h w 3"], text: dict[str, str]) -> bytes:
    out = io.BytesIO()
    description = json.dumps(text) if text else None
    form = {"byteorder": "<", "photometric": "rgb", "compression": "zlib", "metadata": None, "software": False}
    samples = np.round(pixels.astype(np.float64) * 65535).astype(np.uint16)
    tifffile.imwrite(out, samples, description=description, iccprofile=_srgb_profile(), **form)
    return out.getvalue()


def _encode_with_pillow(pixels: Float[np.ndarray, "h w 3"], **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(_to_8_bits(pixels)).save(out, icc_profile=_srgb_profile(), **options)
    return out.getvalue()


def _exif(text: dict[str, str]) -> bytes:
    exif = Image.Exif()
    if text:
        exif[_DESCRIPTION] = json.dumps(text)  # ASCII, as the tag demands
    return exif.tobytes() if text else b""


_ENCODERS: dict[str, Callable[[Float[np.ndarray, "h w 3"], dict[str, str]], bytes]] = {
    ".png": _encode_png,
    ".jpg": _encode_jpeg,
    ".jpeg": _encode_jpeg,
    ".webp": _encode_webp,
    ".tif": _encode_tiff,
    ".tiff": _encode_tiff,
}
