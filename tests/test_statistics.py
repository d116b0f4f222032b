"""Sums over positions: their values, that they add up, and their gradient."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from nst_jax.objective.statistics import moments, product_sum, squared_error
from nst_jax.objective.style import gram_distance, gram_matrix
from tests.reference import gatys


def feature_map(seed, height, width, channels):
    return jnp.asarray(np.random.default_rng(seed).standard_normal((1, height, width, channels)), jnp.float32)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12), st.integers(0, 99))
def test_moments_agree_with_float64(height, width, channels, seed):
    f = feature_map(seed, height, width, channels)
    m = moments(f)
    np.testing.assert_allclose(m.product, gatys.gram(np.asarray(f[0], np.float64)), atol=2e-5)
    np.testing.assert_allclose(m.sum, np.asarray(f, np.float64).sum((0, 1, 2)), atol=2e-5)
    assert float(m.positions) == height * width


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 9), st.integers(1, 9), st.data())
def test_the_moments_of_two_parts_add_up_to_those_of_the_whole(height, width, data):
    cut = data.draw(st.integers(1, height - 1))
    f = feature_map(0, height, width, 5)
    parts = jax.tree.map(jnp.add, moments(f[:, :cut]), moments(f[:, cut:]))
    for part, whole in zip(parts, moments(f), strict=True):
        np.testing.assert_allclose(part, whole, atol=2e-5)


def test_gram_matrix_is_symmetric_positive_and_blind_to_where_things_are():
    f = feature_map(1, 6, 7, 8)
    gram = gram_matrix(moments(f))
    np.testing.assert_array_equal(gram, gram.T)
    assert np.linalg.eigvalsh(np.asarray(gram, np.float64)).min() > -1e-6
    shuffled = jax.random.permutation(jax.random.key(0), f.reshape(42, 8)).reshape(1, 7, 6, 8)
    np.testing.assert_allclose(gram_matrix(moments(shuffled)), gram, atol=1e-5)


def test_gradient_of_the_product_sum():
    with jax.enable_x64(True):
        f = jnp.asarray(np.random.default_rng(0).standard_normal((5, 4)))
        check_grads(jax.jit(lambda x: jnp.sum(jnp.sin(product_sum(x)))), (f,), order=1, modes=["rev"])
        mixing = jnp.asarray(np.random.default_rng(1).standard_normal((4, 4)))  # a cotangent that is not symmetric
        ours = jax.grad(lambda x: jnp.sum(product_sum(x) * mixing))(f)
        np.testing.assert_allclose(ours, jax.grad(lambda x: jnp.sum((x.T @ x) * mixing))(f), rtol=1e-12)


def test_gram_distance_is_the_papers_when_sizes_agree():
    f, s = feature_map(1, 4, 5, 6), feature_map(2, 5, 4, 6)
    g, a = (gatys.gram(np.asarray(x[0], np.float64)) for x in (f, s))
    expected = np.sum((g - a) ** 2) / (4 * 6**2 * 20**2)
    np.testing.assert_allclose(gram_distance(moments(f), moments(s)), expected, rtol=1e-5)
    assert float(gram_distance(moments(f), moments(f))) == 0


def test_squared_error_counts_and_sums():
    f, p = feature_map(1, 3, 4, 2), feature_map(2, 3, 4, 2)
    error = squared_error(f, p)
    assert float(error.entries) == 24
    np.testing.assert_allclose(error.sum, np.sum((np.asarray(f, np.float64) - np.asarray(p)) ** 2), rtol=1e-5)
