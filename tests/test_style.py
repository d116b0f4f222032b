"""The style distances: against float64 twins, their properties, and what they do where statistics are degenerate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import nst_jax
from nst_jax.objective.conventions import CONVENTIONS
from nst_jax.objective.statistics import Moments, moments
from nst_jax.objective.style import STYLE_DISTANCES, blend_gaussians, covariance, mean, wasserstein_distance
from nst_jax.objective.wasserstein import EPSILON, covariance_root, squared_bures
from tests.reference import wasserstein as reference

NAMES = list(STYLE_DISTANCES)


def activations(seed, positions, channels, decades=1.0):
    """Rectified, correlated features [1, positions, 1, channels] whose spectrum falls by about `decades`."""
    rng = np.random.default_rng(seed)
    scales = 10 ** np.linspace(0, -decades, channels)
    mixed = rng.standard_normal((positions, channels)) * scales @ np.linalg.qr(rng.standard_normal((channels, channels)))[0]
    return np.maximum(3 * mixed + 0.1, 0).astype(np.float32).reshape(1, positions, 1, channels)


def distance(name, f, s):
    parts = STYLE_DISTANCES[name]
    target = parts.barycenter([parts.target_stats(s, None)], [1.0])
    return parts.distance(parts.stats(f, None, target), target)


value_and_grad = jax.jit(jax.value_and_grad(distance, argnums=1), static_argnums=0)
value_of = jax.jit(distance, static_argnums=0)


def test_mean_and_covariance_are_numpys():
    f = activations(0, 40, 6)
    np.testing.assert_allclose(mean(moments(jnp.asarray(f))), f.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(covariance(moments(jnp.asarray(f))), np.cov(f.reshape(40, 6).T, bias=True), atol=1e-5)


@pytest.mark.parametrize(
    ("positions", "style_positions", "channels", "decades"),
    [(300, 400, 24, 1.0), (300, 400, 48, 3.0), (20, 30, 48, 1.0), (20, 400, 48, 1.0), (400, 20, 48, 2.0), (600, 500, 128, 2.0)],
    ids=["full", "near-singular", "both deficient", "image deficient", "style deficient", "many channels"],
)
def test_wasserstein_agrees_with_the_float64_matrix_root(positions, style_positions, channels, decades):
    f, s = activations(1, positions, channels, decades), activations(2, style_positions, channels, decades)
    value, gradient = value_and_grad("wasserstein", jnp.asarray(f), jnp.asarray(s))
    wide_f, wide_s = (x.reshape(-1, channels).astype(np.float64) for x in (f, s))
    expected, expected_gradient = reference.of_features(wide_f, wide_s, EPSILON)
    assert abs(float(value) - expected) <= 1e-4 * expected
    error = np.asarray(gradient, np.float64).reshape(-1, channels) - expected_gradient
    assert np.linalg.norm(error) <= 1e-4 * np.linalg.norm(expected_gradient)


def test_the_gradient_stays_exact_where_a_picture_of_few_positions_nearly_fits():
    s = activations(1, 40, 160, 1.5)
    f = s + 0.003 * np.abs(activations(2, 40, 160, 0.0))
    _, gradient = value_and_grad("wasserstein", jnp.asarray(f), jnp.asarray(s))
    wide_f, wide_s = (x.reshape(-1, 160).astype(np.float64) for x in (f, s))
    _, expected = reference.of_features(wide_f, wide_s, EPSILON)
    assert np.linalg.norm(gradient.reshape(-1, 160) - expected) <= 1e-4 * np.linalg.norm(expected)


@pytest.mark.parametrize("epsilon", [1e-6, 1e-2])
def test_epsilon_is_on_the_diagonals_of_both(epsilon):
    f, s = activations(1, 300, 24), activations(2, 200, 24)
    parts = STYLE_DISTANCES["wasserstein"]
    target = parts.barycenter([parts.target_stats(jnp.asarray(s), None)], [1.0], epsilon)
    wide_f, wide_s = (x.reshape(-1, 24).astype(np.float64) for x in (f, s))
    expected, _ = reference.of_features(wide_f, wide_s, epsilon)
    assert float(parts.distance(parts.stats(jnp.asarray(f), None, target), target)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("decades", [0.0, 2.0, 6.0])
@pytest.mark.parametrize("rank", [1, 10, 40])
def test_bures_agrees_with_the_float64_matrix_root_in_every_entry(rank, decades):
    rng = np.random.default_rng(rank)
    factors = [rng.standard_normal((40, rank)) * 10 ** np.linspace(0, -decades, rank) for _ in range(2)]
    ours, theirs = (np.float64(np.float32(a @ a.T / rank)) for a in factors)
    root = jax.jit(covariance_root)(jnp.asarray(theirs, jnp.float32))
    value, gradient = jax.jit(jax.value_and_grad(squared_bures))(jnp.asarray(ours, jnp.float32), root)
    # One position at the mean 0: the twin's sums are then Σ itself.
    expected, _, slope = reference.squared_distance(1, np.zeros(40), ours, np.zeros(40), theirs, EPSILON)
    assert abs(float(value) - 40 * expected) <= 1e-4 * 40 * expected
    assert np.linalg.norm(gradient - 40 * slope) <= 1e-4 * np.linalg.norm(40 * slope)


def test_the_twins_own_gradient_agrees_with_finite_differences():
    f, s = (activations(seed, 50, 6).reshape(50, 6).astype(np.float64) for seed in (1, 2))
    direction = np.random.default_rng(3).standard_normal(f.shape)
    _, gradient = reference.of_features(f, s, EPSILON)
    ahead, behind = (reference.of_features(f + h * direction, s, EPSILON)[0] for h in (1e-5, -1e-5))
    np.testing.assert_allclose((ahead - behind) / 2e-5, np.sum(gradient * direction), rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_by_finite_differences_in_float64(name):
    with jax.enable_x64(True):
        f, s = (jnp.asarray(activations(seed, 30, 5), jnp.float64) for seed in (1, 2))
        apart = f + 0.1 * np.random.default_rng(3).random(f.shape)  # where values are equal a sort has no derivative
        check_grads(jax.jit(lambda x: distance(name, x, s)), (apart,), order=1, modes=["rev"])


@pytest.mark.parametrize("name", NAMES)
def test_equal_statistics_are_at_distance_zero_wherever_things_are(name):
    f = activations(1, 200, 16)
    shuffled = np.random.default_rng(0).permutation(f[0]).reshape(1, 20, 10, 16)
    value, gradient = value_and_grad(name, jnp.asarray(shuffled), jnp.asarray(f))
    scale, reference_gradient = value_and_grad(name, jnp.asarray(activations(2, 200, 16)), jnp.asarray(f))
    assert abs(float(value)) <= 1e-6 * float(scale) + 1e-6
    assert np.linalg.norm(gradient) <= 1e-3 * np.linalg.norm(reference_gradient)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sizes", [(300, 200), (12, 200)])
def test_distances_are_positive_and_but_for_neighbors_symmetric(name, sizes):
    f, s = (jnp.asarray(activations(seed, size, 16)) for seed, size in enumerate(sizes))
    there, back = float(value_of(name, f, s)), float(value_of(name, s, f))
    assert there > 0
    assert name == "neighbors" or there == pytest.approx(back, rel=1e-4)


@pytest.mark.parametrize(("name", "power"), [("wasserstein", 2), ("mean_std", 2), ("gram", 4)])
def test_distances_scale_with_activations(name, power):
    with jax.enable_x64(True):  # ε does not scale: large activations, where it is nothing
        f, s = (1e4 * jnp.asarray(activations(seed, 300, 8), jnp.float64) for seed in (1, 2))
        assert float(value_of(name, 3 * f, 3 * s)) == pytest.approx(3**power * float(value_of(name, f, s)), rel=1e-6)


def test_a_shift_costs_its_square_and_commuting_covariances_the_difference_of_their_roots():
    f = activations(1, 200, 4)
    assert float(value_of("wasserstein", jnp.asarray(f + 0.5), jnp.asarray(f))) == pytest.approx(0.25, rel=1e-3)
    one, two = jnp.diag(jnp.array([1.0, 4.0, 9.0])), jnp.diag(jnp.array([4.0, 4.0, 1.0]))
    assert float(squared_bures(one, covariance_root(two))) == pytest.approx(1 + 0 + 4, rel=1e-4)
    channel = jnp.asarray(np.array([-1.0, 1.0], np.float32).reshape(1, 2, 1, 1))
    assert float(value_of("wasserstein", 3 * channel + 2, channel)) == pytest.approx(2**2 + (3 - 1) ** 2, rel=1e-4)


def test_independent_channels_are_never_farther_than_wasserstein():
    for seed in range(5):
        f, s = (jnp.asarray(activations(seed + k, 100, 12)) for k in (0, 10))
        assert float(value_of("mean_std", f, s)) < float(value_of("wasserstein", f, s))


def test_sliced_agrees_with_sorting_in_numpy():
    f, s = activations(1, 256, 6), activations(2, 512, 6)
    v = np.asarray(jax.random.orthogonal(jax.random.key(0), 6), np.float64)
    sorted_f, sorted_s = (np.sort(x.reshape(-1, 6).astype(np.float64) @ v, axis=0) for x in (f, s))
    expected = np.mean((sorted_f - sorted_s.reshape(256, 2, 6).mean(1)) ** 2)
    assert float(value_of("sliced_wasserstein", jnp.asarray(f), jnp.asarray(s))) == pytest.approx(expected, rel=1e-4)


def test_sliced_sees_more_than_gaussians_do():
    normal = np.random.default_rng(0).standard_normal((1, 2000, 1, 4)).astype(np.float32)
    two_points = np.sign(normal) * np.sqrt(np.mean(normal**2))
    values = {name: float(value_of(name, jnp.asarray(two_points), jnp.asarray(normal))) for name in NAMES}
    assert values["sliced_wasserstein"] > 5 * values["wasserstein"]


def test_a_guide_of_zeros_and_ones_leaves_the_ones():
    f, s = jnp.asarray(activations(1, 60, 5)), jnp.asarray(activations(2, 50, 5))
    parts, guide = STYLE_DISTANCES["sliced_wasserstein"], jnp.arange(60).reshape(1, 60, 1) < 25
    target = parts.target_stats(s, None)
    guided = parts.distance(parts.stats(f, guide.astype(jnp.float32), target), target)
    assert float(guided) == pytest.approx(float(value_of("sliced_wasserstein", f[:, :25], s)), rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("level", [0.0, 1.0, 30.0, 1e3])
def test_flat_maps_have_finite_distances_and_gradients(name, level):
    flat, painted = jnp.full((1, 8, 7, 32), level), jnp.asarray(activations(1, 100, 32))
    for image, style in ((flat, painted), (painted, flat), (flat, flat)):
        value, gradient = value_and_grad(name, image, style)
        assert np.isfinite(float(value))
        assert np.isfinite(np.asarray(gradient)).all()


def test_indefinite_rounding_of_a_covariance_is_harmless():
    broken = jnp.diag(jnp.array([5.0, -3e-4]))
    value, gradient = jax.value_and_grad(squared_bures)(broken, covariance_root(broken))
    assert np.isfinite(float(value))
    assert np.isfinite(np.asarray(gradient)).all()


@pytest.mark.parametrize("name", NAMES)
def test_jit_agrees_with_eager_also_inside_a_loop(name):
    f, s = jnp.asarray(activations(1, 60, 8)), jnp.asarray(activations(2, 50, 8))
    eager, compiled = float(distance(name, f, s)), float(value_of(name, f, s))
    assert compiled == pytest.approx(eager, rel=1e-5)
    looped = jax.jit(lambda f, s: jax.lax.fori_loop(0, 2, lambda _, last: distance(name, f + 0 * last, s), jnp.float32(0)))
    assert float(looped(f, s)) == pytest.approx(eager, rel=1e-5)


def test_the_sums_of_parts_serve_every_distance_of_moments():
    f, s = jnp.asarray(activations(1, 64, 8)), jnp.asarray(activations(2, 50, 8))
    for target_stats, barycenter, stats, distance, *_ in (parts for parts in STYLE_DISTANCES.values() if parts.additive):
        target = barycenter([target_stats(s, None)], [1.0])
        whole, *parts = (stats(part, None, target) for part in (f, f[:, :20], f[:, 20:]))
        added = jax.tree.map(jnp.add, *parts)
        assert float(distance(added, target)) == pytest.approx(float(distance(whole, target)), rel=1e-4)


def test_the_type_of_the_moments_is_kept():
    m = moments(jnp.asarray(activations(1, 60, 8)))
    assert {leaf.dtype for leaf in jax.tree.leaves(blend_gaussians([m], [1.0]))} == {jnp.dtype("float32")}
    slope = jax.grad(lambda m: wasserstein_distance(m, blend_gaussians([moments(jnp.ones((1, 3, 3, 8)))], [1.0])))(m)
    assert isinstance(slope, Moments)
    assert slope.product.dtype == jnp.float32


@pytest.mark.parametrize("name", NAMES)
def test_conventions_scale_gram_and_only_add_up_the_layers_of_others(name):
    for convention in CONVENTIONS.values():
        factor = convention.style_factor(name, channels=64, num_layers=5)
        layers = 5 if convention.sum_layers else 1
        assert factor == (convention.style_scale / 64**convention.style_power if name == "gram" else 1) * layers


def test_a_transfer_lowers_the_loss():
    content, style = (np.random.default_rng(seed).random((20, 24, 3), np.float32) for seed in (0, 1))
    options = {"size": 24, "steps": 6, "loss.style_distance": "wasserstein", "loss.style_layers": ["relu1_1", "relu2_1"]}
    options |= {"loss.content_layers": ["relu2_1"]}
    result = nst_jax.transfer(content, style, **options)  # pyright: ignore[reportArgumentType]
    losses = [row["loss"] for row in result.metrics]
    assert np.isfinite(result.pixels).all()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_several_at_once_are_as_exact_as_each_alone(jobs):
    def both(covariance, style):
        return jax.value_and_grad(squared_bures)(covariance, covariance_root(style))

    maps = jnp.asarray(np.random.default_rng(jobs).standard_normal((2, jobs, 40, 8)), jnp.float32)
    first, second = jnp.einsum("sjpc,sjpd->sjcd", maps, maps) / 40
    together = jax.vmap(both)(first, second)
    shared = jax.vmap(both, in_axes=(0, None))(first, second[0])
    for i in range(jobs):
        for got, expected in ((together, both(first[i], second[i])), (shared, both(first[i], second[0]))):
            np.testing.assert_allclose(got[0][i], expected[0], rtol=1e-6)
            np.testing.assert_allclose(got[1][i], expected[1], rtol=1e-5, atol=1e-6)
