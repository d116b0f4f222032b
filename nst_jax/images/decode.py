"""Bytes of a picture file to sRGB floats: color profiles, CMYK, palettes, 16 bits, alpha. Used by `files.read_image`."""

import io
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import tifffile
from jaxtyping import Float, Shaped
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from nst_jax.errors import InputError
from nst_jax.images.strips import strips

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "AVIF")
MAX_PIXELS = 400_000_000  # 20000 x 20000; as float32 already 4.8 GB

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# EXIF/TIFF orientation (tag 274) to (transpose first?, flips after it): the eight ways to lay a picture down.
_ORIENTATIONS = {
    2: (False, (1,)),
    3: (False, (0, 1)),
    4: (False, (0,)),
    5: (True, ()),
    6: (True, (1,)),
    7: (True, (0, 1)),
    8: (True, (0,)),
}


class _Source(NamedTuple):
    """A picture whose floats are made a strip at a time, from the samples that its decoder gave.

    Attributes:
        height: of the upright picture.
        width: likewise.
        strip: some of its rows as sRGB in [0, 1], with alpha as a fourth channel where the file has it.
    """

    height: int
    width: int
    strip: Callable[[slice], Float[np.ndarray, "r w c"]]


def decode(data: bytes) -> tuple[Float[np.ndarray, "h w 3"], tuple[str, ...]]:
    """The picture in `data` as float32 sRGB in [0, 1], upright, and what was done to it that its owner should know.

    Beside the file and the samples as it holds them, the floats that are returned are all that is of the picture's size.

    Args:
        data: the whole file, in one of `FORMATS`; of several frames or pages the first is taken.

    Raises:
        InputError: not a picture, a broken one, or more than `MAX_PIXELS` pixels (seen before anything is unpacked).
    """
    notices: list[str] = []
    try:
        source = _open_deep_tiff(data, notices) if data.startswith(_TIFF_STARTS) else None
        pixels = _on_white(source or _open_with_pillow(data, notices), notices)
    except InputError:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        bomb = isinstance(error, Image.DecompressionBombError)
        raise InputError(_TOO_LARGE if bomb else "must be a picture, got something else; " + _ADVICE) from error
    except Exception as error:  # on broken bytes the decoders raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"must be a whole picture file, got a broken one ({reason}); copy or export it again") from error
    return pixels, tuple(notices)


_ADVICE = "give a file of type PNG, JPEG, WebP, TIFF, GIF, BMP or AVIF"
_TOO_LARGE = f"must have at most {MAX_PIXELS // 1_000_000} megapixels, got more; scale it down first"


@contextmanager
def _bombs_refused() -> Iterator[None]:
    # Pillow raises beyond twice its limit and only warns before that; the files' own oddities are warned of too.
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS // 2
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _on_white(source: _Source, notices: list[str]) -> Float[np.ndarray, "h w 3"]:
    pixels, opaque = np.empty((source.height, source.width, 3), np.float32), True
    for rows in strips(source.height, source.width):
        samples = source.strip(rows)
        color, alpha = samples[..., :3], samples[..., 3:]
        if alpha.size and alpha.min() < 1:
            color, opaque = color * alpha + (1 - alpha), False
        pixels[rows] = color
    if not opaque:
        notices.append("alpha composited on white")
    return pixels


def _open_with_pillow(data: bytes, notices: list[str]) -> _Source:
    with _bombs_refused():
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        image.load()
        frames = getattr(image, "n_frames", 1)
        ImageOps.exif_transpose(image, in_place=True)
    if frames > 1 and image.format != "MPO":  # the further pictures of an MPO are a phone's previews and depth maps
        notices.append(f"first of {frames} frames used")
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I"):
        strip_of = _gray_of_16_bits(_to_srgb("L", profile, notices))
    else:
        if image.format == "PNG" and data[24] == 16:  # the bit depth in the header
            notices.append("16 bits a channel read as 8 (16-bit TIFF keeps them)")
        strip_of = _of_8_bits(image, profile, notices)
    return _Source(image.height, image.width, lambda rows: strip_of(image.crop((0, rows.start, image.width, rows.stop))))


def _gray_of_16_bits(transform: ImageCms.ImageCmsTransform | None) -> Callable[[Image.Image], Float[np.ndarray, "r w 3"]]:
    return lambda part: _deep_to_srgb(np.asarray(part, np.float32)[..., None] / 65535, transform)


def _of_8_bits(
    image: Image.Image, profile: bytes | None, notices: list[str]
) -> Callable[[Image.Image], Float[np.ndarray, "r w c"]]:
    """Makes sRGB, with alpha if there is any, of a part of an image, whatever its mode."""
    transparent, gray = image.has_transparency_data, image.mode in ("1", "L", "LA", "La")
    mode = "L" if gray else "CMYK" if image.mode == "CMYK" and not transparent else "RGB"
    transform = _to_srgb(mode, profile, notices)

    def strip(part: Image.Image) -> Float[np.ndarray, "r w c"]:
        part = part.convert("RGBA") if transparent else part
        color = part.convert(mode)
        color = transform.apply(color) if transform else color.convert("RGB")
        parts = (color, part.getchannel("A")) if transparent else (color,)
        return np.dstack([np.asarray(part, np.float32) / 255 for part in parts])

    return strip


