"""Pictures as people have them: every form is made here, read, and compared with the array it was made from."""

import hashlib
import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from nst_jax.errors import InputError
from nst_jax.images import decode, profiles
from nst_jax.images.files import data_uri, fit_long_side, picture_size, read_image, read_text, resize, write_image
from nst_jax.images.video import read_frame

HEIGHT, WIDTH = 20, 28


@pytest.fixture
def pixels() -> np.ndarray:
    """A smooth picture without symmetry, so that every turn, flip and channel swap shows."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / 28
    return np.stack([x, y, (x + 2 * y) / 3], axis=-1)[None].astype(np.float32)


def eight_bits(pixels: np.ndarray) -> np.ndarray:
    return np.round(pixels[0] * 255).astype(np.uint8)


def png_bytes(samples: np.ndarray, color_type: int) -> bytes:
    """A 16-bit PNG by hand: Pillow cannot write RGB ones."""
    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    packed = [struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


# ---- what is written is read back


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("a.png", 0.5 / 255),
        ("a.tif", 0.5 / 65535),
        ("a.TIFF", 0.5 / 65535),
        ("a.jpg", 0.03),
        ("a.webp", 0.06),
        ("a.avif", 0.06),
    ],
)
def test_written_pictures_read_back_with_their_text(tmp_path: Path, pixels: np.ndarray, name: str, tolerance: float):
    text = {"config": "size: 512\nstyle: Tübingen 星", "sha256": "0" * 64}
    write_image(tmp_path / name, pixels, text=text)
    picture = read_image(tmp_path / name)
    assert picture.pixels.dtype == np.float32
    assert np.abs(picture.pixels - pixels).max() <= tolerance * 1.001
    assert picture.notices == ()
    assert picture.source == str(tmp_path / name)
    assert picture.sha256 == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert read_text(tmp_path / name) == text
    with Image.open(tmp_path / name) as image:
        assert "sRGB" in ImageCms.getProfileDescription(io.BytesIO(image.info["icc_profile"]))
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.avif", "a.tif"])
def test_same_pixels_give_the_same_bytes_at_any_time(tmp_path: Path, pixels: np.ndarray, name: str, monkeypatch):
    from nst_jax.images import files

    write_image(tmp_path / name, pixels, text={"a": "b"})
    first = (tmp_path / name).read_bytes()
    files._srgb_profile.cache_clear()
    made_at = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()[24:36]
    assert files._srgb_profile()[24:36] != made_at
    write_image(tmp_path / name, pixels, text={"a": "b"})
    assert (tmp_path / name).read_bytes() == first
    assert made_at not in first


def test_without_text_there_is_none(tmp_path: Path, pixels: np.ndarray):
    for name in ("a.png", "a.jpg", "a.webp", "a.tif"):
        write_image(tmp_path / name, pixels)
        assert read_text(tmp_path / name) == {}


def test_values_outside_the_range_are_clipped_not_wrapped(tmp_path: Path, pixels: np.ndarray):
    write_image(tmp_path / "a.png", pixels * 4 - 1)
    assert np.allclose(read_image(tmp_path / "a.png").pixels, np.clip(pixels * 4 - 1, 0, 1), atol=0.51 / 255)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, pixels: np.ndarray, monkeypatch):
    write_image(tmp_path / "a.png", pixels)
    before = (tmp_path / "a.png").read_bytes()

    def full_disk(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(InputError, match="no space left on device"):
        write_image(tmp_path / "a.png", 1 - pixels)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == before


@pytest.mark.parametrize(("name", "message"), [("a.gif", "must be one of .avif, .jpeg"), ("no/such/a.png", "must be writable")])
def test_unwritable_names_are_told(tmp_path: Path, pixels: np.ndarray, name: str, message: str):
    with pytest.raises(InputError, match=message):
        write_image(tmp_path / name, pixels)


def test_nan_and_texts_too_long_are_refused(tmp_path: Path, pixels: np.ndarray):
    with pytest.raises(InputError, match="finite"):
        write_image(tmp_path / "a.png", pixels * np.float32(np.nan))
    with pytest.raises(InputError, match=r"write a \.png"):
        write_image(tmp_path / "a.jpg", pixels, text={"config": "x" * 70_000})
    assert list(tmp_path.iterdir()) == []


# ---- the forms people have


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_exif_orientation_is_undone(tmp_path: Path, pixels: np.ndarray, orientation: int, suffix: str):
    upright = pixels[0]
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    path = tmp_path / f"a.{suffix}"
    if suffix == "tif":
        tags = [(274, "H", 1, orientation, True)]
        tifffile.imwrite(path, np.round(stored * 65535).astype(np.uint16), photometric="rgb", extratags=tags)
    else:
        exif = Image.Exif()
        exif[274] = orientation
        Image.fromarray(np.round(stored * 255).astype(np.uint8)).save(path, exif=exif, quality=100, subsampling=0)
    assert np.abs(read_image(path).pixels - pixels).max() < 0.02


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [(suffix, mode) for suffix in ("png", "tif", "webp") for mode in ("RGB", "L", "1", "P", "RGBA", "LA")]
    + [("gif", "L"), ("gif", "1"), ("gif", "P"), ("bmp", "RGB"), ("bmp", "L"), ("bmp", "1"), ("bmp", "P")],
)
def test_opaque_modes_read_as_pillow_shows_them(tmp_path: Path, pixels: np.ndarray, suffix: str, mode: str):
    image = Image.fromarray(eight_bits(pixels))
    image = image.convert("L").convert("LA") if mode == "LA" else image.convert(mode)
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    image.save(tmp_path / f"a.{suffix}", **options)
    picture = read_image(tmp_path / f"a.{suffix}")
    assert picture.pixels.shape == (1, HEIGHT, WIDTH, 3)
    assert np.array_equal(np.round(picture.pixels[0] * 255), np.asarray(image.convert("RGB")))
    assert picture.notices == ()


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_alpha_is_composited_on_white_and_said(tmp_path: Path, pixels: np.ndarray, suffix: str):
    alpha = np.linspace(0, 255, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH, 1).astype(np.uint8)
    options: dict[str, Any] = {"lossless": True, "exact": True} if suffix == "webp" else {}
    Image.fromarray(np.dstack([eight_bits(pixels), alpha])).save(tmp_path / f"a.{suffix}", **options)
    picture = read_image(tmp_path / f"a.{suffix}")
    share = alpha / 255
    assert np.allclose(picture.pixels[0], pixels[0] * share + 1 - share, atol=0.51 / 255)
    assert picture.notices == ("alpha composited on white",)


def test_transparent_entries_of_palette_gray_and_rgb_become_white(tmp_path: Path):
    values = np.zeros((16, 16), np.uint8)
    values[:8] = 1
    palette = Image.fromarray(values).convert("P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    gray = Image.fromarray(values * 200)
    for image, transparency, kept in [
        (palette, 0, [0, 0, 1]),
        (palette, bytes([0, 255]), [0, 0, 1]),
        (gray, 0, [200 / 255] * 3),
        (gray.convert("RGB"), (0, 0, 0), [200 / 255] * 3),
    ]:
        image.save(tmp_path / "a.png", transparency=transparency)
        picture = read_image(tmp_path / "a.png")
        assert np.allclose(picture.pixels[0, 0, 0], kept)
        assert np.allclose(picture.pixels[0, 15, 0], 1)
        assert picture.notices == ("alpha composited on white",)


def test_16_bits_of_gray_png_and_of_tiff_are_kept(tmp_path: Path, pixels: np.ndarray):
    deep = np.round(pixels[0] * 65535).astype(np.uint16)
    (tmp_path / "gray.png").write_bytes(png_bytes(deep[..., :1], 0))
    assert np.allclose(read_image(tmp_path / "gray.png").pixels[0], deep[..., :1] / 65535, atol=1e-7)
    tifffile.imwrite(tmp_path / "rgb.tif", deep, photometric="rgb", byteorder=">")
    assert np.allclose(read_image(tmp_path / "rgb.tif").pixels[0], deep / 65535, atol=1e-7)
    planes = np.moveaxis(deep, -1, 0)
    tifffile.imwrite(tmp_path / "planes.tif", planes, photometric="rgb", planarconfig="separate")
    assert np.allclose(read_image(tmp_path / "planes.tif").pixels[0], deep / 65535, atol=1e-7)
    tifffile.imwrite(tmp_path / "negative.tif", deep[..., 1], photometric="miniswhite")
    assert np.allclose(read_image(tmp_path / "negative.tif").pixels[0], 1 - deep[..., 1:2] / 65535, atol=1e-7)


def test_16_bit_rgb_png_says_that_it_is_cut_to_8(tmp_path: Path, pixels: np.ndarray):
    (tmp_path / "rgb.png").write_bytes(png_bytes(np.round(pixels[0] * 65535).astype(np.uint16), 2))
    picture = read_image(tmp_path / "rgb.png")
    assert np.abs(picture.pixels - pixels).max() <= 1.01 / 255
    assert any("16 bits" in notice for notice in picture.notices)


@pytest.mark.parametrize("premultiplied", [False, True])
def test_16_bit_alpha_straight_and_premultiplied(tmp_path: Path, pixels: np.ndarray, premultiplied: bool):
    share = np.linspace(0, 1, WIDTH, dtype=np.float32)[None, :, None] * np.ones((HEIGHT, 1, 1), np.float32)
    color = pixels[0] * share if premultiplied else pixels[0]
    samples = np.round(np.dstack([color, share]) * 65535).astype(np.uint16)
    kind = "assocalpha" if premultiplied else "unassalpha"
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", extrasamples=[kind])
    picture = read_image(tmp_path / "a.tif")
    assert np.allclose(picture.pixels[0], pixels[0] * share + 1 - share, atol=3e-5)
    assert picture.notices == ("alpha composited on white",)


def test_float_tiff_is_taken_as_srgb_clipped_and_must_be_finite(tmp_path: Path, pixels: np.ndarray):
    tifffile.imwrite(tmp_path / "a.tif", pixels[0], photometric="rgb")
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, pixels)
    tifffile.imwrite(tmp_path / "b.tif", pixels[0].astype(np.float64) * 2, photometric="rgb")
    picture = read_image(tmp_path / "b.tif")
    assert np.array_equal(picture.pixels, np.minimum(pixels * 2, 1))
    assert picture.notices == ("pixels outside [0, 1] clipped",)
    tifffile.imwrite(tmp_path / "c.tif", pixels[0] * np.float32(np.nan), photometric="rgb")
    with pytest.raises(InputError, match=r"c\.tif must have finite pixels"):
        read_image(tmp_path / "c.tif")


def test_cmyk_jpeg_with_adobes_inversion_and_cmyk_tiff(tmp_path: Path):
    ink = np.zeros((16, 16, 4), np.uint8)
    ink[..., 0] = 255  # full cyan: no red, all green and blue
    for name in ("a.jpg", "a.tif"):
        Image.fromarray(ink, mode="CMYK").save(tmp_path / name)
        picture = read_image(tmp_path / name)
        assert np.allclose(picture.pixels[0, 8, 8], [0, 1, 1], atol=0.02)
        assert picture.notices == ("CMYK converted to sRGB without a profile: colors are approximate",)


def linear_profile() -> bytes:
    """A matrix profile with sRGB's primaries and no gamma: sRGB's with its three curves replaced."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", profile[128:132])[0]
    for index in range(count):
        tag, offset, size = struct.unpack(">4sII", profile[132 + 12 * index : 144 + 12 * index])
        if tag in (b"rTRC", b"gTRC", b"bTRC"):
            profile[offset : offset + 12] = b"curv" + bytes(8)  # no entries: the identity
            profile[132 + 12 * index + 8 : 144 + 12 * index] = struct.pack(">I", 12)
        if tag == b"desc":
            profile[offset : offset + size] = profile[offset : offset + size].replace(b"\0s\0R\0G\0B", b"\0l\0i\0n\0r")
    return bytes(profile)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "16.tif"])
