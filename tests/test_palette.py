"""The color term: sorted colors along directions, over regions and styles; see test_terms.py for the loss."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax.objective.palette import CELLS, color_term, make_palette


def picture(seed: int, height: int = 32, width: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).random((1, height, width, 3), np.float32) ** (1 + seed)


def cells(image: np.ndarray, side: int = 2) -> np.ndarray:
    _, h, w, c = image.shape
    return image.reshape(h // side, side, w // side, side, c).mean((1, 3)).reshape(-1, c).astype(np.float64)


def twin(image: np.ndarray, style: np.ndarray) -> float:
    """Of two pictures of one size with no more cells than parts: the mean squared difference of what is sorted."""
    palette = make_palette([jnp.asarray(style)], [None], [[1.0]], None, image.shape[1:3])
    directions = np.asarray(palette.colors[0].directions, np.float64)
    return float(np.mean((np.sort(cells(image) @ directions, 0) - np.sort(cells(style) @ directions, 0)) ** 2))


def term(image: Any, styles: Any, shares: Any = ((1.0,),), regions: Any = None, masks: Any = (None,), weights: Any = (1.0,)):
    palette = make_palette(list(map(jnp.asarray, styles)), masks, shares, regions, image.shape[1:3])
    return color_term(jnp.asarray(image), palette, weights)


def test_it_is_the_mean_squared_difference_of_sorted_colors():
    image, style = picture(0), picture(1)
    assert float(term(image, [style])) == pytest.approx(twin(image, style), rel=1e-4)


def test_directions_are_of_unit_length_and_see_every_shift_nearly_alike():
    palette = make_palette([jnp.asarray(picture(0))], [None], [[1.0]], None, (32, 32))
    v = np.asarray(palette.colors[0].directions)
    np.testing.assert_allclose(np.linalg.norm(v, axis=0), 1, rtol=1e-6)
    spread = np.linalg.eigvalsh(v @ v.T / v.shape[1])
    np.testing.assert_allclose(spread, 1 / 3, atol=0.15)


def test_where_the_colors_are_does_not_count():
    image = picture(0)
    turned = image[:, ::-1, ::-1]
    assert float(term(turned, [image])) < 1e-12
    assert float(term(image, [picture(1)])) > 1e-3


def test_each_region_has_the_colors_of_its_style():
    left = np.zeros((1, 32, 32, 1), np.float32)
    left[:, :, :16] = 1
    red, blue = (np.broadcast_to(np.array(color, np.float32), (1, 32, 32, 3)) for color in ((1, 0, 0), (0, 0, 1)))
    image = left * red + (1 - left) * blue
    regions = jnp.asarray(np.concatenate([left, 1 - left]))
    options: Any = {"styles": [red, blue[:, :20]], "regions": regions, "masks": [None, None], "weights": (1.0, 1.0)}
    assert float(term(image, shares=[[1.0, 0.0], [0.0, 1.0]], **options)) < 1e-9
    assert float(term(image, shares=[[0.0, 1.0], [1.0, 0.0]], **options)) > 0.3
    half = float(term(image, shares=[[0.0, 1.0], [1.0, 0.0]], **{**options, "weights": (1.0, 0.0)}))
    assert half == pytest.approx(float(term(image, shares=[[0.0, 1.0], [1.0, 0.0]], **options)) / 2, rel=1e-5)


def test_of_a_style_only_what_is_within_its_mask_counts():
    left = np.zeros((1, 32, 32, 1), np.float32)
    left[:, :, :16] = 1
    style = left * picture(0) + (1 - left) * picture(3)
    seen = float(term(picture(0), [style], masks=[jnp.asarray(left)]))
    assert seen < float(term(picture(0), [style])) / 3


@pytest.mark.parametrize("height_width", [(40 * CELLS, 30 * CELLS), (40 * CELLS, 20)])
def test_a_large_image_may_be_narrow_and_have_a_small_style(height_width: tuple[int, int]):
    palette = make_palette([jnp.asarray(picture(0, 20, 24))], [None], [[1.0]], None, height_width)
    assert np.isfinite(np.asarray(palette.colors[0].parts)).all()
    narrow = jnp.ones((1, height_width[0], 20, 3))
    assert np.isfinite(float(color_term(narrow, palette, (1.0,))))
