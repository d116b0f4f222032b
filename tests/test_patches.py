"""Convolution by patches, and its image gradient, against the float64 twin and XLA's convolution."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nst_jax.networks.ops import patches
from nst_jax.networks.ops.patches import conv_by_patches
from tests.reference.network import convolution


def random_arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


@functools.partial(jax.jit, static_argnames="stride")
def value_and_gradient(x, kernel, dy, stride):
    y, back = jax.vjp(lambda x: conv_by_patches(x, kernel, stride), x)
    return y, back(dy)[0]


@settings(deadline=None, max_examples=15)
@given(
    size=st.integers(1, 6),
    stride=st.integers(1, 5),
    more=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    seed=st.integers(0, 99),
)
def test_value_and_gradient_are_those_of_the_direct_convolution(size, stride, more, seed):
    height, width = size + more[0], size + more[1]
    x, kernel, dy = random_arrays(
        (1, height, width, 3), (size, size, 3, 4), (1, more[0] // stride + 1, more[1] // stride + 1, 4), seed=seed
    )
    y, back = convolution(x[0].astype(np.float64), kernel.astype(np.float64), 0.0, stride, 0, "zero")
    got, gradient = value_and_gradient(x, kernel, dy, stride=stride)
    np.testing.assert_allclose(got[0], y, atol=1e-4)
    np.testing.assert_allclose(gradient[0], back(dy[0].astype(np.float64)), atol=1e-4)


@pytest.mark.parametrize(("size", "stride", "num_in", "side"), [(11, 4, 3, 67), (5, 1, 8, 15), (1, 1, 8, 7)])
def test_layers_of_alexnet_and_1x1_are_those_of_xla(size, stride, num_in, side):
    x, kernel = random_arrays((2, side, side + 2, num_in), (size, size, num_in, 12))
    conv = functools.partial(
        jax.lax.conv_general_dilated,
        window_strides=(stride, stride),
        padding="VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    y, back = jax.vjp(lambda x: conv(x, jnp.asarray(kernel)), jnp.asarray(x))
    dy = np.asarray(y)[::-1].copy()
    got, gradient = value_and_gradient(x, kernel, dy, stride=stride)
    np.testing.assert_allclose(got, y, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(gradient, back(jnp.asarray(dy))[0], rtol=1e-4, atol=1e-3)


def test_a_map_in_bands_is_that_in_one(monkeypatch):
    x, kernel, dy = (jnp.asarray(a) for a in random_arrays((2, 14, 9, 3), (3, 3, 3, 4), (2, 12, 7, 4)))
    whole = jax.vjp(lambda x: conv_by_patches(x, kernel), x)
    monkeypatch.setattr(patches, "BAND_BYTES", 3 * 4 * 2 * 7 * 27)
    assert patches._num_bands(12, 4 * 2 * 7 * 27) == 4
    banded = jax.vjp(lambda x: conv_by_patches(x, kernel), x)
    np.testing.assert_allclose(banded[0], whole[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(banded[1](dy)[0], whole[1](dy)[0], rtol=1e-5, atol=1e-5)
