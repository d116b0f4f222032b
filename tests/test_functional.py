"""Examples of the functional interface: an optimizer of one's own, several weights at once, curvature, a style distance."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nst_jax
from nst_jax.objective import STYLE_DISTANCES, register_style_distance

LAYERS = {"content_layers": ["relu1_1"], "style_layers": ["relu1_1"]}


@pytest.fixture(scope="module")
def pictures():
    return [np.random.default_rng(seed).random((16, 16, 3), np.float32) for seed in (0, 1)]


def test_an_optax_loop(pictures):
    loss, image = nst_jax.make_loss(*pictures, size=16, loss=LAYERS)
    optimizer = optax.adam(0.01)

    @jax.jit
    def step(loss, image, state):
        value, gradient = jax.value_and_grad(loss)(image)
        updates, state = optimizer.update(gradient, state)
        return value, optax.apply_updates(image, updates), state

    state, values = optimizer.init(image), []
    with jax.numpy_dtype_promotion("standard"):  # as users have it
        for _ in range(5):
            value, image, state = step(loss, image, state)
            values.append(float(value))
    assert values[-1] < values[0]


def test_several_style_weights_at_once(pictures):
    loss, image = nst_jax.make_loss(*pictures, size=16, loss=LAYERS)

    def style_term(factor):
        weights = loss.weights._replace(style=jax.tree.map(lambda weight: factor * weight, loss.weights.style))
        return dataclasses.replace(loss, weights=weights).terms(image)["style"]

    one, ten = jax.vmap(style_term)(jnp.array([1.0, 10.0]))
    assert float(ten) == pytest.approx(10 * float(one), rel=1e-5)


def test_a_hessian_vector_product(pictures):
    loss, image = nst_jax.make_loss(*pictures, size=16, loss=LAYERS | {"style_distance": "wasserstein"})
    one, two = (jax.random.normal(jax.random.key(seed), image.shape) for seed in (0, 1))

    @jax.jit
    def product(loss, vector):
        return jax.jvp(jax.grad(loss), (image,), (vector,))[1]

    assert float(jnp.vdot(product(loss, one), two)) == pytest.approx(float(jnp.vdot(product(loss, two), one)), rel=1e-3)


def test_a_style_distance_that_changes_is_never_stale(pictures):
    found = []
    try:
        for factor in (1, 100):
            register_style_distance("mine", lambda m, target, factor=factor: factor * jnp.mean((m.sum - target.sum) ** 2))
            result = nst_jax.transfer(*pictures, size=16, steps=1, loss=LAYERS | {"style_distance": "mine"})
            found.append(result.metrics[0]["style"])
    finally:
        del STYLE_DISTANCES["mine"]
    assert found[1] == pytest.approx(100 * found[0], rel=1e-5)
