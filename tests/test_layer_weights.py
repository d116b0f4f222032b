"""Several styles and regions: shares of a config, barycenters, masks through the network, and what is bad input."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import nst_jax
from nst_jax import networks
from nst_jax.config.compose import make_config
from nst_jax.config.layer_weights import layer_shares, style_shares
from nst_jax.config.quoting import quote_paths
from nst_jax.config.to_spec import to_spec
from nst_jax.errors import InputError
from nst_jax.images.masks import check_regions, regions_at
from nst_jax.networks.convnet import NetworkSpec
from nst_jax.objective.loss import LossWeights, ObjectiveSpec, Styles, loss, make_targets
from nst_jax.objective.priors import TOTAL_VARIATIONS
from nst_jax.objective.style import STYLE_DISTANCES
from nst_jax.objective.wasserstein import EPSILON, barycenter_root, covariance_root
from nst_jax.partition.receptive_field import guides

LAYERS = ("relu1_1", "relu2_1")
SHALLOW: Any = {"content_layers": ["relu1_1"], "style_layers": ["relu1_1"]}


@pytest.fixture(scope="module")
def params():
    return networks.load("vgg19", convolution="xla").params


def picture(seed: int, height: int = 18, width: int = 14) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).random((1, height, width, 3), np.float32))


def weights(regions: tuple[float, ...] = (1.0,)) -> LossWeights:
    one = jnp.float32(1)
    return LossWeights({"relu2_1": one}, {"relu1_1": one, "relu2_1": one}, jnp.float32(0), tuple(map(jnp.float32, regions)))


def loss_with(params, styles: Styles, distance: str, regions: tuple[float, ...] = (1.0,)) -> float:
    spec = ObjectiveSpec(NetworkSpec(), ("relu2_1",), LAYERS, distance)
    targets = make_targets(params, picture(1), styles, spec=spec)
    return float(jax.jit(loss, static_argnames="spec")(params, picture(0), targets, weights(regions), spec=spec)[0])


def halves(height: int = 18, width: int = 14) -> np.ndarray:
    left = np.zeros((1, height, width, 1), np.float32)
    left[:, :, : width // 2] = 1
    return np.concatenate([left, 1 - left])


@pytest.mark.parametrize("distance", STYLE_DISTANCES)
def test_one_region_that_covers_everything_is_no_mask(params, distance):
    plain = loss_with(params, Styles((picture(2, 20, 16),)), distance)
    everything = Styles((picture(2, 20, 16),), masks=(jnp.ones((1, 20, 16, 1)),), regions=jnp.ones((1, 18, 14, 1)))
    assert loss_with(params, everything, distance) == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("distance", STYLE_DISTANCES)
def test_a_blend_goes_from_one_style_to_the_other(params, distance):
    one, two = picture(2), picture(3) ** 3
    alone = [loss_with(params, Styles((style,)), distance) for style in (one, two)]
    share = lambda first: {name: ((jnp.float32(first), jnp.float32(1 - first)),) for name in LAYERS}  # noqa: E731
    ends = [loss_with(params, Styles((one, two), share(first)), distance) for first in (1, 0)]
    assert ends == pytest.approx(alone, rel=2e-4)
    same = loss_with(params, Styles((one, one), share(0.3)), distance)
    assert same == pytest.approx(alone[0], rel=2e-4)


@pytest.mark.parametrize("distance", STYLE_DISTANCES)
def test_the_gradient_under_masks_and_several_styles(distance):
    parts = STYLE_DISTANCES[distance]
    maps = jax.random.normal(jax.random.key(0), (3, 1, 6, 8, 4))
    guide = jax.random.uniform(jax.random.key(1), (1, 6, 8))
    target = parts.barycenter([parts.target_stats(maps[0], guide), parts.target_stats(maps[1], None)], [0.4, 0.6])

    def distance_of(f):
        return parts.distance(parts.stats(jnp.asarray(f), guide, target), target)

    check_grads(distance_of, (maps[2],), 1, ["rev"], eps=1e-3, rtol=2e-2)


def test_a_guide_counts_like_repeated_positions():
    for parts in STYLE_DISTANCES.values():
        f, style = (jax.random.normal(jax.random.key(i), (1, 4, 5, 3)) for i in (0, 1))
        target = parts.barycenter([parts.target_stats(style, None)], [1.0])
        guide = jnp.zeros((1, 4, 5)).at[:, :2].set(1.0)
        cut, guided = (parts.distance(parts.stats(*of, target), target) for of in ((f[:, :2], None), (f, guide)))
        assert float(guided) == pytest.approx(float(cut), rel=1e-4)


def test_regions_pull_by_their_area_and_weight(params):
    shares = {name: ((jnp.float32(1), jnp.float32(0)), (jnp.float32(0), jnp.float32(1))) for name in LAYERS}
    styles = Styles((picture(2), picture(3)), shares, (), jnp.asarray(halves()))
    none, left, right, both = (loss_with(params, styles, "gram", r) for r in ((0, 0), (1, 0), (0, 1), (1, 1)))
    assert left - none + right - none == pytest.approx(both - none, rel=1e-4)
    assert min(left, right) > none


def test_guides_add_up_and_know_the_receptive_field():
    found = guides(jnp.asarray(halves(32, 32)), ("relu1_1", "pool2", "relu3_1"), "vgg19")
    assert {name: maps.shape for name, maps in found.items()} == {
        "relu1_1": (2, 32, 32, 1), "pool2": (2, 8, 8, 1), "relu3_1": (2, 8, 8, 1),
    }  # fmt: skip
    for maps in found.values():
        np.testing.assert_allclose(maps.sum(0), 1, atol=1e-6)
    row = np.asarray(found["relu3_1"][0, 4, :, 0])
    assert (np.diff(row) <= 1e-6).all()
    assert 0 < row[4] < 0.5 < row[3] < 1


def roots(matrix):
    values, vectors = np.linalg.eigh(np.asarray(matrix, np.float64))
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def spread(seed: int, channels: int = 12) -> np.ndarray:
    a = np.random.default_rng(seed).standard_normal((30, channels)) * np.logspace(0, -1.5, channels)
    turned = a @ np.linalg.qr(np.random.default_rng(seed + 9).standard_normal((channels, channels)))[0]
    return np.cov(turned.T, bias=True).astype(np.float32)


def test_the_barycenter_solves_its_equation():
    covariances, shares = [spread(i) for i in range(3)], [0.5, 0.3, 0.2]
    root = np.asarray(barycenter_root([jnp.asarray(c) for c in covariances], shares).high, np.float64)
    padded = [c.astype(np.float64) + EPSILON * np.eye(len(c)) for c in covariances]
    mean = sum(share * roots(root @ c @ root) for share, c in zip(shares, padded, strict=True))
    np.testing.assert_allclose(root @ root, mean, atol=2e-4 * np.abs(mean).max())


def test_the_barycenter_of_equal_and_of_commuting_covariances():
    one = jnp.asarray(spread(1))
    np.testing.assert_allclose(barycenter_root([one, one], [0.2, 0.8]).high, covariance_root(one).high, atol=1e-5)
    values = np.array([[1.0, 4.0, 9.0], [16.0, 4.0, 0.25]])
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    both = [jnp.asarray((turn * v) @ turn.T, jnp.float32) for v in values]
    expected = (turn * (0.3 * np.sqrt(values[0]) + 0.7 * np.sqrt(values[1]))) @ turn.T
    np.testing.assert_allclose(barycenter_root(both, [0.3, 0.7]).high, expected, atol=1e-3)


@pytest.mark.parametrize("form", TOTAL_VARIATIONS)
def test_every_total_variation_is_0_when_flat_and_has_its_gradient(form):
    of = TOTAL_VARIATIONS[form]
    assert float(of(jnp.full((1, 5, 4, 3), 0.3))) == pytest.approx(0, abs=1e-7)
    check_grads(lambda x: of(jnp.asarray(x)), (picture(0, 5, 4),), 1, ["rev"], eps=1e-3, rtol=1e-2)
    tiled = jnp.tile(picture(0, 8, 8), (1, 6, 6, 1))
    assert float(of(tiled)) == pytest.approx(float(of(tiled[:, :24, :24])), rel=0.05)


def test_masks_become_regions_that_add_up():
    left = halves(40, 60)[:1]
    found = regions_at([left, None], (21, 30))
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)
    check_regions([left, None], (20, 30))
    for masks, message in (
        ([left], "mask.regions must cover all of the picture, but 50% of it is in none"),
        ([left, np.ones_like(left)], "mask.regions must not overlap on the picture, but 50% of it is in several"),
        ([np.ones_like(left), np.zeros_like(left)], "region 2 must be at least a pixel"),
    ):
        with pytest.raises(InputError, match=message):
            check_regions(masks, (20, 30))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style": {"blend": [0.7, 0.4]}}, "style.blend must add up to 1, got [0.7, 0.4], which is 1.1; divide each by that"),
        ({"style": {"blend": [1.5, -0.5]}}, "style.blend must be null, a list of shares such as [0.7,0.3], or one"),
        ({"style": {"blend": [1]}}, "style.blend must be a list of one number for each of the 2 styles, got [1.0]"),
        ({"style": {"scale": [1, 0]}}, "style.scale must be a number above 0, or a list with one number per style, got [1, 0]"),
        ({"style": {"layers": [["relu9_1"], []]}}, "style.layers must be among loss.style_layers, relu1_1; got 'relu9_1'"),
        (
            {"loss": SHALLOW | {"style_layers": []}, "style": {"layers": [["relu1_1"], []]}},
            "style.layers must be among loss.style_layers, none; got 'relu1_1'",
        ),
        ({"style": {"layers": [[], []]}}, "every layer must have a style in each region, got none for relu1_1"),
        ({"mask": {"weights": [1, 2]}}, "mask.weights must be a list of one number for each of the 1 regions, got [1.0, 2.0]"),
        ({"mask": {"regions": ["a", "b", "rest"]}}, "styles must be one, or one for each of the 3 regions, got 2"),
        ({"mask": {"styles": ["a"]}}, "mask.styles must be one for each of the 2 styles, got 1"),
    ],
)
def test_a_bad_mixture_is_told_on_one_line(options, message):
    style = {"path": ["a.jpg", "b.jpg"]} | options.get("style", {})
    with pytest.raises(InputError) as caught:
        to_spec(make_config({"loss": SHALLOW} | options | {"style": style}), architecture="vgg19")
    assert str(caught.value).startswith(message)


def test_shares_by_layer_and_region():
    layers = ["relu1_1", "relu2_1"]
    assert style_shares(None, None, layers[:1], 2, 2) == {"relu1_1": ((1.0, 0.0), (0.0, 1.0))}
    assert style_shares([[1, 0], [0.5, 0.5]], None, layers[:1], 2, 2) == {"relu1_1": ((1.0, 0.0), (0.5, 0.5))}
    assert style_shares(None, None, layers[:1], 1, 3) == {"relu1_1": ((1.0,),) * 3}
    assert layer_shares("w", None, dict.fromkeys(layers, 8)) == dict.fromkeys(layers, 0.5)
    assert layer_shares("w", [3, 1], dict.fromkeys(layers, 8)) == {"relu1_1": 3.0, "relu2_1": 1.0}
    with pytest.raises(InputError, match="one number for each of the 2 layers"):
        layer_shares("w", "1:2:3", dict.fromkeys(layers, 8))


def test_lists_of_paths_are_quoted_one_by_one():
    assert quote_paths(["style.path=[a b.jpg,ü.jpg]"]) == ["style.path=['a b.jpg','ü.jpg']"]
    assert quote_paths(["mask.styles=[a.png,null]"]) == ["mask.styles=['a.png',null]"]


def test_a_job_with_regions_and_styles_of_arrays():
    content, one, two = (np.asarray(picture(i, 24, 24))[0] for i in range(3))
    left = halves(48, 48)[0, :, :, 0]
    options: Any = {"size": 24, "steps": 2, "loss": SHALLOW}
    painted = nst_jax.transfer(content, [one, two], masks=[left, None], **options).pixels
    assert painted.shape == (24, 24, 3)
    with pytest.raises(InputError, match="the mask of region 1 must have the aspect of its picture, 24x24, got 24x48"):
        nst_jax.transfer(content, [one, two], masks=[left[:, :24], None], **options)
    labels = np.round(left).astype(np.uint8) * 2  # of 0 to 255
    with pytest.raises(InputError, match=r"the mask of region 1 must be white inside, got at most 0\.8% of white"):
        nst_jax.transfer(content, [one, two], masks=[labels, None], **options)
    with pytest.raises(InputError, match="the mask of style 1 must be white inside"):
        nst_jax.transfer(content, one, style_masks=[labels], **options)
    alone = nst_jax.transfer(content, one, **options).pixels
    covered = nst_jax.transfer(content, one, masks=[np.ones((16, 16))], **options).pixels
    np.testing.assert_allclose(covered, alone, atol=1e-4)
