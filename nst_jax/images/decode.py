"""Decoders: the bytes of a picture file to sRGB floats. Color profiles, CMYK, palettes, 16 bits, alpha, damaged metadata."""

import io
import re
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from nst_jax.errors import InputError
from nst_jax.images import profiles, signatures, strips, tiff

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "AVIF")
MAX_PIXELS = 400_000_000  # 20000 x 20000; as float32 already 4.8 GB
# Above this size a file must have a byte for 1000 pixels, as all but blank pages of 1 bit have: the others are bombs.
MAX_BLANK_PIXELS = 200_000_000
MAX_PROFILE_BYTES = 2**24  # of a PNG's ICC profile or text, unpacked
MAX_MISSING = 0.05  # share of a truncated JPEG's rows
_PNG = b"\x89PNG\r\n\x1a\n"
_SRGB_GAMMA = 0.45455  # as PNGs write that of sRGB

Strip = tuple[Float[np.ndarray, "r w 3"], Float[np.ndarray, "r w a"]]


class _Source(NamedTuple):
    """A picture whose floats are computed strip by strip from the decoder's samples.

    Attributes:
        height: of the upright picture.
        width: of the upright picture.
        strip: gives some of its rows: sRGB in [0, 1], and alpha in one channel, or in none if the file has no alpha.
    """

    height: int
    width: int
    strip: Callable[[slice], Strip]


def decode(data: bytes, background: float = 1.0) -> tuple[Float[np.ndarray, "h w 3"], tuple[str, ...]]:
    """The picture in `data` as float32 sRGB in [0, 1], upright, and notices of what was done to it.

    Besides the file and its decoded samples, the returned array is the only one of the picture's size.

    Args:
        data: the whole file, in one of `FORMATS` or one that `signatures` has a package for; the first frame or page is used.
        background: the gray that alpha is composited on: 1 is white.

    Raises:
        InputError: not a picture, a broken one, or more than `MAX_PIXELS` pixels (checked before anything is unpacked).
    """
    notices: list[str] = []
    try:
        is_tiff = data.startswith(tiff.STARTS)
        kind = signatures.identify(data) or (signatures.RAW if is_tiff and tiff.is_raw(data) else None)
        if kind and not signatures.load_plugin(kind):
            raise InputError(f"must be a picture, got {kind.name}; {kind.advice}")
        if kind is signatures.RAW:
            source = _develop(data, notices)
        elif is_tiff and (samples := tiff.read_samples(data, MAX_PIXELS, notices)):
            source = _from_tiff(samples, notices)
        else:
            source = _open_with_pillow(data, kind, notices)
        with pillow_limits():
            pixels = _composite(source, background, notices)
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"must have at most {MAX_PIXELS // 1_000_000} megapixels, got more; scale it down first") from error
    except UnidentifiedImageError as error:
        got = "a TIFF of an unusual kind" if data.startswith(tiff.STARTS) else "something else"
        raise InputError(f"must be a picture, got {got}; {_ADVICE}") from error
    except Exception as error:  # on broken bytes the decoders raise nearly anything
        reason = " ".join(str(error).split()).partition(". ")[0] or type(error).__name__
        raise InputError(f"must be a whole picture file, got a broken one ({reason}); copy or export it again") from error
    return pixels, tuple(notices)


_ADVICE = "give a PNG, JPEG, WebP, TIFF, GIF, BMP or AVIF of gray or RGB"


@contextmanager
def pillow_limits() -> Iterator[None]:
    """Pillow with the limits of this package: up to `MAX_PIXELS`, larger profiles, and no warnings of odd files."""
    kept = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow raises beyond twice its limit and only warns before that
    PngImagePlugin.MAX_TEXT_CHUNK = MAX_PROFILE_BYTES
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = kept


def _composite(source: _Source, background: float, notices: list[str]) -> Float[np.ndarray, "h w 3"]:
    pixels, opaque = np.empty((source.height, source.width, 3), np.float32), True
    for rows in strips(source.height, source.width):
        color, alpha = source.strip(rows)
        if alpha.size and alpha.min() < 1:
            color, opaque = color * alpha + np.float32(background) * (1 - alpha), False
        pixels[rows] = color
    if not opaque:
        notices.append("alpha composited on white" if background == 1 else "transparent parts taken as outside")
    return pixels


