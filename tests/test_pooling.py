"""Pooling and its gradient against the float64 twin: whole windows only, overlapping ones, and ties."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nst_jax.networks.ops.pooling import average_pool, max_pool
from tests.reference.network import pooling

POOLS = {"max": max_pool, "average": average_pool}


@functools.partial(jax.jit, static_argnames=("kind", "window", "stride"))
def value_and_gradient(x, dy, kind, window, stride):
    y, back = jax.vjp(lambda x: POOLS[kind](x, window, stride), x)
    return y, back(dy)[0]


@settings(deadline=None, max_examples=15)
@given(
    kind=st.sampled_from(sorted(POOLS)),
    window_stride=st.sampled_from([(2, 2), (3, 2), (1, 2), (3, 3), (4, 4)]),
    sides=st.tuples(st.integers(4, 9), st.integers(4, 9)),
    seed=st.integers(0, 99),
)
@example(kind="average", window_stride=(4, 4), sides=(9, 7), seed=0)  # by a reshape
def test_value_and_gradient_are_those_of_the_twin(kind, window_stride, sides, seed):
    window, stride = window_stride
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 4, (2, *sides, 3)).astype(np.float32)  # few values: most windows have ties
    pairs = [pooling(image.astype(np.float64), window, stride, kind, 1.0) for image in x]
    dy = rng.standard_normal((2, *pairs[0][0].shape)).astype(np.float32)
    y, dx = value_and_gradient(x, dy, kind=kind, window=window, stride=stride)
    np.testing.assert_allclose(y, np.stack([y for y, _ in pairs]), atol=1e-6)
    np.testing.assert_allclose(dx, np.stack([back(g) for (_, back), g in zip(pairs, dy, strict=True)]), atol=1e-6)


def test_a_window_of_equal_values_gives_its_gradient_to_the_first():
    dx = jax.grad(lambda x: jnp.sum(max_pool(x, 2, 2)))(jnp.zeros((1, 2, 2, 1)))
    assert dx.ravel().tolist() == [1.0, 0.0, 0.0, 0.0]


def test_a_maximum_shared_by_overlapping_windows_gets_the_gradient_of_both():
    x = jnp.zeros((1, 3, 5, 1)).at[0, 1, 2, 0].set(1.0)
    dx = jax.grad(lambda x: jnp.sum(max_pool(x, 3, 2)))(x)
    assert dx[0, 1].ravel().tolist() == [0.0, 0.0, 2.0, 0.0, 0.0]


@pytest.mark.parametrize("kind", sorted(POOLS))
def test_scan_and_vmap_give_what_a_plain_call_gives(kind):
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, 6, 7, 2)), jnp.float32)
    gradient = jax.jit(jax.grad(lambda x: (POOLS[kind](x, 2, 2) ** 2).sum()))
    expected = gradient(x)
    scanned = jax.lax.scan(lambda carry, image: (carry, gradient(image[None])), 0, x)[1][:, 0]
    mapped = jax.vmap(lambda image: gradient(image[None])[0])(x)
    for got in (scanned, mapped):
        np.testing.assert_allclose(got, expected, atol=1e-6)
