"""Pictures on disk to float32 sRGB arrays and back: the only module that opens or writes image files."""

import base64
import difflib
import hashlib
import io
import json
import re
import weakref
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from jaxtyping import Float, UInt16
from PIL import Image, ImageCms, PngImagePlugin

from nst_jax.errors import InputError, check_one_of
from nst_jax.images import strips
from nst_jax.images.decode import decode, pillow_limits
from nst_jax.system.atomic_write import atomic_open

PillowImage = Image.Image
# What `resize` was given last, its size and its result; and the largest result that is kept.
_resized: deque[tuple[weakref.ref[np.ndarray], tuple[int, int], np.ndarray]] = deque(maxlen=16)
_KEPT_BYTES = 1 << 22
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


def read_image(path: str | Path, *, background: float = 1.0) -> Picture:
    """Reads a picture file as sRGB, upright, its color profile converted and alpha composited.

    Args:
        path: the file.
        background: the gray that alpha is composited on: 1 is white; 0 for masks, where transparent is outside.

    Raises:
        InputError: there is no such file, it cannot be read, is no whole picture, or a side has fewer than 16 pixels.
    """
    return picture_from_bytes(read_file(Path(path)), str(path), background=background)


def read_file(path: Path) -> bytes:
    """The bytes of a file that a user named, or one clear line."""
    if not path.is_file():
        if path.is_dir():
            found = f"a folder; give one picture of it, or all in a sweep: -m content.path='glob({path}/*)'"
        elif near := nearest_file(path):
            found = f"no such file; did you mean {near}?"
        elif re.search(r"[*?]|^\[", path.name):
            found = (
                f"no such file; several pictures are a sweep: -m content.path='glob({path})', or -m content.path=a.jpg,b.jpg"
            )
        else:
            found = "no such file; check the path"
        raise InputError(f"image {path} must be a file, got {found}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"image {path} must be readable, got {error.strerror}; check its permissions") from error
    if not data:
        raise InputError(f"image {path} must be a picture, got an empty file; copy or export it again")
    return data


def nearest_file(path: str | Path) -> Path | None:
    """The file in the folder of `path` whose name is most like it; None if none is like it."""
    path = Path(path)
    try:
        names = [file.name for file in path.parent.iterdir() if file.is_file()]
    except OSError:
        return None
    near = difflib.get_close_matches(path.name, names, n=1)
    return path.with_name(near[0]) if near else None


def picture_from_bytes(data: bytes, source: str, *, background: float = 1.0) -> Picture:
    """Reads a picture from the bytes of a file; messages call it `source`. See `read_image`."""
    try:
        pixels, notices = decode(data, background)
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

    At their own size they are what they are. Small results are kept for a while, since the members of a sweep share their
    pictures; all are read-only.

    >>> resize(np.full((1, 64, 32, 3), 0.25, np.float32), (20, 30))[0, 5, 5].tolist()
    [0.25, 0.25, 0.25]
    """
    height, width = height_width
    if pixels.shape[1:3] == height_width:
        return pixels
    for source, size, kept in tuple(_resized):
        if source() is pixels and size == height_width:
            return kept
    resized = np.empty((1, height, width, pixels.shape[3]), np.float32)
    for channel in range(pixels.shape[3]):
        found = _as_image(pixels[0, :, :, channel]).resize((width, height), Image.Resampling.LANCZOS)
        resized[0, :, :, channel] = np.clip(np.asarray(found), 0, 1)
    resized.flags.writeable = False
    if resized.nbytes <= _KEPT_BYTES:
        _resized.append((weakref.ref(pixels), height_width, resized))
    return resized


def _as_image(channel: Float[np.ndarray, "h w"]) -> Image.Image:
    image = Image.new("F", (channel.shape[1], channel.shape[0]))
    for rows in strips(*channel.shape):
        image.paste(Image.fromarray(np.ascontiguousarray(channel[rows], np.float32)), (0, rows.start))
    return image


def write_image(path: str | Path, pixels: Float[np.ndarray, "1 h w 3"], *, text: Mapping[str, str] | None = None) -> None:
    """Write `pixels` in the form that the extension says, with an sRGB profile and `text` inside.

    .png has 8 bits, .jpg quality 95 without chroma subsampling, .webp quality 95, .avif quality 90, .tif and .tiff 16 bits.
    The same pixels and text give the same bytes. Nothing is seen under `path` before the file is whole.

    Args:
        path: in a folder that exists; a file of that name is replaced.
        pixels: sRGB; values outside [0, 1] are clipped.
        text: PNG text entries; in the other forms one JSON object in ImageDescription (64 KB in JPEG).

    Raises:
        InputError: an unknown extension, or the file cannot be written.
    """
    path = Path(path)
    encode = _ENCODERS[check_one_of("extension of an image to write", path.suffix.lower(), WRITABLE)]
    if not np.isfinite([pixels.min(), pixels.max()]).all():
        raise InputError(f"pixels to write to {path} must be finite, got NaN or infinity")
    with atomic_open(path) as stream:
        try:
            encode(stream, pixels[0], dict(text or {}))
        except ValueError as error:
            raise InputError(f"image {path} must fit its format, got {error}; write a .png") from error


def read_text(path: str | Path) -> dict[str, str]:
    """The text that `write_image` put inside the file; empty if there is none. Raises an InputError if it cannot be read."""
    with _opened(Path(path)) as image:
        if isinstance(image, PngImagePlugin.PngImageFile):
            return {key: str(value) for key, value in image.text.items()}
        description = image.getexif().get(_DESCRIPTION, "")
    try:
        entries = json.loads(description)
    except (ValueError, TypeError, RecursionError):
        entries = description
    return entries if isinstance(entries, dict) else {"ImageDescription": description} if description else {}


@contextmanager
def _opened(path: Path) -> Iterator[PillowImage]:
    """A picture as Pillow reads it. Raises an InputError if there is none, or if the block finds it damaged."""
    data = read_file(path)
    try:
        with pillow_limits(), Image.open(io.BytesIO(data)) as image:
            yield image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"image {path} must be whole, got a damaged one ({str(error)[:100]}); restore it") from error


@cache
def _srgb_profile() -> bytes:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes.fromhex("07d0 0001 0001 0000 0000 0000")  # lcms writes the time of day into the header
    return bytes(profile)


def to_pillow(pixels: Float[np.ndarray, "h w 3"]) -> Image.Image:
    """Rounds to 8 bits per channel; values outside [0, 1] are clipped."""
    height, width, _ = pixels.shape
    image = Image.new("RGB", (width, height))
    for rows in strips(height, width):
        samples = np.round(np.clip(pixels[rows], 0, 1) * 255).astype(np.uint8)
        image.paste(Image.fromarray(samples), (0, rows.start))
    return image


def _encode_png(stream: BinaryIO, pixels: Float[np.ndarray, "h w 3"], text: dict[str, str]) -> None:
    entries = PngImagePlugin.PngInfo()
    for key, value in text.items():
        entries.add_itxt(key, value)
    to_pillow(pixels).save(stream, format="PNG", icc_profile=_srgb_profile(), pnginfo=entries)


def _encode_jpeg(stream: BinaryIO, pixels: Float[np.ndarray, "h w 3"], text: dict[str, str]) -> None:
    out = io.BytesIO()  # into a file on disk Pillow would write by itself, and overlook a disk that takes only a part
    form = {"format": "JPEG", "quality": 95, "subsampling": 0}
    to_pillow(pixels).save(out, icc_profile=_srgb_profile(), exif=_exif(text), **form)
    stream.write(out.getbuffer())


def _encode_webp(stream: BinaryIO, pixels: Float[np.ndarray, "h w 3"], text: dict[str, str]) -> None:
    to_pillow(pixels).save(stream, format="WEBP", quality=95, icc_profile=_srgb_profile(), exif=_exif(text))


def _encode_avif(stream: BinaryIO, pixels: Float[np.ndarray, "h w 3"], text: dict[str, str]) -> None:
    form = {"format": "AVIF", "quality": 90, "subsampling": "4:4:4", "max_threads": 1}  # whose bytes are always the same
    to_pillow(pixels).save(stream, icc_profile=_srgb_profile(), exif=_exif(text), **form)


def _to_16_bits(pixels: Float[np.ndarray, "r w 3"]) -> UInt16[np.ndarray, "r w 3"]:
    return np.round(np.clip(pixels, 0, 1).astype(np.float64) * 65535).astype("<u2")


def _encode_tiff(stream: BinaryIO, pixels: Float[np.ndarray, "h w 3"], text: dict[str, str]) -> None:
    height, width, _ = pixels.shape
    rows = min(height, max(1, 2**18 // (6 * width)))  # strips of 256 KB
    packed = (zlib.compress(_to_16_bits(pixels[top : top + rows]).tobytes()) for top in range(0, height, rows))
    form: dict[str, Any] = {"byteorder": "<", "photometric": "rgb", "compression": "zlib", "metadata": None, "software": False}
    form |= {"shape": pixels.shape, "dtype": np.uint16, "rowsperstrip": rows, "iccprofile": _srgb_profile()}
    tifffile.imwrite(stream, packed, description=json.dumps(text) if text else None, **form)


def _exif(text: dict[str, str]) -> bytes:
    exif = Image.Exif()
    if text:
        exif[_DESCRIPTION] = json.dumps(text)  # ASCII, as the tag demands
    return exif.tobytes() if text else b""


_ENCODERS: dict[str, Callable[[BinaryIO, Float[np.ndarray, "h w 3"], dict[str, str]], None]] = {
    ".png": _encode_png,
    ".jpg": _encode_jpeg,
    ".jpeg": _encode_jpeg,
    ".webp": _encode_webp,
    ".avif": _encode_avif,
    ".tif": _encode_tiff,
    ".tiff": _encode_tiff,
}
# Extensions of pictures that can be written, and of those that are taken from a folder; the second line needs packages.
WRITABLE = tuple(_ENCODERS)
READABLE = (*WRITABLE, ".jpe", ".jfif", ".gif", ".bmp",
            ".heic", ".heif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2", ".pef")  # fmt: skip


_QUALITY = 86  # of a JPEG: a picture of 384 pixels takes about 40 KB


def data_uri(path: Path, long_side: int | None = None) -> str:
    """The image in `path` as a JPEG in a data URI, reduced to `long_side` pixels if it is larger.

    Raises:
        InputError: there is no such file, or it is no whole picture.
    """
    with _opened(path) as image:
        picture = _reduced(image.convert("RGB"), long_side)
    out = io.BytesIO()
    picture.save(out, format="JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"


def picture_size(path: Path, long_side: int | None = None) -> tuple[int, int]:
    """Width and height of the picture in `path`, reduced to `long_side` where it is larger. Raises as `data_uri` does."""
    with _opened(path) as image:
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