def _from_tiff(samples: tiff.Samples, notices: list[str]) -> _Source:
    height, width, _ = samples.values.shape
    transform = profiles.to_srgb("L" if samples.colors == 1 else "RGB", samples.profile, notices)

    def strip(rows: slice) -> Strip:
        color, alpha = samples.strip(rows)
        return _as_rgb(profiles.convert(color, transform) if transform else color), alpha

    return _Source(height, width, strip)


def _develop(data: bytes, notices: list[str]) -> _Source:
    """A camera's RAW file as LibRaw develops it: the camera's white balance, 16 bits, the tone curve of sRGB."""
    import rawpy

    with rawpy.imread(io.BytesIO(data)) as raw:
        if raw.sizes.raw_height * raw.sizes.raw_width > MAX_PIXELS:
            raise Image.DecompressionBombError
        samples = raw.postprocess(use_camera_wb=True, output_bps=16, gamma=(2.4, 12.92))
    notices.append("developed from RAW with the camera's white balance")

    def strip(rows: slice) -> Strip:
        color = samples[rows].astype(np.float32) / np.float32(65535)
        return color, color[..., :0]

    height, width, _ = samples.shape
    return _Source(height, width, strip)


def _as_rgb(color: Float[np.ndarray, "r w c"]) -> Float[np.ndarray, "r w 3"]:
    return np.broadcast_to(color, (*color.shape[:2], 3))


def _open_with_pillow(data: bytes, kind: signatures.Kind | None, notices: list[str]) -> _Source:
    with pillow_limits():
        with tiff.muted_libtiff() if data.startswith(tiff.STARTS) else nullcontext():
            image = _load(data, kind.format if kind else None, notices)
        frames = getattr(image, "n_frames", 1)
        try:
            ImageOps.exif_transpose(image, in_place=True)
        except Exception:  # garbage in EXIF or XMP
            notices.append("orientation ignored: the EXIF data is broken")
    if frames > 1 and image.format != "MPO":  # the further pictures of an MPO are a phone's previews and depth maps
        notices.append(f"first of {frames} frames used")
    if image.mode.startswith("I;16"):
        strip_of = _gray_of_16_bits(image, notices)
    elif image.mode in ("I", "F", "LAB"):
        raise InputError(f"must be a picture of gray or RGB, got the mode {image.mode}; {_ADVICE}")
    else:
        if image.format == "PNG" and data[24] == 16:  # the bit depth in the header
            notices.append("16 bits a channel read as 8 (16-bit TIFF keeps them)")
            if isinstance(image.info.get("transparency"), tuple):
                image.info["transparency"] = tuple(value >> 8 for value in image.info["transparency"])
        strip_of = _of_8_bits(image, notices)
    return _Source(image.height, image.width, lambda rows: strip_of(image.crop((0, rows.start, image.width, rows.stop))))


def _load(data: bytes, form: str | None, notices: list[str]) -> Image.Image:
    """The decoded image, though it may have large or damaged metadata, junk before it, or a small part missing."""
    try:
        image = Image.open(io.BytesIO(data), formats=(form,) if form else FORMATS)
        if image.width * image.height > max(MAX_BLANK_PIXELS, 1000 * len(data)):
            raise Image.DecompressionBombError
        image.load()
        return image
    except (OSError, ValueError) as error:
        if len(rest := _without_metadata(data)) < len(data):
            return _load(rest, form, notices)
        if data.startswith(b"\xff\xd8") and "truncated" in str(error) and not data.endswith(b"\xff\xd9"):
            return _load_truncated_jpeg(data, error, notices)
        # A JPEG with bytes before its start, or between its start and its first marker.
        unknown = isinstance(error, UnidentifiedImageError) and not form
        found = unknown and re.search(rb"\xff\xd8.*?(\xff[\xc0-\xc4\xdb\xe0-\xef\xfe]\0)", data[:65536], re.DOTALL)
        if not found or found.start(1) == 2:
            raise
        notices.append("JPEG read from behind other bytes")
        return _load(b"\xff\xd8" + data[found.start(1) :], "JPEG", notices)


