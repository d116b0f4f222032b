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


def test_the_first_guess_may_be_the_inverse_root_of_the_laplacian():
    # Of images of one row the Laplacian is a small matrix, whose inverse square root is that of its eigenvalues.
    width, floor = 6, 0.05
    laplacian = 2 * np.eye(width) - np.eye(width, k=1) - np.eye(width, k=-1)
    laplacian[0, 0] = laplacian[-1, -1] = 1
    values, vectors = np.linalg.eigh(laplacian + floor * np.eye(width))
    guess = (vectors / np.sqrt(values)) @ vectors.T
    s, y, gradient = np.random.default_rng(0).standard_normal((3, width, 3))
    y = y * np.sign(np.sum(s * y))
    gamma = np.sum(s * y) / np.sum(y * (guess @ y))
    left = np.eye(3 * width) - np.outer(s, y) / np.sum(s * y)  # the update of Broyden, Fletcher, Goldfarb and Shanno
    inverse = left @ np.kron(gamma * guess, np.eye(3)) @ left.T + np.outer(s, s) / np.sum(s * y)
    change, bend, slope = (jnp.asarray(x[None, None], jnp.float32) for x in (s, y, gradient))
    found = direction_of(push(empty_memory(change, NUMBER), change, bend, YES), slope, floor)
    np.testing.assert_allclose(np.ravel(found), -inverse @ gradient.ravel(), rtol=1e-4, atol=1e-5)


def test_nothing_is_remembered_or_forgotten_unless_it_is_asked_for():
    pairs = remembered(points(4))
    for kept in (clear(pairs, NO), push(pairs, jnp.ones(SHAPE), -jnp.ones(SHAPE), NO)):
        jax.tree.map(np.testing.assert_array_equal, kept, pairs)
