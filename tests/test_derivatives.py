"""Derivatives of every mode through the loss agree with each other and with differences in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads as check

from nst_jax import networks
from nst_jax.networks.ops.linear import recomputed
from nst_jax.networks.ops.winograd import conv3x3, transform_kernel
from nst_jax.objective import LossWeights, ObjectiveSpec, Styles, loss, make_targets
from nst_jax.objective.wasserstein import barycenter_root, covariance_root, squared_bures
from nst_jax.partition import ExecutionPlan

LAYERS = ("relu1_1", "relu2_1")

# Second derivatives by differences of float64 have 4 digits.
check_grads = functools.partial(check, rtol=1e-3, atol=1e-3)


def picture(seed):
    return jnp.asarray(np.random.default_rng(seed).random((1, 10, 18, 3), np.float32))


def loss_of(distance="gram", convolution="winograd", **plan):
    """Params, and the loss of (params, image, style picture)."""
    net = networks.load("vgg19", convolution=convolution, taps=LAYERS)
    spec, plan = ObjectiveSpec(net.spec, ("relu2_1",), LAYERS, style_distance=distance), ExecutionPlan(**plan)
    weights = LossWeights({"relu2_1": jnp.float32(1e-3)}, {name: jnp.float32(0.5) for name in LAYERS}, jnp.float32(1))

    def of(params, image, style):
        targets = make_targets(params, picture(1), Styles((style,)), spec=spec, plan=plan)
        return loss(params, image, targets, weights, spec=spec, plan=plan)[0]

    return net.params, of


def dot(a, b):
    return float(jnp.vdot(a, b))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"convolution": "xla"},
        {"distance": "wasserstein"},
        {"distance": "sliced_wasserstein"},
        {"tile": 16},
        {"remat": "blocks"},
    ],
    ids=str,
)
def test_forward_mode_and_second_derivatives_agree_with_the_gradient(options):
    params, of = loss_of(**options)
    targets_fixed = jax.jit(lambda x: of(params, x, picture(2)))
    gradient = jax.grad(targets_fixed)
    x, u, v = picture(0), picture(3) - 0.5, picture(4) - 0.5

    @jax.jit
    def products():
        first = jnp.vdot(gradient(x), v), jax.jvp(targets_fixed, (x,), (v,))[1], jax.linearize(targets_fixed, x)[1](v)
        forward = jnp.vdot(jax.jvp(gradient, (x,), (v,))[1], u)
        return first, (forward, jnp.vdot(jax.grad(lambda x: jnp.vdot(gradient(x), v))(x), u))

    for found in products():
        np.testing.assert_allclose(found, found[0], rtol=2e-4)
        assert found[0] != 0


@pytest.mark.parametrize(
    "options", [{}, {"distance": "wasserstein"}, {"distance": "sliced_wasserstein"}, {"tile": 16}], ids=str
)
def test_the_gradient_by_the_style_agrees_with_forward_mode(options):
    params, of = loss_of(**options)
    by_style = jax.jit(lambda style: of(params, picture(0), style))
    v = picture(4) - 0.5
    assert dot(jax.grad(by_style)(picture(2)), v) == pytest.approx(float(jax.jvp(by_style, (picture(2),), (v,))[1]), rel=1e-3)


def test_gradients_by_the_parameters_are_those_of_the_direct_convolution():
    found = {}
    for case in (("winograd", 0, "none"), ("xla", 0, "none"), ("xla", 16, "none"), ("xla", 0, "blocks")):
        params, of = loss_of(convolution=case[0], tile=case[1], remat=case[2])
        found[case] = jax.jit(jax.grad(of))(params, picture(0), picture(2))
    truth = found["xla", 0, "none"]
    for (name, _, _), gradient in found.items():
        assert dot(gradient["conv1_1"]["kernel"], truth["conv1_1"]["kernel"]) > 0
        np.testing.assert_allclose(gradient["conv2_1"]["bias"], truth["conv2_1"]["bias"], rtol=1e-2, atol=1e-4)
        np.testing.assert_allclose(gradient["conv1_1"]["kernel"], truth["conv1_1"]["kernel"], rtol=1e-2, atol=1e-3)
        if name == "xla":
            np.testing.assert_allclose(gradient["conv2_1"]["kernel"], truth["conv2_1"]["kernel"], rtol=1e-2, atol=1e-3)
        else:
            # The transformed kernel is linear in the kernel: so is its gradient, the other way.
            _, pull = jax.vjp(transform_kernel, jnp.zeros((3, 3, 64, 128)))
            np.testing.assert_allclose(
                pull(gradient["conv2_1"]["transformed"])[0], truth["conv2_1"]["kernel"], rtol=1e-2, atol=1e-3
            )


@pytest.mark.parametrize("tile", [0, 16])
def test_the_gradient_by_the_targets_is_never_silently_zero(tile):
    net = networks.load("vgg19", taps=LAYERS)
    spec, plan = ObjectiveSpec(net.spec, ("relu2_1",), LAYERS), ExecutionPlan(tile=tile)
    weights = LossWeights({"relu2_1": jnp.float32(1)}, {name: jnp.float32(0) for name in LAYERS}, jnp.float32(0))
    targets = make_targets(net.params, picture(1), Styles((picture(2),)), spec=spec, plan=plan)
    gradient = jax.grad(lambda t: loss(net.params, picture(0), t, weights, spec=spec, plan=plan)[0])(targets)
    whole = networks.convnet.features(net.params, picture(0), ("relu2_1",), spec=net.spec)["relu2_1"]
    np.testing.assert_allclose(gradient.content["relu2_1"], targets.content["relu2_1"] - whole, atol=1e-4)


def test_convolutions_and_pooling_agree_with_differences_in_float64():
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        x, u = jnp.asarray(rng.standard_normal((1, 5, 6, 2))), jnp.asarray(transform_kernel(rng.standard_normal((3, 3, 2, 3))))
        check_grads(jax.jit(lambda x, u: jnp.sin(conv3x3(x, u, padding="reflect"))), (x, u), order=2, modes=["fwd", "rev"])
        check_grads(jax.jit(functools.partial(networks.layers.pool, window=2, stride=2, kind="max", scale=1.0)), (x,), order=2)
        run = lambda params, x: {"y": jnp.sin(params["a"] * x)}  # noqa: E731
        check_grads(jax.jit(lambda a, x: recomputed(run, {"a": a}, x)["y"]), (jnp.ones(()), x), order=2, modes=["fwd", "rev"])


def test_bures_agrees_with_differences_in_float64():
    with jax.enable_x64(True):
        one, two = (a @ a.T for a in jnp.asarray(np.random.default_rng(0).standard_normal((2, 4, 4))))
        root = covariance_root(two)
        between = lambda a, b: squared_bures((a + a.T) / 2, covariance_root((b + b.T) / 2))  # noqa: E731
        check_grads(jax.jit(between), (one, two), order=1, modes=["fwd", "rev"])
        check_grads(jax.jit(lambda a: squared_bures((a + a.T) / 2, root)), (one,), order=2, modes=["fwd", "rev"])


def test_what_the_wasserstein_distance_cannot_do_is_refused():
    one, two = jnp.eye(2), 2 * jnp.eye(2)
    with pytest.raises(NotImplementedError, match="share"):
        jax.grad(lambda share: barycenter_root([one, two], [share, 1 - share]).high.sum())(0.5)
