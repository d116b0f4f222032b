"""The memory of L-BFGS against optax's, and what is kept and forgotten."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nst_jax.optimize.lbfgs_memory import LbfgsMemory, clear, direction_of, empty_memory, push

SHAPE, NUMBER = (1, 4, 5, 3), 3
YES, NO = jnp.array(True), jnp.array(False)


@pytest.fixture(autouse=True)
def _promotion_that_optax_needs():
    with jax.numpy_dtype_promotion("standard"):
        yield


def points(count: int) -> list[tuple[jax.Array, jax.Array]]:
    """Images, and the gradients there of a quadratic function."""
    generator = np.random.default_rng(0)
    curvatures = jnp.asarray(np.geomspace(1, 30, 60).reshape(SHAPE), jnp.float32)
    images = [jnp.asarray(generator.random(SHAPE, np.float32)) for _ in range(count)]
    return [(image, curvatures * image) for image in images]


def remembered(course: list[tuple[jax.Array, jax.Array]]) -> LbfgsMemory:
    pairs = empty_memory(course[0][0], NUMBER)
    for (x, g), (x2, g2) in itertools.pairwise(course):
        pairs = push(pairs, x2 - x, g2 - g, YES)
    return pairs


@pytest.mark.parametrize("count", [2, 3, 4, 5, 9])  # up to three times more than there is room for
def test_the_direction_is_optax_s(count: int):
    course = points(count)
    reference = optax.scale_by_lbfgs(memory_size=NUMBER)
    state = reference.init(course[0][0])
    expected = course[0][0]
    for image, gradient in course:
        expected, state = reference.update(gradient, state, image)
    found = direction_of(remembered(course), course[-1][1])
    np.testing.assert_allclose(found, -jnp.asarray(expected), rtol=2e-4, atol=1e-6)


def test_without_pairs_the_direction_is_the_bare_gradient():
    course = points(4)
    pairs, gradient = remembered(course), course[-1][1]
    assert not np.allclose(direction_of(pairs, gradient), -gradient)
    np.testing.assert_array_equal(direction_of(clear(pairs, YES), gradient), -gradient)
    np.testing.assert_array_equal(direction_of(empty_memory(gradient, NUMBER), gradient), -gradient)


def test_nothing_is_remembered_or_forgotten_unless_it_is_asked_for():
    pairs = remembered(points(4))
    for kept in (clear(pairs, NO), push(pairs, jnp.ones(SHAPE), -jnp.ones(SHAPE), NO)):
        jax.tree.map(np.testing.assert_array_equal, kept, pairs)
