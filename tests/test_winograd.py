"""Winograd's convolution and its image gradient against the direct one in float64, over shapes, paddings, batches and bands."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nst_jax.networks.ops import PADDINGS, winograd
from nst_jax.networks.ops.winograd import conv3x3, transform_kernel
from tests.reference.network import convolution


def random_case(n, h, w, num_in, num_out, seed=0):
    rng = np.random.default_rng(seed)
    x = np.maximum(rng.standard_normal((n, h, w, num_in)), 0).astype(np.float32)
    kernel = (rng.standard_normal((3, 3, num_in, num_out)) / np.sqrt(9 * num_in)).astype(np.float32)
    dy = rng.standard_normal((n, h, w, num_out)).astype(np.float32)
    return x, kernel, dy


def direct(x, kernel, dy, padding):
    pairs = [convolution(image.astype(np.float64), kernel.astype(np.float64), 0.0, 1, 1, padding) for image in x]
    return np.stack([y for y, _ in pairs]), np.stack(
        [back(g.astype(np.float64)) for (_, back), g in zip(pairs, dy, strict=True)]
    )


@functools.partial(jax.jit, static_argnames="padding")
def fast(x, kernel, dy, padding):
    u = transform_kernel(kernel)
    y, back = jax.vjp(lambda x: conv3x3(x, u, padding=padding), x)
    return y, back(dy)[0]


def relative_error(got, expected):
    return np.linalg.norm(np.asarray(got, np.float64) - expected) / np.linalg.norm(expected)


@settings(deadline=None, max_examples=12)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 14), st.integers(1, 14), st.integers(1, 4), st.integers(1, 4)),
    padding=st.sampled_from(sorted(PADDINGS)),
    seed=st.integers(0, 99),
)
def test_value_and_gradient_are_those_of_the_direct_convolution(shape, padding, seed):
    case = random_case(*shape, seed=seed)
    for got, expected in zip(fast(*case, padding=padding), direct(*case, padding=padding), strict=True):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, atol=2e-5)


@pytest.mark.parametrize(("padding", "num_out"), [("zero", 5), ("zero", 3), ("reflect", 3)])
def test_a_map_in_bands_is_that_of_the_direct_convolution(padding, num_out, monkeypatch):
    monkeypatch.setattr(winograd, "BAND_TILES", 8)
    case = random_case(2, 23, 18, 3, num_out, seed=num_out)  # of a shape of its own: nothing compiled without bands is reused
    for got, expected in zip(fast(*case, padding=padding), direct(*case, padding=padding), strict=True):
        assert relative_error(got, expected) < 3e-6


def test_large_maps_are_in_bands_of_about_as_many_tiles_as_channels():
    assert winograd._num_bands(64, 64, 64, 64) == 32
    assert winograd._num_bands(32, 32, 256, 256) == 4
    assert winograd._num_bands(8, 8, 512, 512) == 1
    assert winograd._num_bands(1, 10**6, 64, 64) == 1


@pytest.mark.parametrize(("channels", "most"), [(64, 1.2e-6), (512, 2.5e-6)])
def test_the_error_of_a_layer_is_what_the_docstring_says(channels, most):
    case = random_case(1, 12, 12, channels, channels)
    for got, expected in zip(fast(*case, padding="zero"), direct(*case, padding="zero"), strict=True):
        assert relative_error(got, expected) < most


def test_jit_scan_and_vmap_give_what_a_plain_call_gives():
    x, kernel, _ = random_case(3, 9, 10, 4, 4)
    x, u = jnp.asarray(x), transform_kernel(jnp.asarray(kernel))
    gradient = jax.grad(lambda x: (conv3x3(x, u) ** 2).sum())
    expected = jax.jit(gradient)(x)
    scanned = jax.jit(lambda x: jax.lax.scan(lambda carry, image: (carry, gradient(image[None])), 0, x)[1][:, 0])(x)
    mapped = jax.jit(jax.vmap(lambda image: gradient(image[None])[0]))(x)
    for got in (gradient(x), scanned, mapped):
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_jobs_together_may_have_kernels_of_their_own():
    x, kernel, _ = random_case(2, 9, 7, 3, 4, seed=0)
    kernels = np.stack([kernel, 2 * kernel])
    got = jax.vmap(lambda k: conv3x3(jnp.asarray(x), transform_kernel(k)))(kernels)
    alone = conv3x3(jnp.asarray(x), transform_kernel(jnp.asarray(kernel)))
    np.testing.assert_allclose(got, np.stack([alone, 2 * alone]), atol=1e-5)


def test_a_kernel_of_numpy_is_transformed_by_numpy_to_the_same_values():
    _, kernel, _ = random_case(1, 1, 1, 5, 7)
    transformed = transform_kernel(kernel)
    assert isinstance(transformed, np.ndarray)
    assert transformed.dtype == np.float32
    np.testing.assert_allclose(jax.jit(transform_kernel)(kernel), transformed, rtol=1e-5, atol=1e-6)