def _to_srgb(mode: str, profile: bytes | None, notices: list[str]) -> ImageCms.ImageCmsTransform | None:
    """From L, RGB or CMYK of 8 bits by its ICC profile to sRGB; None where there is nothing to convert from."""
    cmyk = mode == "CMYK"
    if cmyk and not profile:
        notices.append("CMYK converted to sRGB without a profile: colors are approximate")
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        name = ImageCms.getProfileDescription(source).strip()
        if "sRGB" in name and not cmyk:
            return None
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError):
        notices.append("color profile ignored: it is broken or does not fit the picture")
        return None
    notices.append(f"{'CMYK' if cmyk else 'colors'} converted to sRGB from profile {name!r}")
    return transform


def _open_deep_tiff(data: bytes, notices: list[str]) -> _Source | None:
    """A gray or RGB TIFF of more than 8 bits a sample, which Pillow would cut to 8 or refuse; None for any other."""
    with io.BytesIO(data) as stream, tifffile.TiffFile(stream) as tiff:  # closed, the stream lets go of the data
        page = tiff.pages.first
        if page.dtype is None or page.dtype.itemsize == 1 or page.photometric not in (0, 1, 2):
            return None
        if page.imagelength * page.imagewidth > MAX_PIXELS:
            raise InputError(_TOO_LARGE)
        try:
            samples = _uncompressed(page, data) if page.is_final else page.asarray(buffersize=2**22)
        except (KeyError, ValueError) as error:
            if "imagecodecs" not in str(error):
                raise
            notices.append("16 bits a channel read as 8: the compression of this TIFF needs the package imagecodecs")
            return None
        if len(tiff.pages) > 1:
            notices.append(f"first of {len(tiff.pages)} frames used")
        tags = {code: page.tags[code].value for code in (274, 34675) if code in page.tags}
        separate, inverted, premultiplied = page.planarconfig == 2, page.photometric == 0, 1 in page.extrasamples
    samples = samples[..., None] if samples.ndim == 2 else np.moveaxis(samples, 0, -1) if separate else samples
    samples = _upright(samples, tags.get(274, 1))
    _check_floats(samples, notices)
    height, width, channels = samples.shape
    transform = _to_srgb("L" if channels < 3 else "RGB", tags.get(34675), notices)

    def strip(rows: slice) -> Float[np.ndarray, "r w c"]:
        part = _unit_range(samples[rows])
        part = 1 - part if inverted else part
        if premultiplied and channels in (2, 4):
            part[..., :-1] /= np.maximum(part[..., -1:], 1e-6)
        return _deep_to_srgb(part, transform)

    return _Source(height, width, strip)


def _uncompressed(page: tifffile.TiffPage, data: bytes) -> Shaped[np.ndarray, "..."]:
    """The samples where they lie in the file, uncopied."""
    assert page.dtype is not None
    kind = page.dtype.newbyteorder(page.parent.byteorder)
    return np.frombuffer(data, kind, math.prod(page.shape), page.dataoffsets[0]).reshape(page.shape)


def _check_floats(samples: Shaped[np.ndarray, "h w c"], notices: list[str]) -> None:
    if not np.issubdtype(samples.dtype, np.floating):
        return
    low, high = samples.min(), samples.max()
    if not np.isfinite([low, high]).all():
        raise InputError("must have finite pixels, got NaN or infinity; export it again")
    if low < 0 or high > 1:
        notices.append("pixels outside [0, 1] clipped")


def _unit_range(samples: Shaped[np.ndarray, "r w c"]) -> Float[np.ndarray, "r w c"]:
    if np.issubdtype(samples.dtype, np.floating):
        return np.clip(samples, 0, 1).astype(np.float32)
    return np.clip(samples.astype(np.float32) / np.float32(np.iinfo(samples.dtype).max), 0, 1)


def _upright(samples: Shaped[np.ndarray, "h w c"], orientation: int) -> Shaped[np.ndarray, "h2 w2 c"]:
    transpose, flips = _ORIENTATIONS.get(orientation, (False, ()))
    return np.flip(samples.swapaxes(0, 1) if transpose else samples, flips)


def _deep_to_srgb(
    samples: Float[np.ndarray, "r w c"], transform: ImageCms.ImageCmsTransform | None
) -> Float[np.ndarray, "r w c2"]:
    """Gray to RGB and other profiles to sRGB; as lcms is reached through Pillow, that conversion is made in 8 bits."""
    count = 1 if samples.shape[-1] < 3 else 3
    color, alpha = samples[..., :count], samples[..., count : count + 1]
    if transform:
        eight = np.round(color * 255).astype(np.uint8)
        converted = transform.apply(Image.fromarray(eight[..., 0] if count == 1 else eight))
        color = np.asarray(converted, np.float32) / 255
    return np.concatenate([np.broadcast_to(color, (*color.shape[:2], 3)), alpha], axis=-1)
