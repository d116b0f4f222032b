"""The whole loss and its gradient against the float64 twin, its properties, and that weights never compile anew."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from nst_jax import networks
from nst_jax.errors import InputError
from nst_jax.networks.convnet import NetworkSpec
from nst_jax.objective.conventions import CONVENTIONS
from nst_jax.objective.loss import LossWeights, ObjectiveSpec, Styles, Targets, loss, make_targets
from nst_jax.objective.priors import total_variation
from nst_jax.objective.statistics import moments
from nst_jax.objective.style import STYLE_DISTANCES
from tests.reference import gatys, network

STYLE = tuple(f"conv{i}_1" for i in range(1, 6))


@pytest.fixture(scope="module")
def params():
    return networks.load("vgg19", convolution="xla").params


def picture(seed, height=29, width=21):
    return np.random.default_rng(seed).random((1, height, width, 3), np.float32)


def weights_for(spec, alpha, beta, tv=0.0):
    content = {name: jnp.float32(alpha / len(spec.content_layers)) for name in spec.content_layers}
    style = {name: jnp.float32(beta / len(spec.style_layers)) for name in spec.style_layers}
    return LossWeights(content, style, jnp.float32(tv))


loss_and_grad = jax.jit(jax.value_and_grad(loss, argnums=1, has_aux=True), static_argnames=("spec",))
targets_of = jax.jit(make_targets, static_argnames=("spec",))


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("padding", ["zero", "reflect"])
def test_loss_and_gradient_agree_with_the_float64_twin(params, pooling, padding):
    spec = ObjectiveSpec(NetworkSpec(pooling=pooling, padding=padding), ("conv4_2",), STYLE)
    image, content, style = picture(0), picture(1), picture(2, 17, 40)
    targets = targets_of(params, jnp.asarray(content), Styles((jnp.asarray(style),)), spec=spec)
    (value, terms), gradient = loss_and_grad(params, jnp.asarray(image), targets, weights_for(spec, 1e-3, 1.0), spec=spec)
    expected, expected_gradient = gatys.loss_and_gradient(params, image[0], content[0], style[0], spec, 1e-3, 1.0)
    assert abs(float(value) - expected) <= 1e-5 * expected
    assert float(sum(terms.values())) == pytest.approx(float(value), rel=1e-6)
    error = np.linalg.norm(np.asarray(gradient[0], np.float64) - expected_gradient) / np.linalg.norm(expected_gradient)
    assert error <= 1e-5


@pytest.mark.parametrize(("pooling", "deepest", "whole"), [("average", 5, 1e-5), ("max", 3, 1e-2)])
def test_winograd_gives_the_gradient_of_the_direct_convolution(pooling, deepest, whole):
    # With max pooling, values that tie to within rounding send the gradient of single windows elsewhere: the pixels that see
    # such a window differ, all others agree.
    found = []
    for convolution in ("winograd", "xla"):
        net = networks.load("vgg19", convolution=convolution, pooling=pooling)
        spec = ObjectiveSpec(net.spec, (f"relu{deepest}_1",), tuple(f"relu{i}_1" for i in range(1, deepest + 1)))
        content, style, image = (jnp.asarray(picture(seed, 43, 58)) for seed in range(3))
        targets = targets_of(net.params, content, Styles((style,)), spec=spec)
        _, gradient = loss_and_grad(net.params, image, targets, weights_for(spec, 1e-3, 1.0), spec=spec)
        found.append(np.asarray(gradient, np.float64))
    fast, direct = found
    error = np.linalg.norm(fast - direct, axis=-1)
    assert np.median(error) <= 1e-5 * np.median(np.linalg.norm(direct, axis=-1))
    assert np.linalg.norm(error) <= whole * np.linalg.norm(direct)


def test_the_twins_own_gradient_agrees_with_finite_differences(params):
    spec = ObjectiveSpec(NetworkSpec(), ("relu2_1",), ("relu1_1", "relu2_2"))
    image, content, style = (picture(seed, 16, 17)[0].astype(np.float64) for seed in range(3))
    _, gradient = gatys.loss_and_gradient(params, image, content, style, spec, 1.0, 1.0)
    direction = np.random.default_rng(3).standard_normal(image.shape)
    ahead, behind = (
        gatys.loss_and_gradient(params, image + h * direction, content, style, spec, 1.0, 1.0)[0] for h in (1e-7, -1e-7)
    )
    np.testing.assert_allclose((ahead - behind) / 2e-7, np.sum(gradient * direction), rtol=1e-5)


def test_gradient_by_finite_differences_in_float64(params):
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), params)
        spec = ObjectiveSpec(NetworkSpec(pooling="average"), ("conv2_1",), ("conv1_1", "conv2_2"))
        image, content, style = (jnp.asarray(picture(seed, 16, 16), jnp.float64) for seed in range(3))
        targets = targets_of(wide, content, Styles((style,)), spec=spec)
        weights = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), weights_for(spec, 1.0, 1.0, tv=1.0))
        check_grads(
            jax.jit(lambda x: loss(wide, x, targets, weights, spec=spec)[0] / 1e3), (image,), order=1, modes=["rev"], eps=1e-7
        )


def test_loss_and_gradient_vanish_at_the_target(params):
    spec = ObjectiveSpec(NetworkSpec(), ("relu4_2",), ("relu1_1", "relu3_1"))
    image = jnp.asarray(picture(0))
    targets = targets_of(params, image, Styles((image,)), spec=spec)
    (value, _), gradient = loss_and_grad(params, image, targets, weights_for(spec, 1.0, 1.0), spec=spec)
    assert float(value) == pytest.approx(0, abs=1e-9)
    assert float(jnp.max(jnp.abs(gradient))) < 1e-6


def test_the_gradient_is_finite_on_a_flat_picture(params):
    spec = ObjectiveSpec(NetworkSpec(), ("relu4_2",), ("relu1_1", "relu5_1"))
    targets = targets_of(params, jnp.asarray(picture(0)), Styles((jnp.asarray(picture(1)),)), spec=spec)
    flat = jnp.zeros((1, 29, 21, 3))
    (value, _), gradient = loss_and_grad(params, flat, targets, weights_for(spec, 1.0, 1.0, 1.0), spec=spec)
    assert np.isfinite(float(value))
    assert np.isfinite(np.asarray(gradient)).all()


def test_weights_are_traced(params):
    spec = ObjectiveSpec(NetworkSpec(), ("relu2_1",), ("relu1_1",))
    image = jnp.asarray(picture(0, 16, 16))
    targets = targets_of(params, image, Styles((image[:, ::-1],)), spec=spec)
    counted = jax.jit(chex.assert_max_traces(lambda x, w: loss(params, x, targets, w, spec=spec)[0], n=1))
    small, large = counted(image, weights_for(spec, 1.0, 1.0)), counted(image, weights_for(spec, 1.0, 10.0))
    assert float(large) == pytest.approx(10 * float(small), rel=1e-5)  # the content agrees: style is all there is


@pytest.mark.parametrize("name", ["gatys_code", "jcjohnson", "anishathalye", "gordicaleksa", "mean"])
def test_conventions_give_the_other_systems_own_formulas(params, name):
    spec = ObjectiveSpec(NetworkSpec(), ("relu2_1",), ("relu1_1", "relu2_2"), convention=name)
    image, content, style = picture(0, 16, 20), picture(1, 16, 20), picture(2, 16, 20)
    targets = targets_of(params, jnp.asarray(content), Styles((jnp.asarray(style),)), spec=spec)
    (_, terms), _ = loss_and_grad(params, jnp.asarray(image), targets, weights_for(spec, 5.0, 100.0), spec=spec)
    ours, theirs, painted = (network.features(params, x[0], spec.taps)[0] for x in (image, content, style))
    expected_content = 5 * np.mean((ours["relu2_1"] - theirs["relu2_1"]) ** 2)
    layers = []
    for layer in spec.style_layers:
        channels, positions = ours[layer].shape[2], ours[layer].shape[0] * ours[layer].shape[1]
        difference = gatys.gram(ours[layer]) - gatys.gram(painted[layer])
        layers.append(
            {
                "gatys_code": 2 * np.mean((difference / positions) ** 2) / channels**2,
                "jcjohnson": 2 * np.mean((difference / (channels * positions)) ** 2),
                "anishathalye": np.mean((difference / (channels * positions)) ** 2),
                "gordicaleksa": np.sum((difference / (channels * positions)) ** 2),
                "mean": np.mean((difference / positions) ** 2),
            }[name]
        )
    assert float(terms["content"]) == pytest.approx(expected_content, rel=1e-5)
    assert float(terms["style"]) == pytest.approx(100 * np.mean(layers), rel=1e-5)


def test_every_convention_is_covered_above():
    assert set(CONVENTIONS) == {"paper", "gatys_code", "jcjohnson", "anishathalye", "gordicaleksa", "mean"}


def test_total_variation_is_a_mean_of_squares():
    x = picture(0, 5, 7).astype(np.float64)
    expected = (np.sum(np.diff(x, axis=1) ** 2) + np.sum(np.diff(x, axis=2) ** 2)) / x.size
    np.testing.assert_allclose(total_variation(jnp.asarray(x, jnp.float32)), expected, rtol=1e-5)
    assert float(total_variation(jnp.full((1, 4, 4, 3), 0.7))) == 0


def test_layers_are_measured_once_when_content_and_style_share_one(params):
    spec = ObjectiveSpec(NetworkSpec(), ("relu2_1",), ("relu1_1", "relu2_1"))
    assert spec.taps == ("relu2_1", "relu1_1")
    image = jnp.asarray(picture(0, 16, 16))
    targets = Targets(
        {"relu2_1": jnp.zeros((1, 8, 8, 128))},
        {n: (moments(jnp.zeros((1, 2, 2, c))),) for n, c in (("relu1_1", 64), ("relu2_1", 128))},
        {"relu1_1": (None,), "relu2_1": (None,)},
    )
    (_, terms), _ = loss_and_grad(params, image, targets, weights_for(spec, 1.0, 1.0), spec=spec)
    assert float(terms["content"]) > 0
    assert float(terms["style"]) > 0


def small_case(params, side=16):
    spec = ObjectiveSpec(NetworkSpec(), ("relu2_1",), ("relu1_1",))
    targets = make_targets(params, jnp.asarray(picture(0, side, side)), Styles((jnp.asarray(picture(1, 16, 16)),)), spec=spec)
    return spec, targets, weights_for(spec, 1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("image", "word"),
    [
        (np.zeros((2, 16, 16, 3), np.float32), r"\[1, h, w, 3\].*2, 16"),
        (np.zeros((16, 16, 3), np.float32), r"\[1, h, w, 3\]"),
        (np.zeros((1, 16, 16, 3), np.uint8), "uint8"),
        (np.zeros((1, 1, 16, 3), np.float32), "at least 2"),
        (np.zeros((1, 16, 2, 3), np.float32), "relu2_1.*1x8.*8x8"),
    ],
    ids=["batch", "no batch axis", "uint8", "too small", "broadcasts"],
)
def test_an_image_that_would_give_a_number_without_meaning_is_refused(params, image, word):
    spec, targets, weights = small_case(params)
    with pytest.raises(InputError, match=word):
        loss(params, jnp.asarray(image), targets, weights, spec=spec)


@pytest.mark.parametrize("distance", sorted(STYLE_DISTANCES))
def test_a_region_of_nothing_gives_a_finite_gradient(params, distance):
    spec = ObjectiveSpec(NetworkSpec(), (), ("relu1_1",), style_distance=distance)
    regions = jnp.stack([jnp.ones((16, 16, 1)), jnp.zeros((16, 16, 1))])
    targets = make_targets(
        params, jnp.asarray(picture(0, 16, 16)), Styles((jnp.asarray(picture(1)),), regions=regions), spec=spec
    )
    weights = LossWeights({}, {"relu1_1": jnp.float32(1e3)}, jnp.float32(0), (1.0, 1.0))
    (value, _), gradient = loss_and_grad(params, jnp.asarray(picture(2, 16, 16)), targets, weights, spec=spec)
    assert np.isfinite(float(value))
    assert np.isfinite(np.asarray(gradient)).all()


@pytest.mark.parametrize("distance", ["wasserstein", "gram", "mean_std"])
def test_no_distance_is_negative(params, distance):
    grey = jnp.full((1, 16, 16, 3), 0.5)
    spec = ObjectiveSpec(NetworkSpec(), (), ("relu1_1", "relu2_1"), style_distance=distance)
    targets = make_targets(params, grey, Styles((grey,)), spec=spec)
    weights = LossWeights({}, {name: jnp.float32(1) for name in spec.style_layers}, jnp.float32(0))
    assert float(loss(params, grey, targets, weights, spec=spec)[0]) >= 0


def test_float16_does_not_overflow(params):
    half = jax.tree.map(lambda a: jnp.asarray(a, jnp.float16), params)
    spec = ObjectiveSpec(NetworkSpec(), (), ("relu1_1",))
    found = []
    for leaves, dtype in ((params, jnp.float32), (half, jnp.float16)):
        image, style = (jnp.asarray(picture(seed, 264, 260), dtype) for seed in (0, 1))  # more positions than float16 can count
        targets = targets_of(leaves, image, Styles((style,)), spec=spec)
        weights = LossWeights({}, {"relu1_1": jnp.float32(1)}, jnp.float32(1))
        found.append(float(loss_and_grad(leaves, image, targets, weights, spec=spec)[0][0]))
    assert found[1] == pytest.approx(found[0], rel=0.02)


def test_with_x64_the_loss_has_the_type_of_the_image(params):
    with jax.enable_x64(True):
        for distance in STYLE_DISTANCES:
            spec = ObjectiveSpec(NetworkSpec(), ("relu1_1",), ("relu1_1",), style_distance=distance)
            image = jnp.asarray(picture(0, 16, 16))
            targets = jax.eval_shape(targets_of, params, image, Styles((image[:, ::-1],)), spec=spec)
            weights = weights_for(spec, 1.0, 1.0)
            (value, _), gradient = jax.eval_shape(loss_and_grad, params, image, targets, weights, spec=spec)
            assert {value.dtype, gradient.dtype, *(leaf.dtype for leaf in jax.tree.leaves(targets))} == {jnp.dtype("float32")}


def test_the_gradient_by_a_mask_is_finite_where_the_mask_is_zero():
    maps = jnp.asarray(np.random.default_rng(0).random((1, 4, 4, 3), np.float32))
    guide = jnp.zeros((1, 4, 4)).at[0, 1:3].set(0.5)
    gradient = jax.grad(lambda guide: moments(maps, guide).product.sum() + moments(maps, guide).sum.sum())(guide)
    expected = maps.sum(-1) ** 2 + maps.sum(-1)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)