def _load_truncated_jpeg(data: bytes, error: Exception, notices: list[str]) -> Image.Image:
    """A JPEG that ends too early, unless much is missing: the rows that depend on what follows the data."""
    ends = (b"\xff\xd9", bytes(range(1, 255)) * 16 + b"\xff\xd9")
    image, other = (_load(data + end, "JPEG", notices) for end in ends)
    missing = np.mean([(np.asarray(one) != np.asarray(two)).any() for one, two in zip(_rows(image), _rows(other), strict=True)])
    if missing > MAX_MISSING:
        raise error
    notices.append(f"the file ends too early: the last {missing:.1%} of the rows are missing" if missing else _NO_END)
    return image


_NO_END = "the file ends too early, but no row is missing"


def _rows(image: Image.Image) -> Iterator[Image.Image]:
    for rows in strips(image.height, image.width):
        for row in range(rows.start, rows.stop):
            yield image.crop((0, row, image.width, row + 1))


def _without_metadata(data: bytes) -> bytes:
    """A PNG without the chunks that do not bear on its pixels, or are damaged; what is no PNG as it is."""
    if not data.startswith(_PNG):
        return data
    kept, place = [data[:8]], 8
    while place + 12 <= len(data):
        size, name = int.from_bytes(data[place : place + 4]), data[place + 4 : place + 8]
        end = place + 12 + size
        whole = zlib.crc32(data[place + 4 : end - 4]) == int.from_bytes(data[end - 4 : end])
        useful = name in (b"tRNS", b"iCCP") or (name, size) in ((b"gAMA", 4), (b"sRGB", 1))
        if name[:1].isupper() or (useful and whole):
            kept.append(data[place:end])
        place = end
    return b"".join(kept)


def _gray_of_16_bits(image: Image.Image, notices: list[str]) -> Callable[[Image.Image], Strip]:
    transform, gamma = profiles.to_srgb("L", image.info.get("icc_profile"), notices), _gamma(image, notices)
    transparent = image.info.get("transparency")

    def strip(part: Image.Image) -> Strip:
        values = np.asarray(part, np.float32)[..., None]
        color = profiles.from_gamma(values / 65535, gamma)
        alpha = color[..., :0] if transparent is None else (values != transparent).astype(np.float32)
        return _as_rgb(profiles.convert(color, transform) if transform else color), alpha

    return strip


def _of_8_bits(image: Image.Image, notices: list[str]) -> Callable[[Image.Image], Strip]:
    """Converts a part of an image of any mode."""
    transparent, gray = image.has_transparency_data, image.mode in ("1", "L", "LA", "La")
    mode = "L" if gray else "CMYK" if image.mode == "CMYK" and not transparent else "RGB"
    transform, gamma = profiles.to_srgb(mode, image.info.get("icc_profile"), notices), _gamma(image, notices)

    def strip(part: Image.Image) -> Strip:
        part = part.convert("LA") if part.mode == "La" else part
        part = part.convert("RGBA") if transparent else part
        color = part.convert(mode)
        color = np.asarray(transform.apply(color) if transform else color.convert("RGB"), np.float32) / 255
        color = profiles.from_gamma(color, gamma)
        alpha = part.getchannel("A") if transparent else None
        return color, color[..., :0] if alpha is None else np.asarray(alpha, np.float32)[..., None] / 255

    return strip


def _gamma(image: Image.Image, notices: list[str]) -> float | None:
    """The exponent of a PNG's samples, unless it is that of sRGB, senseless, or overruled by a profile."""
    gamma = image.info.get("gamma")
    if {"icc_profile", "srgb"} & {*image.info} or not gamma or abs(gamma - _SRGB_GAMMA) < 0.02 or not 0.2 < gamma < 3:
        return None
    notices.append(f"colors converted to sRGB from gamma {gamma:g}")
    return gamma
