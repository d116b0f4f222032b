"""The coordinates of waves: a transpose pair, in which the total variation curves alike in all directions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax.objective.natural_image import total_variation_power
from nst_jax.optimize.dct import dct, idct
from nst_jax.optimize.solver import SOLVERS, SolverSpec, adam

SHAPE = (1, 9, 14, 3)
RNG = np.random.default_rng(0)
GOAL = jnp.asarray(RNG.uniform(0.3, 0.7, SHAPE), jnp.float32)


def evaluate(image):
    def value(x):
        loss = jnp.sum((x - GOAL) ** 2)
        return loss, {}

    return jax.value_and_grad(value, has_aux=True)(image)


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


def test_adam_in_waves_finds_the_minimum_and_rests_when_its_rate_has_fallen():
    solver = adam(SolverSpec("adam", 0.05, waves=0.01, falling=150))
    step = jax.jit(lambda state: solver.step(evaluate, state))
    state = solver.init(jnp.full(SHAPE, 0.5))
    for _ in range(150):
        state = step(state)
    np.testing.assert_allclose(state.image, GOAL, atol=2e-3)
    np.testing.assert_array_equal(step(state).image, state.image)


def test_the_rate_goes_on_falling_after_a_step_back():
    """Two steps to where the loss is not a number: half and half again of the rate, and no second beginning of its fall."""
    solver = adam(SolverSpec("adam", 0.05, waves=0.01, falling=20))
    bad = jax.jit(lambda state: solver.step(lambda x: evaluate(x * jnp.nan), state))
    step = jax.jit(lambda state: solver.step(evaluate, state))
    state = step(solver.init(jnp.full(SHAPE, 0.5)))
    state = bad(bad(state))
    assert float(state.inner.rate) == pytest.approx(0.05 / 4)
    for _ in range(17):
        state = step(state)
    np.testing.assert_array_equal(step(state).image, state.image)


def test_waves_of_one_size_are_not_carried_to_another():
    spec = SolverSpec("adam", waves=0.01)
    solver = SOLVERS["adam"](spec)
    with jax.numpy_dtype_promotion("standard"):  # Optax takes powers of floats to integer counts
        state = solver.step(evaluate, solver.init(jnp.full(SHAPE, 0.5)))
    assert float(jnp.abs(state.inner.moments.mu).max()) > 0
    carried = solver.carry(state, jnp.full((1, 18, 28, 3), 0.5))
    assert carried.inner.moments.mu.shape == (1, 18, 28, 3)
    assert float(jnp.abs(carried.inner.moments.mu).max()) == 0
