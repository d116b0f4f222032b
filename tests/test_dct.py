"""The coordinates of waves: a transpose pair, in which the total variation curves alike in all directions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax.objective.natural_image import total_variation_power
from nst_jax.optimize.dct import dct, idct
from nst_jax.optimize.loop import init_state, make_step, upsample_state
from nst_jax.optimize.solver import solver_spec

SHAPE = (1, 9, 14, 3)
RNG = np.random.default_rng(0)
GOAL = jnp.asarray(RNG.uniform(0.3, 0.7, SHAPE), jnp.float32)


def loss(image):
    return jnp.sum((image - GOAL) ** 2), {}


def steps_of(function, **options):
    """The initial state, and a step."""
    solver = solver_spec("adam", learning_rate=0.05, dct_floor=0.01, **options)
    return init_state(jnp.full(SHAPE, 0.5), solver=solver, terms=()), jax.jit(make_step(function, solver))


@pytest.mark.parametrize("floor", [0.0, 0.01, 1.0])
def test_the_two_ways_are_transposes(floor: float):
    gradient, waves = (jnp.asarray(RNG.normal(size=SHAPE), jnp.float32) for _ in range(2))
    there, back = jnp.sum(dct(gradient, floor) * waves), jnp.sum(gradient * idct(waves, floor))
    np.testing.assert_allclose(there, back, rtol=1e-5)


def test_the_gradient_is_that_with_regard_to_the_coefficients():
    waves = jnp.asarray(RNG.normal(size=SHAPE), jnp.float32)
    by_chain = jax.grad(lambda z: jnp.sum(jnp.sin(idct(z, 0.1))))(waves)
    by_hand = dct(jnp.cos(idct(waves, 0.1)), 0.1)
    np.testing.assert_allclose(by_hand, by_chain, rtol=1e-4, atol=1e-5)


def test_the_total_variation_is_diagonal_and_no_longer_curves_with_the_frequency():
    """Its Hessian maps each wave to itself, times eigenvalue (1 + floor) / (floor + eigenvalue), which nears 1 + floor."""
    floor, waves = 1e-3, jnp.asarray(RNG.normal(size=SHAPE), jnp.float32)
    gradient = jax.grad(total_variation_power)(idct(waves, floor), 2.0)
    flattened = np.asarray(dct(gradient, floor) / waves)
    assert np.abs(flattened[:, 0, 0]).max() < 1e-3 * flattened.max()  # a flat image has none
    others = flattened.reshape(-1, 3)[1:]
    assert others.max() / others.min() < 1.05
    pixels = np.asarray(dct(jax.grad(total_variation_power)(idct(waves, 1e6), 2.0), 1e6) / waves).reshape(-1, 3)[1:]
    assert pixels.max() / pixels.min() > 50  # unstretched, the fastest wave curves as much more as its eigenvalue is larger


def test_adam_on_coefficients_finds_the_minimum_and_rests_when_its_rate_has_fallen():
    state, step = steps_of(loss, decay_steps=150)
    for _ in range(151):
        state = step(state)
    np.testing.assert_allclose(state.image, GOAL, atol=2e-3)
    np.testing.assert_array_equal(step(state).image, state.image)


def test_the_rate_goes_on_falling_after_a_step_back():
    """Two steps to where the loss is not a number: a quarter of the rate, and no second beginning of its fall."""
    state, step = steps_of(loss, decay_steps=20)
    _, bad = steps_of(lambda x: loss(x * jnp.nan), decay_steps=20)
    state = bad(bad(step(state)))
    assert float(state.solver.factor) == 1 / 4
    for _ in range(18):
        state = step(state)
    np.testing.assert_array_equal(step(state).image, state.image)


def test_coefficients_of_one_size_are_not_carried_to_another():
    state, step = steps_of(loss)
    state = step(state)
    assert float(jnp.abs(state.solver.inner.mu).max()) > 0
    solver = solver_spec("adam", dct_floor=0.01)
    larger = upsample_state(state, jnp.zeros((1, 18, 28, 3)), solver=solver).solver.inner
    assert larger.mu.shape == (1, 18, 28, 3)
    assert float(jnp.abs(larger.mu).max()) == 0
