"""bfloat16 ends within 1 % of float32's loss; tf32 is float32 on processors; statistics stay in float32."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax import networks
from nst_jax.errors import InputError
from nst_jax.networks.convnet import NetworkSpec, features
from nst_jax.networks.layers import PRECISIONS
from nst_jax.objective.loss import LossWeights, ObjectiveSpec, Styles, loss, make_targets
from nst_jax.objective.statistics import moments, squared_error
from nst_jax.optimize.loop import init_state, run_chunk
from nst_jax.optimize.solver import solver_spec

TAPS = ("relu1_1", "relu2_1", "relu3_1")
SPEC = ObjectiveSpec(NetworkSpec(convolution="xla"), ("relu2_1",), TAPS, "gram", "mean")
WEIGHTS = LossWeights({"relu2_1": jnp.float32(1)}, {name: jnp.float32(1) for name in TAPS}, jnp.float32(0.1))


@pytest.fixture(scope="module")
def params():
    return networks.load("vgg19", convolution="xla", taps=TAPS).params


def with_precision(name):
    return dataclasses.replace(SPEC, network=dataclasses.replace(SPEC.network, precision=name))


def pictures():
    content, style = np.random.default_rng(0).random((2, 1, 8, 8, 3), np.float32)
    return (jnp.asarray(np.kron(picture, np.ones((1, 4, 4, 1), np.float32))) for picture in (content, style))


def final_loss(params, precision, steps=80):
    """The loss, in float32, of the picture that a run with this precision ends with."""
    content, style = pictures()
    spec, solver = with_precision(precision), solver_spec("lbfgs", memory=5)
    targets = jax.jit(make_targets, static_argnames="spec")(params, content, Styles((style,)), spec=spec)
    state = init_state(content, solver=solver, terms=spec.terms)
    arguments = (params, state, targets, WEIGHTS, jnp.int32(steps))
    lowered = run_chunk.lower(*arguments, spec=spec, solver=solver, capacity=steps)
    # XLA's loops for bfloat16 need LLVM's optimizations, which the other tests do without.
    state, metrics, count = lowered.compile({"xla_backend_optimization_level": "3"})(*arguments)
    assert all(leaf.dtype == jnp.float32 for leaf in (*metrics.values(), state.image, *jax.tree.leaves(targets.style)))
    exact = make_targets(params, content, Styles((style,)), spec=SPEC)
    return float(metrics["loss"][int(count) - 1]), float(loss(params, state.image, exact, WEIGHTS, spec=SPEC)[0])


def test_a_whole_run_in_bfloat16_ends_within_one_percent_of_float32(params):
    _, exact = final_loss(params, "float32")
    reported, true = final_loss(params, "bfloat16")
    assert true != exact
    assert abs(true - exact) <= 0.01 * exact
    assert abs(reported - exact) <= 0.01 * exact


def test_maps_are_bfloat16_and_close_to_those_of_float32(params):
    image, _ = pictures()
    exact, rough = (features(params, image, TAPS, spec=with_precision(name).network) for name in ("float32", "bfloat16"))
    for name in TAPS:
        assert rough[name].dtype == jnp.bfloat16
        error = jnp.linalg.norm((rough[name].astype(jnp.float32) - exact[name]).ravel())
        assert 1e-4 < float(error / jnp.linalg.norm(exact[name].ravel())) < 1e-2


def test_tf32_is_float32_on_processors(params):
    if jax.default_backend() != "cpu":
        pytest.skip("here tf32 rounds")
    image, _ = pictures()
    exact, rounded = (features(params, image, TAPS, spec=with_precision(name).network) for name in ("float32", "tf32"))
    assert all(jnp.array_equal(exact[name], rounded[name]) for name in TAPS)


@pytest.mark.parametrize("name", sorted(PRECISIONS))
def test_convolutions_ask_for_their_precision(params, name):
    spec = with_precision(name).network
    text = features.lower(params, jnp.zeros((1, 16, 16, 3)), ("relu1_1",), spec=spec).as_text()
    (line,) = [line for line in text.splitlines() if "stablehlo.convolution" in line]
    assert f"precision {PRECISIONS[name].products.name}".lower() in line.lower()
    assert ("bf16" in line) == (name == "bfloat16")


def test_statistics_of_bfloat16_maps_are_added_up_in_float32():
    # 4096 positions of 1 + 2^-4: in bfloat16 sums stop growing at 256; in float32 they and those of squares are exact.
    maps = jnp.full((1, 64, 64, 2), 1 + 2**-4, jnp.bfloat16)
    m, e = moments(maps), squared_error(maps, jnp.zeros_like(maps))
    assert {leaf.dtype for leaf in (*m, *e)} == {jnp.dtype("float32")}
    square = 4096 * (1 + 2**-4) ** 2
    np.testing.assert_allclose([m.sum[0], m.product[0, 1], e.sum], [4096 * (1 + 2**-4), square, 2 * square], rtol=1e-6)


def test_bfloat16_is_convolved_by_xla_and_an_unknown_precision_is_refused():
    assert networks.choose_convolution("winograd", "bfloat16") == "xla"
    assert networks.choose_convolution("auto", "bfloat16") == "xla"
    with pytest.raises(InputError, match=r"network.precision must be one of .*'half'"):
        networks.load("vgg19", precision="half")