def test_other_color_profiles_are_converted_to_srgb(tmp_path: Path, pixels: np.ndarray, suffix: str):
    path = tmp_path / f"a.{suffix}"
    if suffix == "16.tif":
        deep = np.round(pixels[0] * 65535).astype(np.uint16)
        tifffile.imwrite(path, deep, photometric="rgb", iccprofile=linear_profile())
    else:
        Image.fromarray(eight_bits(pixels)).save(path, icc_profile=linear_profile(), quality=100, subsampling=0)
    expected = np.where(pixels <= 0.0031308, 12.92 * pixels, 1.055 * np.maximum(pixels, 1e-9) ** (1 / 2.4) - 0.055)
    picture = read_image(path)
    lit = pixels > 0.05  # an 8-bit step of linear light in the shadows is many of sRGB's
    assert np.abs(picture.pixels - expected)[lit].max() < 0.03
    assert any("converted to sRGB from profile" in notice for notice in picture.notices)


def test_a_conversion_of_floats_stays_within_0_and_1():
    transform = profiles.to_srgb("RGB", linear_profile(), [])
    assert transform is not None
    nearly_white = np.random.default_rng(0).uniform(254 / 255, 1, (99, 99, 3)).astype(np.float32)
    found = profiles.convert(nearly_white, transform)
    assert found.min() >= 254 / 255
    assert found.max() <= 1


