"""Consistency over time: warping, the reliability of flow, several references as one; see test_terms.py for the loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nst_jax.objective.temporal import Reference, combine, reliability, stillness, temporal_term, warp


def constant(height: int, width: int, dx: float, dy: float) -> np.ndarray:
    return np.broadcast_to(np.array([dx, dy], np.float32), (height, width, 2)).copy()


def picture(seed: int, height: int = 12, width: int = 16, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).random((1, height, width, channels), np.float32)


@settings(deadline=None)  # the first example compiles
@given(st.integers(-5, 5), st.integers(-5, 5))
def test_whole_pixels_are_moved_as_they_are(dx: int, dy: int):
    before = picture(0)
    after = np.asarray(warp(jnp.asarray(before), jnp.asarray(constant(12, 16, dx, dy))))
    y, x = np.mgrid[:12, :16]
    expected = before[0, np.clip(y + dy, 0, 11), np.clip(x + dx, 0, 15)]
    np.testing.assert_allclose(after[0], expected, atol=1e-6)


def test_between_pixels_a_smooth_picture_is_what_it_is_there():
    y, x = np.mgrid[:24, :32].astype(np.float32)
    wave = lambda x, y: (0.5 + 0.3 * np.sin(x / 4) * np.cos(y / 5))[None, :, :, None].astype(np.float32)  # noqa: E731
    moved = np.asarray(warp(jnp.asarray(wave(x, y)), jnp.asarray(constant(24, 32, 0.4, -0.3))))
    inside = np.s_[:, 3:-3, 3:-3]
    np.testing.assert_allclose(moved[inside], wave(x + 0.4, y - 0.3)[inside], atol=1e-3)


def test_a_pan_is_reliable_where_it_stays_in_the_picture():
    weight = np.asarray(reliability(*map(jnp.asarray, (constant(20, 30, 4, 0), constant(20, 30, -4, 0)))))[0, ..., 0]
    assert weight.shape == (20, 30)
    np.testing.assert_allclose(weight[:, :23], 1, atol=1e-6)
    np.testing.assert_allclose(weight[:, 29:], 0, atol=1e-6)


def test_what_was_covered_is_not_reliable_nor_is_its_border():
    """A square moves by 6 to the right: what it uncovers has no place in the frame before."""
    flow, back = constant(32, 48, 0, 0), constant(32, 48, 0, 0)
    flow[8:24, 16:32] = (-6, 0)  # from the frame to the one before, where the square was at 10
    back[8:24, 10:26] = (6, 0)
    weight = np.asarray(reliability(jnp.asarray(flow), jnp.asarray(back)))[0, ..., 0]
    assert weight[8:24, 10:16].max() == 0  # uncovered
    assert weight[12:20, 20:28].min() > 0.99  # the square itself
    assert weight[8:24, 31].max() < 1  # the border of motion
    assert weight[:4, :4].min() == pytest.approx(1)


def test_what_neither_moves_nor_changes_is_still():
    frame, flow = picture(0), constant(12, 16, 0.05, 0)
    other = frame.copy()
    other[:, :, :4] += 3 / 255
    flow[:, 12:, 1] = 0.5
    still = np.asarray(stillness(*map(jnp.asarray, (flow, frame, other))))[0, ..., 0]
    np.testing.assert_array_equal(still, np.broadcast_to((np.arange(16) >= 4) & (np.arange(16) < 12), (12, 16)))


@settings(deadline=None)  # the first example compiles
@given(st.integers(0, 100))
def test_several_references_pull_as_their_combination_does(seed: int):
    """Up to what does not depend on the image: the gradients agree."""
    ones = [Reference(*(jnp.asarray(x) for x in (picture(seed + i), picture(seed + i + 9, channels=1)))) for i in range(3)]
    image = jnp.asarray(picture(seed + 50))
    nearer, total = np.zeros((1, 12, 16, 1), np.float32), np.zeros((1, 12, 16, 3), np.float32)
    for one in ones:
        kept = np.maximum(np.asarray(one.weight) - nearer, 0)
        total += np.asarray(jax.grad(temporal_term)(image, one._replace(weight=jnp.asarray(kept))))
        nearer += np.asarray(one.weight)
    together = Reference(*map(jnp.asarray, combine(ones)))
    np.testing.assert_allclose(jax.grad(temporal_term)(image, together), total, atol=1e-6)


def test_a_nearer_frame_goes_before_a_farther_one():
    near, far = picture(1), picture(2)
    weight = np.zeros((1, 12, 16, 1), np.float32)
    weight[:, :, :8] = 1
    found = combine([Reference(near, weight), Reference(far, np.ones_like(weight))])  # pyright: ignore
    np.testing.assert_allclose(found.pixels[:, :, :8], near[:, :, :8], atol=1e-6)
    np.testing.assert_allclose(found.pixels[:, :, 8:], far[:, :, 8:], atol=1e-6)
    np.testing.assert_allclose(found.weight, 1)
