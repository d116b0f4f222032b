"""Nearest neighbors: against the float64 twin, what is drawn of a style, and what an image is compared with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax.config.compose import make_config
from nst_jax.config.to_spec import to_spec
from nst_jax.objective import neighbors
from nst_jax.objective.loss import ObjectiveSpec
from nst_jax.objective.neighbors import blend_bags, describe_bag, mismatch, neighbor_distance
from nst_jax.objective.wasserstein import EPSILON
from tests.reference import neighbors as reference


def features(seed, height, width, channels=6):
    return np.maximum(np.random.default_rng(seed).standard_normal((1, height, width, channels)), 0).astype(np.float32)


@jax.jit
def distance(f, bags, guide=None):
    return neighbor_distance(mismatch(f, guide, bags), bags)


def bags_of(*styles, shares=(1.0,), guide=None):
    return blend_bags([describe_bag(jnp.asarray(style), guide) for style in styles], [jnp.float32(share) for share in shares])


@pytest.mark.parametrize("guided", [False, True])
def test_value_and_gradient_are_those_of_the_float64_twin(guided):
    f, s = features(0, 20, 15), features(1, 13, 17)
    guide = np.random.default_rng(2).random((1, 20, 15)).astype(np.float32) if guided else None
    value, gradient = jax.value_and_grad(distance)(jnp.asarray(f), bags_of(s), guide)
    wide_f, wide_s = (x.reshape(-1, 6).astype(np.float64) for x in (f, s))
    counts = None if guide is None else np.float64(guide).ravel()
    expected, slope = reference.of_features(wide_f, wide_s, neighbors.SHARE, EPSILON, counts)
    assert float(value) == pytest.approx(expected, rel=1e-5)
    assert np.linalg.norm(gradient.reshape(-1, 6) - slope) <= 1e-5 * np.linalg.norm(slope)


def test_few_positions_are_all_drawn_and_of_many_some_of_each_part(monkeypatch):
    rows = jnp.arange(1000.0).reshape(1, 50, 20, 1)

    def drawn():
        bag = describe_bag(rows)
        return np.round(bag.vectors[:, 0] / bag.vectors[:, 1] * bag.radius + bag.mean)

    np.testing.assert_array_equal(np.unique(drawn()), np.arange(1000))
    monkeypatch.setattr(neighbors, "VECTORS", 100)
    np.testing.assert_array_equal(drawn() // 10, np.arange(100))


def test_nothing_is_drawn_from_outside_of_a_mask():
    style = features(1, 12, 10)
    guide = jnp.zeros((1, 12, 10)).at[:, 4:9].set(1)
    cut, masked = bags_of(style[:, 4:9]).bags[0], bags_of(style, guide=guide).bags[0]
    np.testing.assert_allclose(masked.mean, cut.mean, rtol=1e-5)
    np.testing.assert_allclose(np.unique(masked.vectors.round(4), axis=0), np.unique(cut.vectors.round(4), axis=0), atol=2e-4)


def test_shares_mix_the_distances_and_jobs_step_together():
    f = jnp.asarray(np.concatenate([features(0, 9, 8), features(3, 9, 8)])[:, None])
    one, two = features(1, 9, 9), 2 * features(2, 7, 8)
    alone = [float(distance(f[0], bags_of(style))) for style in (one, two)]
    mixed = float(distance(f[0], bags_of(one, two, shares=(0.3, 0.7))))
    assert mixed == pytest.approx(0.3 * alone[0] + 0.7 * alone[1], rel=1e-5)
    jobs = [bags_of(one, two, shares=shares) for shares in ((1.0, 0.0), (0.3, 0.7))]
    together = jax.vmap(distance)(f, jax.tree.map(lambda *leaves: jnp.stack(leaves), *jobs))
    np.testing.assert_allclose(together, [distance(*job) for job in zip(f, jobs, strict=True)], rtol=1e-5)


@pytest.mark.parametrize("architecture", ["vgg19", "vgg16"])
def test_the_preset_is_of_either_network(architecture):
    spec = to_spec(make_config({"loss": "neighbors"}), architecture=architecture)
    assert isinstance(spec.objective, ObjectiveSpec)
    assert spec.objective.style_distance == "neighbors"
    assert spec.plan_settings == {}
