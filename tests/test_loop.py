"""The compiled loop under `jax.vmap`: several jobs at once give what each gives alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax import networks
from nst_jax.networks.convnet import NetworkSpec
from nst_jax.objective.loss import LossWeights, ObjectiveSpec, Styles, make_targets
from nst_jax.optimize.loop import init_state, run_chunk
from nst_jax.optimize.solver import SolverSpec
from nst_jax.partition import ExecutionPlan

TAPS = ("relu1_1", "relu2_1")
STEPS = 4


@pytest.fixture(autouse=True)
def _promotion_that_optax_needs():
    with jax.numpy_dtype_promotion("standard"):  # Optax takes powers of floats to integer counts
        yield


@pytest.mark.parametrize(("remat", "distance"), [("none", "gram"), ("blocks", "wasserstein")])
def test_jobs_at_once_by_vmap_are_the_jobs_one_by_one(remat, distance):
    params = networks.load("vgg19", convolution="winograd", taps=TAPS).params
    content, style = jnp.asarray(np.random.default_rng(0).random((2, 1, 16, 18, 3), np.float32))
    spec = ObjectiveSpec(NetworkSpec(convolution="winograd"), TAPS[1:], TAPS, distance, "mean")
    solver = SolverSpec("adam")
    targets = jax.jit(make_targets, static_argnames="spec")(params, content, Styles((style,)), spec=spec)

    def weights(style_weight):
        return LossWeights({TAPS[1]: jnp.float32(1)}, dict.fromkeys(TAPS, style_weight), jnp.float32(0))

    chunk = functools.partial(run_chunk, spec=spec, solver=solver, capacity=STEPS, plan=ExecutionPlan(remat))
    both = jnp.array([0.5, 20.0])
    states = jax.vmap(lambda _: init_state(content, solver=solver, terms=spec.terms))(both)
    together, _, made = jax.jit(jax.vmap(chunk, in_axes=(None, 0, None, 0, None)))(
        params, states, targets, jax.vmap(weights)(both), jnp.int32(STEPS)
    )
    assert made.tolist() == [STEPS, STEPS]
    assert float(jnp.abs(together.image[0] - together.image[1]).max()) > 1e-3
    for i, style_weight in enumerate(both):
        alone, _, _ = chunk(
            params, init_state(content, solver=solver, terms=spec.terms), targets, weights(style_weight), jnp.int32(STEPS)
        )
        np.testing.assert_allclose(together.image[i], alone.image, atol=2e-3)
