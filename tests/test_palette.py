"""The color term: sorted colors along directions, over regions and styles, alone and in the loss."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax import networks
from nst_jax.networks.convnet import NetworkSpec
from nst_jax.objective.loss import LossWeights, ObjectiveSpec, Styles, loss, make_targets
from nst_jax.objective.palette import CELLS, color_term, make_palette
from nst_jax.partition import WHOLE, ExecutionPlan

LAYERS = ("relu1_1", "relu2_1")
SPEC = ObjectiveSpec(NetworkSpec(), ("relu2_1",), LAYERS, color=True)
WEIGHTS = LossWeights({"relu2_1": 1.0}, dict.fromkeys(LAYERS, 0.5), 0.1, color=7.0)  # pyright: ignore


def picture(seed: int, height: int = 32, width: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).random((1, height, width, 3), np.float32) ** (1 + seed)


def cells(image: np.ndarray, side: int = 2) -> np.ndarray:
    _, h, w, c = image.shape
    return image.reshape(h // side, side, w // side, side, c).mean((1, 3)).reshape(-1, c).astype(np.float64)


def twin(image: np.ndarray, style: np.ndarray) -> float:
    """Of two pictures of one size with no more cells than parts: the mean squared difference of what is sorted."""
    palette = make_palette([jnp.asarray(style)], [None], [[1.0]], None, max(image.shape[1:3]))
    directions = np.asarray(palette.colors[0].directions, np.float64)
    return float(np.mean((np.sort(cells(image) @ directions, 0) - np.sort(cells(style) @ directions, 0)) ** 2))


def term(image: Any, styles: Any, shares: Any = ((1.0,),), regions: Any = None, masks: Any = (None,), weights: Any = (1.0,)):
    palette = make_palette(list(map(jnp.asarray, styles)), masks, shares, regions, max(image.shape[1:3]))
    return color_term(jnp.asarray(image), palette, weights)


def test_it_is_the_mean_squared_difference_of_sorted_colors():
    image, style = picture(0), picture(1)
    assert float(term(image, [style])) == pytest.approx(twin(image, style), rel=1e-4)


def test_directions_are_of_unit_length_and_see_every_shift_nearly_alike():
    palette = make_palette([jnp.asarray(picture(0))], [None], [[1.0]], None, 32)
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


def test_a_large_image_has_as_many_cells_and_may_have_a_small_style():
    size = 40 * CELLS
    palette = make_palette([jnp.asarray(picture(0, 20, 24))], [None], [[1.0]], None, size)
    assert np.isfinite(np.asarray(palette.colors[0].parts)).all()


@pytest.fixture(scope="module")
def params():
    return networks.load("vgg19", convolution="xla", taps=LAYERS).params


def in_the_loss(params, spec: ObjectiveSpec, dtype: Any = np.float32, plan: ExecutionPlan = WHOLE):
    cast = lambda tree: jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)  # noqa: E731
    content, style, image = (cast(picture(seed, 32, 40)) for seed in (3, 1, 0))
    options: Any = {"spec": spec, "plan": plan}
    targets = make_targets(cast(params), content, Styles((style,)), **options)
    return lambda x: loss(cast(params), x, targets, cast(WEIGHTS), **options), image


def test_the_term_is_added_to_the_loss(params):
    of, image = in_the_loss(params, SPEC)
    without, _ = in_the_loss(params, ObjectiveSpec(NetworkSpec(), ("relu2_1",), LAYERS))
    total, terms = of(image)
    assert set(terms) == {"content", "style", "tv", "color"}
    assert float(terms["color"]) == pytest.approx(7 * float(term(image, [picture(1, 32, 40)])), rel=1e-5)
    assert float(total) == pytest.approx(float(without(image)[0] + terms["color"]), rel=1e-6)
    tiled, _ = in_the_loss(params, SPEC, plan=ExecutionPlan(tile=64))
    np.testing.assert_allclose(tiled(image)[0], total, rtol=1e-5)


def test_the_gradient_in_double_precision_is_that_of_differences(params):
    with jax.enable_x64(True):
        of, image = in_the_loss(params, SPEC, np.float64)
        direction = jnp.asarray(np.random.default_rng(1).normal(size=image.shape))
        color = lambda x: of(x)[1]["color"]  # noqa: E731
        slope = float(jnp.vdot(jax.grad(color)(image), direction))
        step = 1e-7
        apart = color(image + step * direction) - color(image - step * direction)
        assert slope == pytest.approx(float(apart / (2 * step)), rel=1e-5)
