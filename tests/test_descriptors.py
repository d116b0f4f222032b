"""HOG and dense SIFT against their float64 twins, against VLFeat, and their gradients."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from nst_jax.invert.dsift import dsift
from nst_jax.invert.hog import directed_lengths, hog
from tests.golden.make_dsift import picture
from tests.reference import shallow

GRAY = np.random.default_rng(0).uniform(0, 255, (37, 44))
SMOOTH = 128 + 100 * np.sin(np.arange(30)[:, None] / 4 + 0.3) * np.cos(np.arange(26)[None] / 5 + 0.2)
CODES = {
    "hog": jax.jit(hog),
    "hogb": jax.jit(functools.partial(hog, bilinear=True)),
    "dsift": jax.jit(functools.partial(dsift, step=7)),
}
TWINS = {
    "hog": shallow.hog,
    "hogb": lambda gray: shallow.hog(gray, bilinear=True),
    "dsift": lambda gray: shallow.dsift(gray, step=7, window=1.5),
}


@pytest.mark.parametrize("gray", [GRAY, SMOOTH], ids=["noise", "smooth"])
@pytest.mark.parametrize("name", CODES)
def test_agrees_with_the_float64_twin(name: str, gray: np.ndarray):
    expected = TWINS[name](gray)
    with jax.enable_x64(True):
        np.testing.assert_allclose(CODES[name](jnp.asarray(gray)[None])[0], expected, atol=1e-10)
    single = CODES[name](jnp.asarray(gray, jnp.float32)[None])[0]
    assert np.linalg.norm(single - expected) <= 1e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize(("step", "window"), [(15, 1.5), (5, 2.0)])
def test_dsift_agrees_with_vlfeat(step: int, window: float):
    golden = np.load(Path(__file__).parent / "golden" / "dsift_vlfeat.npz")[f"step{step}"].astype(np.float64)
    gray = jnp.asarray(picture())[None]
    found, other = (jax.jit(functools.partial(dsift, step=step, window=w))(gray)[0] for w in (window, 1.0))
    # VLFeat keeps rows of bins, columns, directions in this order too; its arctangent is an approximation.
    assert np.linalg.norm(found - golden) < 0.01 * np.linalg.norm(golden)
    assert np.linalg.norm(other - golden) > 0.02 * np.linalg.norm(golden)


@pytest.mark.parametrize("name", CODES)
def test_gradients_agree_with_finite_differences(name: str):
    with jax.enable_x64(True):
        check_grads(CODES[name], (jnp.asarray(SMOOTH)[None],), order=1, modes=["rev"], eps=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", CODES)
def test_a_flat_picture_has_zeros_and_a_zero_gradient(name: str):
    flat = jnp.full((1, 32, 32), 77.0)
    gradient = jax.jit(jax.grad(lambda gray: jnp.sum(CODES[name](gray))))
    np.testing.assert_array_equal(CODES[name](flat), 0)
    np.testing.assert_array_equal(gradient(flat), 0)
    almost = flat.at[0, 16, 16].add(1e-3)
    assert np.isfinite(gradient(almost)).all()


def test_lengths_are_kept_whatever_the_binning():
    dy, dx = jnp.asarray(np.random.default_rng(1).normal(size=(2, 1, 5, 6)), jnp.float32)
    for bilinear in (True, False):
        lengths = directed_lengths(dy, dx, 18, bilinear=bilinear)
        np.testing.assert_allclose(lengths.sum(-1), jnp.hypot(dx, dy), rtol=1e-5)
        assert int((lengths > 0).sum(-1).max()) == 1 + bilinear


@pytest.mark.parametrize("name", CODES)
def test_a_brighter_picture_has_the_same_code(name: str):
    gray = jnp.asarray(SMOOTH, jnp.float32)[None]
    np.testing.assert_allclose(CODES[name](gray), CODES[name](gray / 2 + 30), atol=2e-5)