def test_a_gray_picture_with_an_rgb_profile_or_a_broken_one_is_read_all_the_same(tmp_path: Path, pixels: np.ndarray):
    for mode, profile in [("L", linear_profile()), ("RGB", b"no profile")]:
        image = Image.fromarray(eight_bits(pixels)).convert(mode)
        image.save(tmp_path / "a.png", icc_profile=profile)
        picture = read_image(tmp_path / "a.png")
        assert np.array_equal(np.round(picture.pixels[0] * 255), np.asarray(image.convert("RGB")))
        assert picture.notices == ("color profile ignored: it is broken or does not fit the picture",)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_the_first_of_several_frames_is_used_and_said(tmp_path: Path, suffix: str):
    frames = [Image.new("RGB", (20, 20), color) for color in ("red", "blue")]
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], **options)
    picture = read_image(tmp_path / f"a.{suffix}")
    assert np.allclose(picture.pixels, np.array([1, 0, 0]), atol=0.01)
    assert picture.notices == ("first of 2 frames used",)


# ---- what cannot be read: one line each


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_image(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_no_file_a_folder_an_empty_file_and_no_picture(tmp_path: Path):
    assert "no such file" in refused(tmp_path / "none.png")
    assert "a folder" in refused(tmp_path)
    (tmp_path / "empty.png").write_bytes(b"")
    assert "an empty file" in refused(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("hello")
    assert "must be a picture" in refused(tmp_path / "text.png")
    (tmp_path / "page.ps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n")
    assert "must be a picture" in refused(tmp_path / "page.ps")


def test_an_unreadable_file(tmp_path: Path, monkeypatch):
    def denied(path):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.png").write_bytes(b"x")
    monkeypatch.setattr(Path, "read_bytes", denied)
    assert "must be readable, got Permission denied" in refused(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "bmp", "tif", "16.tif"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_truncated_files(tmp_path: Path, suffix: str, share: float, capfd, caplog):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / f"a.{suffix}"
    if suffix == "16.tif":
        tifffile.imwrite(path, noise.astype(np.uint16) * 257, photometric="rgb", compression="zlib")
    else:
        Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    refused(path)
    assert capfd.readouterr().err == ""


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "deep"]), data=st.data())
def test_damaged_bytes_give_a_picture_or_one_line(kind: str, data: st.DataObject):
    out = io.BytesIO()
    samples = np.random.default_rng(1).integers(0, 256, (17, 19, 3), dtype=np.uint8)
    if kind == "deep":
        tifffile.imwrite(out, samples.astype(np.uint16), photometric="rgb", metadata=None)
    else:
        Image.fromarray(samples).save(out, format=kind)
    raw = bytearray(out.getvalue())
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=4)):
        raw[place] = data.draw(st.integers(0, 255))
    try:
        pixels, _ = decode.decode(bytes(raw))
    except InputError as error:
        message = str(error)
    else:
        message = ""
        assert pixels.shape[-1] == 3
        assert np.isfinite(pixels).all()
    assert "\n" not in message


