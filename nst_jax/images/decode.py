"""Bytes of a picture file to sRGB floats: color profiles, CMYK, palettes, 16 bits, alpha. Used by `files.read_image`."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tifffile
from jaxtyping import Float, Shaped
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from nst_jax.errors import InputError

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


def decode(data: bytes) -> tuple[Float[np.ndarray, "h w 3"], tuple[str, ...]]:
    """The picture in `data` as float32 sRGB in [0, 1], upright, and what was done to it that its owner should know.

    Args:
        data: the whole file, in one of `FORMATS`; of several frames or pages the first is taken.

    Raises:
        InputError: not a picture, a broken one, or more than `MAX_PIXELS` pixels (seen before anything is unpacked).
    """
    notices: list[str] = []
    try:
        samples = _read_deep_tiff(data, notices) if data.startswith(_TIFF_STARTS) else None
        if samples is None:
            samples = _read_with_pillow(data, notices)
    except InputError:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        bomb = isinstance(error, Image.DecompressionBombError)
        raise InputError(_TOO_LARGE if bomb else "must be a picture, got something else; " + _ADVICE) from error
    except Exception as error:  # on broken bytes the decoders raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"must be a whole picture file, got a broken one ({reason}); copy or export it again") from error
    return np.ascontiguousarray(_on_white(samples, notices), dtype=np.float32), tuple(notices)


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


def _on_white(samples: Shaped[np.ndarray, "h w c"], notices: list[str]) -> Shaped[np.ndarray, "h w 3"]:
    color, alpha = samples[..., :3], samples[..., 3:]
    if alpha.size == 0 or alpha.min() >= 1:
        return color
    notices.append("alpha composited on white")
    return color * alpha + (1 - alpha)


def _read_with_pillow(data: bytes, notices: list[str]) -> Shaped[np.ndarray, "h w c"]:
    with _bombs_refused(), Image.open(io.BytesIO(data), formats=FORMATS) as opened:
        opened.load()
        frames = getattr(opened, "n_frames", 1)
        image = ImageOps.exif_transpose(opened)
        kind = opened.format
    if frames > 1 and kind != "MPO":  # the further pictures of an MPO are a phone's previews and depth maps
        notices.append(f"first of {frames} frames used")
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I"):
        return _deep_to_srgb(np.asarray(image, np.float32)[..., None] / 65535, profile, notices)
    if kind == "PNG" and data[24] == 16:  # the bit depth in the header
        notices.append("16 bits a channel read as 8 (16-bit TIFF keeps them)")
    alpha = None
    gray = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
    color = image if image.mode == "CMYK" else image.convert("L" if gray else "RGB")
    converted = _from_profile(color, profile, notices)
    color = color.convert("RGB") if converted is None else converted
    return np.dstack([np.asarray(part, np.float32) / 255 for part in (color, alpha) if part is not None])


def _from_profile(image: Image.Image, profile: bytes | None, notices: list[str]) -> Image.Image | None:
    """An 8-bit L, RGB or CMYK image by its ICC profile to sRGB; None where there is nothing to convert from."""
    cmyk = image.mode == "CMYK"
    if cmyk and not profile:
        notices.append("CMYK converted to sRGB without a profile: colors are approximate")
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        name = ImageCms.getProfileDescription(source).strip()
        if "sRGB" in name and not cmyk:
            return None
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        notices.append("color profile ignored: it is broken or does not fit the picture")
        return None
    notices.append(f"{'CMYK' if cmyk else 'colors'} converted to sRGB from profile {name!r}")
    return converted


def _read_deep_tiff(data: bytes, notices: list[str]) -> Shaped[np.ndarray, "h w c"] | None:
    """A gray or RGB TIFF of more than 8 bits a sample, which Pillow would cut to 8 or refuse; None for any other."""
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages.first
        if page.dtype is None or page.dtype.itemsize == 1 or page.photometric not in (0, 1, 2):
            return None
        if page.imagelength * page.imagewidth > MAX_PIXELS:
            raise InputError(_TOO_LARGE)
        try:
            samples = page.asarray()
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
    samples = _unit_range(samples, notices)
    samples = 1 - samples if inverted else samples
    if premultiplied and samples.shape[-1] in (2, 4):
        samples[..., :-1] /= np.maximum(samples[..., -1:], 1e-6)
    return _deep_to_srgb(_upright(samples, tags.get(274, 1)), tags.get(34675), notices)


def _unit_range(samples: Shaped[np.ndarray, "h w c"], notices: list[str]) -> Float[np.ndarray, "h w c"]:
    if not np.issubdtype(samples.dtype, np.floating):
        return np.clip(samples.astype(np.float32) / np.float32(np.iinfo(samples.dtype).max), 0, 1)
    if not np.isfinite(samples).all():
        raise InputError("must have finite pixels, got NaN or infinity; export it again")
    if samples.min() < 0 or samples.max() > 1:
        notices.append("pixels outside [0, 1] clipped")
    return np.clip(samples, 0, 1).astype(np.float32)


def _upright(samples: Float[np.ndarray, "h w c"], orientation: int) -> Float[np.ndarray, "h2 w2 c"]:
    transpose, flips = _ORIENTATIONS.get(orientation, (False, ()))
    return np.flip(samples.swapaxes(0, 1) if transpose else samples, flips)


def _deep_to_srgb(
    samples: Float[np.ndarray, "h w c"], profile: bytes | None, notices: list[str]
) -> Float[np.ndarray, "h w c2"]:
    """Gray to RGB and other profiles to sRGB; as lcms is reached through Pillow, that conversion is made in 8 bits."""
    count = 1 if samples.shape[-1] < 3 else 3
    color, alpha = samples[..., :count], samples[..., count : count + 1]
    eight = np.round(color * 255).astype(np.uint8)
    converted = _from_profile(Image.fromarray(eight[..., 0] if count == 1 else eight), profile, notices)
    if converted is not None:
        color = np.asarray(converted, np.float32) / 255
    return np.concatenate([np.broadcast_to(color, (*color.shape[:2], 3)), alpha], axis=-1)
