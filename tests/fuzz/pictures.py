"""Damaged pictures: a picture in [0, 1], or one line."""

import io
from functools import cache

import numpy as np
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

from nst_jax.images.files import picture_from_bytes
from tests.fuzz.harness import damage


@cache
def files() -> list[bytes]:
    """Small pictures in every form that is read."""
    rng = np.random.default_rng(0)
    eight = rng.integers(0, 256, (40, 33, 4), dtype=np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[274] = 6
    text = PngImagePlugin.PngInfo()
    text.add_itxt("config", "size: 512\n" * 50, zip=True)
    saved = [
        ("PNG", "RGBA", {"pnginfo": text, "icc_profile": profile, "exif": exif}),
        ("PNG", "P", {"transparency": 3}),
        ("PNG", "1", {}),
        ("JPEG", "RGB", {"exif": exif, "icc_profile": profile}),
        ("JPEG", "RGB", {"progressive": True}),
        ("JPEG", "CMYK", {}),
        ("WEBP", "RGBA", {"lossless": True, "exif": exif}),
        ("WEBP", "RGB", {}),
        ("GIF", "P", {}),
        ("BMP", "RGB", {}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("TIFF", "LA", {}),
        ("AVIF", "RGB", {}),
    ]
    found = [_saved(Image.fromarray(eight).convert(mode), form, options) for form, mode, options in saved]
    found.append(_saved(Image.fromarray(rng.integers(0, 65536, (40, 33)).astype(np.uint16)), "PNG", {}))
    deep, floats = rng.integers(0, 65536, (40, 33, 4)).astype(np.uint16), rng.random((40, 33, 3), np.float32)
    found += [
        _tiff(deep[..., :3]),
        _tiff(deep[..., :3], compression="zlib", predictor=True),
        _tiff(deep, extrasamples=["assocalpha"], compression="zlib", tile=(16, 16)),
        _tiff(deep, extrasamples=["unspecified"], iccprofile=profile),
        _tiff(floats, compression="zlib", rowsperstrip=7),
        _tiff(floats[..., 0], photometric="miniswhite"),
        _tiff(deep[..., 0].astype(np.int16), photometric="minisblack", byteorder=">"),
    ]
    return found


def _saved(image: Image.Image, form: str, options: dict) -> bytes:
    out = io.BytesIO()
    image.save(out, format=form, **options)
    return out.getvalue()


def _tiff(samples: np.ndarray, **options) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, samples, **{"photometric": "rgb", "metadata": None, **options})
    return out.getvalue()


def damaged_picture(rng: np.random.Generator) -> str:
    """One case."""
    pixels = picture_from_bytes(damage(files()[rng.integers(len(files()))], rng), "damaged").pixels
    assert pixels.dtype == np.float32
    assert pixels.shape[0] == 1
    assert pixels.shape[3] == 3
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    return "read"