def test_bombs_are_refused_before_they_are_unpacked(tmp_path: Path, monkeypatch):
    row = zlib.compress(bytes(1_000_000), 9)
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", row), (b"IEND", b"")]
    packed = [struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks]
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    assert "at most 400 megapixels" in refused(tmp_path / "bomb.png")
    text = PngImagePlugin.PngInfo()
    text.add_text("a", "x" * 5_000_000, zip=True)
    Image.new("RGB", (20, 20)).save(tmp_path / "text.png", pnginfo=text)
    assert read_image(tmp_path / "text.png").notices == ()  # text is not needed
    monkeypatch.setattr(decode, "MAX_PIXELS", 399)
    tifffile.imwrite(tmp_path / "deep.tif", np.zeros((20, 20), np.uint16))
    assert "at most" in refused(tmp_path / "deep.tif")


def test_large_but_allowed_pictures_warn_of_nothing(tmp_path: Path, pixels: np.ndarray, monkeypatch):
    monkeypatch.setattr(decode, "MAX_PIXELS", HEIGHT * WIDTH)
    Image.fromarray(eight_bits(pixels)).save(tmp_path / "a.png")
    before = Image.MAX_IMAGE_PIXELS
    assert read_image(tmp_path / "a.png").pixels.shape == pixels.shape
    assert before == Image.MAX_IMAGE_PIXELS


def test_a_side_under_16_pixels_is_refused(tmp_path: Path):
    for size in [(1, 1), (15, 400), (400, 15)]:
        Image.new("RGB", size).save(tmp_path / "a.png")
        assert f"at least 16 pixels on each side, got {size[0]}x{size[1]}" in refused(tmp_path / "a.png")
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").pixels.shape == (1, 16, 16, 3)


# ---- sizes


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 5000))
def test_fit_long_side_keeps_the_aspect(height: int, width: int, size: int):
    new_height, new_width = fit_long_side(height, width, size)
    assert max(new_height, new_width) == size
    assert min(new_height, new_width) >= 1
    exact = min(height, width) * size / max(height, width)
    assert abs(min(new_height, new_width) - max(exact, 1)) <= 0.5


