"""Strips change nothing but the memory: pictures read, resized and written by strips are those made whole."""

import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from nst_jax import images
from nst_jax.images.decode import decode
from nst_jax.images.files import read_image, resize, write_image

SIDES = st.integers(16, 41)
WHOLE = 10**9


def in_strips(pixels: int, make: Callable[[], Any]) -> Any:
    """What `make` gives where a strip has so many pixels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "PIXELS", pixels)
        return make()


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 5000))
def test_every_row_is_in_one_strip(height: int, width: int, pixels: int):
    found = in_strips(pixels, lambda: list(images.strips(height, width)))
    assert [row for rows in found for row in range(rows.start, rows.stop)] == list(range(height))
    assert all(rows.stop - rows.start == 1 or (rows.stop - rows.start) * width <= pixels for rows in found)


def by_pillow(mode: str, form: str, samples: np.ndarray, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(samples).convert(mode).save(out, format=form, **options)
    return out.getvalue()


def by_tifffile(samples: np.ndarray, orientation: int, **options: Any) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, samples, photometric="rgb", extratags=[(274, "H", 1, orientation, True)], **options)
    return out.getvalue()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[274] = 6
    return exif


LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()  # fits no RGB picture
XYZ = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()


def file_of(kind: str, height: int, width: int) -> bytes:
    """A picture of noise; where there is alpha, its upper half is opaque."""
    noise = np.random.default_rng(height * 100 + width).integers(0, 65536, (height, width, 4)).astype(np.uint16)
    noise[: height // 2, :, 3] = 65535
    eight = (noise // 257).astype(np.uint8)
    floats = (noise[..., :3] / 50000 - 0.1).astype(np.float32)
    return {
        "png": lambda: by_pillow("RGB", "PNG", eight, exif=turned()),
        "palette": lambda: by_pillow("P", "PNG", eight[..., :3], transparency=3),
        "alpha": lambda: by_pillow("RGBA", "PNG", eight),
        "gray": lambda: by_pillow("L", "TIFF", eight[..., :3], icc_profile=LAB),
        "jpeg": lambda: by_pillow("RGB", "JPEG", eight[..., :3], icc_profile=LAB, exif=turned()),
        "16 bits": lambda: by_pillow("I;16", "PNG", noise[..., 0]),
        "deep": lambda: by_tifffile(noise[..., :3], 7, iccprofile=XYZ, rowsperstrip=5),
        "deep alpha": lambda: by_tifffile(noise, 1, extrasamples=["assocalpha"]),
        "floats": lambda: by_tifffile(floats, 3),
        "planes": lambda: by_tifffile(np.moveaxis(noise[..., :3], -1, 0).copy(), 5, planarconfig="separate"),
    }[kind]()


KINDS = ["png", "palette", "alpha", "gray", "jpeg", "16 bits", "deep", "deep alpha", "floats", "planes"]


@settings(deadline=None, max_examples=15)
@given(SIDES, SIDES, st.integers(1, 700))
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_read_alike_in_strips_and_whole(kind: str, height: int, width: int, pixels: int):
    data = file_of(kind, height, width)
    whole, said = in_strips(WHOLE, lambda: decode(data))
    found, told = in_strips(pixels, lambda: decode(data))
    assert found.tobytes() == whole.tobytes()
    assert told == said
    assert whole.std() > 0.1


@settings(deadline=None)
@given(SIDES, SIDES, st.integers(1, 90), st.integers(1, 90), st.integers(1, 700))
def test_resize_is_pillows_of_each_whole_channel(height: int, width: int, tall: int, wide: int, pixels: int):
    picture = np.random.default_rng(tall).random((1, height, width, 3), np.float32)
    found = in_strips(pixels, lambda: resize(picture, (tall, wide)))
    assert found.dtype == np.float32
    for channel in range(3):
        whole = Image.fromarray(picture[0, :, :, channel].copy()).resize((wide, tall), Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(found[0, :, :, channel], np.clip(np.asarray(whole), 0, 1))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif"])
def test_a_file_is_written_alike_in_strips_and_whole(tmp_path: Path, name: str):
    picture = np.random.default_rng(0).uniform(-0.1, 1.1, (1, 37, 53, 3)).astype(np.float32)
    in_strips(100, lambda: write_image(tmp_path / f"strips-{name}", picture))
    in_strips(WHOLE, lambda: write_image(tmp_path / f"whole-{name}", picture))
    assert (tmp_path / f"strips-{name}").read_bytes() == (tmp_path / f"whole-{name}").read_bytes()


def test_a_tiff_has_strips_of_a_quarter_of_a_megabyte(tmp_path: Path):
    picture = np.random.default_rng(0).uniform(-0.1, 1.1, (1, 40, 3000, 3)).astype(np.float32)
    write_image(tmp_path / "a.tif", picture)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.pages.first.rowsperstrip == 14
        assert len(tiff.pages.first.dataoffsets) == 3
        np.testing.assert_array_equal(tiff.asarray(), np.round(np.clip(picture[0], 0, 1).astype(np.float64) * 65535))


# ---- memory, as numpy reports it: of 4 megapixels, over that of the float32 array


def peak(task: Callable[[], Any], nbytes: int) -> float:
    tracemalloc.start()
    try:
        task()
        return tracemalloc.get_traced_memory()[1] / nbytes
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def large() -> np.ndarray:
    y, x = np.mgrid[0:1600, 0:2500].astype(np.float32)
    return np.stack([x / 2500, y / 1600, (x + y) / 4100], axis=-1)[None]


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_reading_and_writing_hold_one_array_of_floats(tmp_path: Path, large: np.ndarray, name: str):
    assert peak(lambda: write_image(tmp_path / name, large), large.nbytes) < 0.1
    data = (tmp_path / name).read_bytes()
    assert 1 <= peak(lambda: decode(data), large.nbytes) < (1.6 if name == "a.tif" else 1.1)  # a TIFF's own samples are half


def test_samples_that_lie_in_the_file_are_not_copied(tmp_path: Path, large: np.ndarray):
    tifffile.imwrite(tmp_path / "a.tif", (large[0] * 65535).astype(np.uint16), photometric="rgb")
    assert 1.5 <= peak(lambda: read_image(tmp_path / "a.tif"), large.nbytes) < 1.6  # the file itself is half


def test_resizing_holds_no_copy(large: np.ndarray):
    assert peak(lambda: resize(large, (400, 625)), large.nbytes) < 0.25
