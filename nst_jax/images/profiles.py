"""ICC profiles: colors of other spaces converted to sRGB by LittleCMS."""

import io
import itertools

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageCms

Transform = ImageCms.ImageCmsTransform


def to_srgb(mode: str, profile: bytes | None, notices: list[str]) -> Transform | None:
    """The conversion from a profile to sRGB; None if there is no usable profile or the profile is sRGB.

    A profile's description says nothing about its tone curve ("GIMP built-in Linear sRGB"), so profiles are compared by what
    they do to a set of colors.

    Args:
        mode: "L", "RGB" or "CMYK", of 8 bits.
        profile: the ICC profile in the file.
        notices: gets a line if colors are converted or the profile is ignored.
    """
    cmyk = mode == "CMYK"
    if not profile:
        if cmyk:
            notices.append("CMYK converted to sRGB without a profile: colors are approximate")
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        name = ImageCms.getProfileDescription(source).strip()
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        if not cmyk and _is_identity(transform, mode):
            return None
    except (ImageCms.PyCMSError, OSError, ValueError):
        notices.append("color profile ignored: it is broken or does not fit the picture")
        return None
    notices.append(f"{'CMYK' if cmyk else 'colors'} converted to sRGB from profile {name!r}")
    return transform


def _is_identity(transform: Transform, mode: str) -> bool:
    """Whether no color moves by more than 2 of 255, within which makers of sRGB profiles differ."""
    levels = np.arange(0, 256, 1 if mode == "L" else 15, dtype=np.uint8)
    colors = levels[None] if mode == "L" else np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
    moved = np.asarray(transform.apply(Image.fromarray(colors)), np.int16)
    return bool(np.abs(moved - (colors[..., None] if mode == "L" else colors)).max() <= 2)


def convert(color: Float[np.ndarray, "h w c"], transform: Transform) -> Float[np.ndarray, "h w 3"]:
    """Applies a conversion to floats in [0, 1], of 1 or 3 channels.

    Pillow gives access to LittleCMS in 8 bits only, too coarse for the shadows of linear light. The result is therefore
    interpolated between the 8-bit neighbors of each color.
    """
    scaled = color * 255
    low = np.minimum(np.floor(scaled), 254).astype(np.uint8)
    share = scaled - low
    result = np.zeros((*color.shape[:2], 3), np.float32)
    for corner in itertools.product((0, 1), repeat=color.shape[2]):
        weight = np.where(corner, share, 1 - share).prod(-1, keepdims=True)
        neighbor = low + np.array(corner, np.uint8)
        applied = transform.apply(Image.fromarray(neighbor[..., 0] if color.shape[2] == 1 else neighbor))
        result += weight * np.asarray(applied, np.float32)
    return np.minimum(result / np.float32(255), 1)  # the weights add up to 1 but for rounding


def from_gamma(color: Float[np.ndarray, "h w c"], gamma: float | None) -> Float[np.ndarray, "h w c"]:
    """Colors in [0, 1] that are light to the power `gamma`, as sRGB (IEC 61966-2-1); None leaves them as they are."""
    if gamma is None:
        return color
    light = color ** (1 / gamma)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055).astype(np.float32)