@pytest.mark.parametrize("size", [(20, 28), (10, 14), (7, 9), (41, 60)])
def test_resize_keeps_ramps_and_the_mean(pixels: np.ndarray, size: tuple[int, int]):
    smaller = resize(pixels, size)
    assert smaller.shape == (1, *size, 3)
    assert smaller.dtype == np.float32
    assert np.allclose(smaller.mean((1, 2)), pixels.mean((1, 2)), atol=2e-3)
    ramp = np.tile(((np.arange(size[1]) + 0.5) / size[1] * WIDTH - 0.5) / 28, (size[0], 1))
    inner = (slice(None), slice(size[1] // 3, -(size[1] // 3)))
    assert np.allclose(smaller[0, ..., 0][inner], ramp[inner], atol=2e-3)


def test_resize_does_not_round_to_8_bits_nor_alias():
    fine = np.full((1, 64, 64, 3), 0.1234, np.float32)
    assert np.allclose(resize(fine, (32, 32)), 0.1234, atol=1e-6)
    fine[:, ::2] = 0.8766
    assert np.allclose(resize(fine, (16, 64))[0, 2:-2], 0.5, atol=0.02)


def test_resize_clips_the_overshoot():
    edge = np.zeros((1, 32, 32, 3), np.float32)
    edge[:, :, 16:] = 1
    larger = resize(edge, (64, 64))
    assert larger.min() == 0
    assert larger.max() == 1


# ---- what a decoder must not get wrong silently


def linear_light(samples: np.ndarray) -> np.ndarray:
    return np.where(samples <= 0.04045, samples / 12.92, ((samples + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("kind", ["png", "uint16", "float32"])
def test_linear_light_is_told_by_the_tone_curve_not_by_the_name(tmp_path: Path, pixels: np.ndarray, kind: str):
    profile = linear_profile().replace(b"\0l\0i\0n\0r", b"\0s\0R\0G\0B")  # "sRGB built-in", with a curve that is none
    assert "sRGB" in ImageCms.getProfileDescription(io.BytesIO(profile))
    linear = linear_light(pixels[0].astype(np.float64))
    if kind == "png":
        Image.fromarray(np.round(linear * 255).astype(np.uint8)).save(tmp_path / "a", format="PNG", icc_profile=profile)
    else:
        samples = np.round(linear * 65535).astype(np.uint16) if kind == "uint16" else linear.astype(np.float32)
        tifffile.imwrite(tmp_path / "a", samples, photometric="rgb", iccprofile=profile)
    picture = read_image(tmp_path / "a")
    assert np.abs(picture.pixels - pixels).max() < (0.03 if kind == "png" else 0.005)
    assert len(picture.notices) == 1


def with_chunk(png: bytes, name: bytes, body: bytes, crc: int | None = None) -> bytes:
    """A PNG with a further chunk before its samples."""
    place, crc = png.index(b"IDAT") - 4, zlib.crc32(name + body) if crc is None else crc
    return png[:place] + struct.pack(">I", len(body)) + name + body + struct.pack(">I", crc) + png[place:]


@pytest.mark.parametrize("color_type", [0, 2])
def test_a_png_of_linear_light_is_told_by_its_gamma(pixels: np.ndarray, color_type: int):
    light = pixels[0] if color_type == 2 else pixels[0, ..., :1]
    png = png_bytes(np.round(linear_light(light.astype(np.float64)) * 65535).astype(np.uint16), color_type)
    found, notices = decode.decode(with_chunk(png, b"gAMA", struct.pack(">I", 100_000)))
    assert np.abs(found - light).max() < 0.05
    assert any("gamma 1" in notice for notice in notices)
    plain, _ = decode.decode(png)
    for ignored in (45_455, 0, 1):
        assert np.array_equal(decode.decode(with_chunk(png, b"gAMA", struct.pack(">I", ignored)))[0], plain)


def test_pictures_whose_tones_no_screen_shows_are_refused(pixels: np.ndarray):
    out = io.BytesIO()
    Image.fromarray(eight_bits(pixels)).save(out, format="PNG")
    assert decode.decode(with_chunk(out.getvalue(), b"cICP", bytes([1, 13, 0, 1])))[0].shape == pixels.shape[1:]
    with pytest.raises(InputError, match="high dynamic range"):
        decode.decode(with_chunk(out.getvalue(), b"cICP", bytes([9, 16, 0, 1])))
    with pytest.raises(InputError, match="high dynamic range"):
        decode.decode(b"\0\0\0\x1cftypavif\0\0\0\0meta" + b"\0\0\0\x13colrnclx\0\x09\0\x12\0\x09\x80")


def test_the_profiles_of_srgb_change_nothing(pixels: np.ndarray):
    out = io.BytesIO()
    Image.fromarray(eight_bits(pixels)).save(
        out, format="PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    found, notices = decode.decode(out.getvalue())
    assert np.array_equal(np.round(found * 255), eight_bits(pixels))
    assert notices == ()


def tiff_bytes(samples: np.ndarray, **options: Any) -> bytes:
    out = io.BytesIO()
    options.setdefault("photometric", "rgb" if samples.shape[-1] >= 3 else "minisblack")
    tifffile.imwrite(out, samples, metadata=None, **options)
    return out.getvalue()


DEEP = {
    "float32 gray": (np.float32, 1.0, "minisblack"),
    "float32 rgb": (np.float32, 1.0, "rgb"),
    "uint16 rgb": (np.uint16, 65535, "rgb"),
    "uint16 white is 0": (np.uint16, 65535, "miniswhite"),
    "int32 gray": (np.int32, 2**31 - 1, "minisblack"),
    "uint32 gray": (np.uint32, 2**32 - 1, "minisblack"),
    "int16 gray": (np.int16, 2**15 - 1, "minisblack"),
}


@pytest.mark.parametrize(
    "compression", [{"compression": "lzw"}, {"compression": "zlib", "predictor": True}, {"compression": "zlib"}]
)
@pytest.mark.parametrize("kind", DEEP)
def test_deep_tiffs_are_right_in_every_compression(pixels: np.ndarray, kind: str, compression: dict, monkeypatch):
    pytest.importorskip("imagecodecs")
    dtype, white, photometric = DEEP[kind]
    picture = pixels[0].astype(np.float64) if photometric == "rgb" else pixels[0, ..., 1].astype(np.float64)
    samples = (picture * white).astype(dtype)
    found, notices = decode.decode(tiff_bytes(samples, photometric=photometric, **compression))
    expected = np.broadcast_to(picture.reshape(HEIGHT, WIDTH, -1), (HEIGHT, WIDTH, 3))
    assert np.allclose(found, 1 - expected if photometric == "miniswhite" else expected, atol=1e-4)
    assert notices == ()


def test_a_tiff_that_needs_another_package_says_which(pixels: np.ndarray, monkeypatch):
    def refuse(page, **options):
        raise ValueError(f"{page.compression!r} requires the 'imagecodecs' package")  # tifffile's, without imagecodecs

    monkeypatch.setattr(tifffile.TiffPage, "asarray", refuse)
    with pytest.raises(InputError, match=r"ADOBE_DEFLATE .* pip install imagecodecs"):
        decode.decode(tiff_bytes((pixels[0] * 65535).astype(np.uint16), compression="zlib"))


def test_bands_that_are_not_alpha_are_ignored(pixels: np.ndarray):
    infrared = np.linspace(0, 1, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH, 1)
    samples = np.round(np.concatenate([pixels[0], infrared], -1) * 65535).astype(np.uint16)
    found, notices = decode.decode(tiff_bytes(samples, extrasamples=["unspecified"]))
    assert np.allclose(found, pixels[0], atol=1e-4)
    assert notices == ("bands other than color and alpha ignored",)
    both = np.concatenate([samples, samples[..., 3:] // 2], -1)
    found, notices = decode.decode(tiff_bytes(both, extrasamples=["unspecified", "unassalpha"]))
    assert np.allclose(found, pixels[0] * infrared / 2 + 1 - infrared / 2, atol=1e-4)
    eight, _ = decode.decode(tiff_bytes((both >> 8).astype(np.uint8), extrasamples=["unspecified", "unassalpha"]))
    assert np.allclose(eight, found, atol=0.02)


def test_white_is_zero_leaves_alpha_and_premultiplied_colors_stay_in_range(pixels: np.ndarray):
    gray = np.round(pixels[0, ..., :1] * 65535).astype(np.uint16)
    alpha = np.full_like(gray, 16384)
    found, _ = decode.decode(
        tiff_bytes(np.concatenate([gray, alpha], -1), photometric="miniswhite", extrasamples=["unassalpha"])
    )
    assert np.allclose(found, (1 - pixels[0, ..., :1]) / 4 + 3 / 4, atol=1e-3)
    beyond = np.full((HEIGHT, WIDTH, 4), 60000, np.uint16)
    beyond[..., 3] = 100
    found, _ = decode.decode(tiff_bytes(beyond, extrasamples=["assocalpha"]))
    assert found.max() <= 1


def test_8_bit_premultiplied_gray_and_alpha(pixels: np.ndarray):
    gray, alpha = eight_bits(pixels)[..., :1], np.full((HEIGHT, WIDTH, 1), 128, np.uint8)
    samples = np.concatenate([gray // 2, alpha], -1)
    found, _ = decode.decode(tiff_bytes(samples, photometric="minisblack", extrasamples=["assocalpha"]))
    assert np.allclose(found, pixels[0, ..., :1] / 2 + 1 / 2, atol=0.02)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("tag", ["TileByteCounts", "TileOffsets"])
def test_a_tiff_with_missing_tiles_is_refused(tag: str, dtype: type):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(dtype)
    data = bytearray(tiff_bytes(noise, photometric="minisblack", tile=(16, 16), compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as tiff:
        place = tiff.pages.first.tags[tag].valueoffset
    data[place : place + 4] = bytes(4)
    with pytest.raises(InputError, match="must be a whole"):
        decode.decode(bytes(data))


@pytest.mark.parametrize(("compression", "dtype", "right"), [("webp", np.uint8, True), ("jpeg2000", np.uint32, False)])
def test_what_a_decoder_cannot_do_is_left_to_another_or_refused(compression: str, dtype: type, right: bool):
    pytest.importorskip("imagecodecs")
    gray = np.full((32, 32, 3), np.iinfo(dtype).max // 2 + 1, dtype)
    data = tiff_bytes(gray, photometric="rgb", compression=compression)
    if right:
        assert np.allclose(decode.decode(data)[0], 0.5, atol=0.01)
    else:
        with pytest.raises(InputError, match="JPEG 2000"):
            decode.decode(data)


def test_negative_values_are_said():
    noise = np.random.default_rng(0).integers(0, 65536, (64, 64))
    found, notices = decode.decode(tiff_bytes((noise - 32768).astype(np.int16), photometric="minisblack"))
    assert found.min() == 0
    assert notices == ("pixels outside [0, 1] clipped",)


def dng_bytes(mosaic: np.ndarray, orientation: int = 1) -> bytes:
    """A camera's RAW file: red and green, green and blue, in turn; the camera's colors are those of sRGB."""
    xyz_to_srgb = (32406, -15372, -4986, -9689, 18758, 415, 557, -2040, 10570)
    tags = [
        (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, "B", 4, (0, 1, 1, 2), True),  # CFAPattern
        (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
        (50708, "s", 0, "a camera", True),  # UniqueCameraModel
        (50714, "H", 1, 0, True),  # BlackLevel
        (50717, "H", 1, 65535, True),  # WhiteLevel
        (50721, 10, 9, tuple(part for value in xyz_to_srgb for part in (value, 10000)), True),  # ColorMatrix1
        (50728, 5, 3, (1, 1) * 3, True),  # AsShotNeutral
        (50778, "H", 1, 21, True),  # CalibrationIlluminant1: D65
        (274, "H", 1, orientation, True),  # Orientation
    ]
    stream = io.BytesIO()
    tifffile.imwrite(stream, mosaic, photometric=32803, extratags=tags, metadata=None, software=False)
    return stream.getvalue()


def test_a_camera_raw_file_is_developed(tmp_path: Path):
    pytest.importorskip("rawpy")
    mosaic = np.full((64, 96), 8000, np.uint16)
    mosaic[::2, ::2] = 30000  # red
    mosaic[:32] //= 4
    (tmp_path / "a.dng").write_bytes(dng_bytes(mosaic))
    (tmp_path / "turned.dng").write_bytes(dng_bytes(mosaic, orientation=6))
    picture = read_image(tmp_path / "a.dng")
    top, bottom = (picture.pixels[0, rows, 8:-8].mean((0, 1)) for rows in (slice(4, 28), slice(36, 60)))
    assert bottom[0] > bottom[1] + 0.2
    assert bottom[1] == pytest.approx(bottom[2], abs=0.02)
    assert (top < bottom - 0.1).all()
    assert len(picture.notices) == 1
    assert np.allclose(read_image(tmp_path / "turned.dng").pixels[0], np.rot90(picture.pixels[0], -1), atol=0.02)


def test_a_camera_raw_file_names_the_package_that_develops_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "rawpy", None)
    (tmp_path / "a.dng").write_bytes(dng_bytes(np.zeros((32, 32), np.uint16)))
    assert "pip install rawpy" in refused(tmp_path / "a.dng")


def test_a_broken_raw_file_is_one_line(tmp_path: Path):
    pytest.importorskip("rawpy")
    (tmp_path / "a.dng").write_bytes(dng_bytes(np.zeros((32, 32), np.uint16))[:-500])
    assert "RAW" not in refused(tmp_path / "a.dng")


@pytest.mark.parametrize("color_type", [0, 2])
def test_16_bit_png_with_a_transparent_color(tmp_path: Path, color_type: int):
    samples = np.full((16, 16, 1 if color_type == 0 else 3), 40000, np.uint16)
    samples[:8] = 20000
    data = png_bytes(samples, color_type)
    found, notices = decode.decode(with_chunk(data, b"tRNS", struct.pack(">H", 20000) * samples.shape[2]))
    assert np.allclose(found[0], 1)
    assert np.allclose(found[-1], 40000 / 65535, atol=0.01)
    assert "alpha composited on white" in notices


# ---- small damage, and metadata, do not hide a picture


@pytest.fixture
def jpeg(pixels: np.ndarray) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (200, 160, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, format="JPEG", quality=90)
    return out.getvalue()


@pytest.mark.parametrize("missing", [1, 2, 40])
def test_a_jpeg_short_of_a_few_bytes_is_read_and_it_is_said(jpeg: bytes, missing: int):
    whole, _ = decode.decode(jpeg)
    found, notices = decode.decode(jpeg[:-missing])
    assert np.array_equal(found[:180], whole[:180])
    assert len(notices) == 1
    assert ("no row" in notices[0]) == (missing <= 2)
    with pytest.raises(InputError, match="broken"):
        decode.decode(jpeg[: len(jpeg) * 2 // 3])


@pytest.mark.parametrize("start", [0, 2])
def test_a_jpeg_behind_other_bytes_is_read(jpeg: bytes, start: int):
    found, notices = decode.decode(jpeg[:start] + b"\r\n\xff\0junk" * 5 + jpeg[start:])
    assert np.array_equal(found, decode.decode(jpeg)[0])
    assert len(notices) == 1


def test_metadata_that_cannot_be_read_is_ignored(pixels: np.ndarray):
    image = Image.fromarray(eight_bits(pixels))
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Raw profile type exif", "\nexif\n  garbage\n zz")
    texts.add_text("comment", "x" * 40_000_000, zip=True)
    options = [("PNG", {"pnginfo": texts}), ("WEBP", {"lossless": True, "exif": b"Exif\0\0garbage"})]
    profile = linear_profile() + bytes(2_000_000)
    for form, option in [*options, ("PNG", {"icc_profile": profile})]:
        out = io.BytesIO()
        image.save(out, format=form, **option)
        found, _ = decode.decode(out.getvalue())
        assert found.shape == pixels.shape[1:]


@pytest.mark.parametrize(
    ("name", "body", "crc"), [(b"tEXt", b"a\0b", 0), (b"pHYs", b"", None), (b"gAMA", b"", None), (b"cHRM", b"1", None)]
)
def test_damaged_chunks_beside_the_pixels_are_ignored(pixels: np.ndarray, name: bytes, body: bytes, crc: int | None):
    out = io.BytesIO()
    Image.fromarray(eight_bits(pixels)).save(out, format="PNG")
    found, _ = decode.decode(with_chunk(out.getvalue(), name, body, crc))
    assert np.array_equal(found, decode.decode(out.getvalue())[0])


# ---- what it is instead


@pytest.mark.parametrize(
    ("start", "named", "advice"),
    [
        (b"\0\0\0\x18ftypisom", "video", "nst-jax video"),
        (b"RIFF\0\0\0\0AVI ", "video", "nst-jax video"),
        (b"8BPS\0\1", "Photoshop", "export"),
        (b"%PDF-1.7", "PDF", "export"),
        (b"<?xml version='1.0'?>\n<svg xmlns=", "SVG", "export"),
        (b"\n<!DOCTYPE html><html>", "web page", "download"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS", "git lfs pull"),
        (b"PK\x03\x04", "archive", "unpack"),
    ],
)
def test_files_that_are_something_else_are_called_by_their_name(tmp_path: Path, start: bytes, named: str, advice: str):
    (tmp_path / "a.jpg").write_bytes(start + bytes(100))
    message = refused(tmp_path / "a.jpg")
    assert named in message
    assert advice in message


def test_text_is_called_text(tmp_path: Path):
    (tmp_path / "a.jpg").write_text("404: Not Found")
    assert "got text" in refused(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("start", "package"),
    [(b"\0\0\0\x18ftypheic", "pi-heif"), (b"\xff\x0a", "pillow-jxl-plugin"), (b"\0\0\0\x18ftypcrx ", "rawpy")],
)
def test_forms_of_an_extra_name_the_package_that_reads_them(tmp_path: Path, start: bytes, package: str, monkeypatch):
    for module in ("pi_heif", "pillow_heif", "pillow_jxl", "rawpy"):
        monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "a.jpg").write_bytes(start + bytes(100))
    assert f"pip install {package}" in refused(tmp_path / "a.jpg")


def test_jpeg_xl_is_read_by_its_plugin(tmp_path: Path, pixels: np.ndarray):
    pytest.importorskip("pillow_jxl")
    Image.fromarray(eight_bits(pixels)).save(tmp_path / "a.jxl", lossless=True)
    assert np.allclose(read_image(tmp_path / "a.jxl").pixels, pixels, atol=0.51 / 255)


def test_a_blank_page_beyond_200_megapixels_is_a_bomb(tmp_path: Path):
    rows = zlib.compress(bytes(2501 * 20_000), 9)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b"")]
    packed = [struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    assert "megapixels" in refused(tmp_path / "a.png")


def test_a_mask_of_white_on_transparent_keeps_its_shape(tmp_path: Path):
    samples = np.full((32, 32, 4), 255, np.uint8)
    samples[:, 16:, 3] = 0
    Image.fromarray(samples).save(tmp_path / "a.png")
    mask = read_image(tmp_path / "a.png", background=0.0)
    assert mask.pixels[0, :, :16].min() == 1
    assert mask.pixels[0, :, 16:].max() == 0
    assert mask.notices == ("transparent parts taken as outside",)


def test_pictures_beyond_pillows_limit_are_read_everywhere(tmp_path: Path, pixels: np.ndarray, monkeypatch):
    write_image(tmp_path / "a.png", pixels, text={"a": "b"})
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", HEIGHT * WIDTH // 4)
    assert read_text(tmp_path / "a.png") == {"a": "b"}
    assert data_uri(tmp_path / "a.png").startswith("data:image/jpeg")
    assert picture_size(tmp_path / "a.png", 14) == (14, 10)
    assert read_frame(tmp_path / "a.png", (14, 10)).shape == (10, 14, 3)


def test_a_picture_is_resized_once():
    picture = np.random.default_rng(0).random((1, 40, 60, 3), np.float32)
    small = resize(picture, (20, 30))
    assert resize(picture, (20, 30)) is small
    assert resize(picture, (20, 31)).shape == (1, 20, 31, 3)
    assert resize(picture.copy(), (20, 30)) is not small
    assert not small.flags.writeable
