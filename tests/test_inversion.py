"""The loss of an inversion against its float64 twin, groups of neurons, and the paper's solver."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax.errors import InputError
from nst_jax.invert.neurons import Neurons, choose, select
from nst_jax.invert.objective import InversionSpec, PriorWeights
from nst_jax.networks import load
from nst_jax.objective.loss import Objective
from nst_jax.objective.natural_image import alpha_norm, total_variation_power
from nst_jax.optimize.loop import init_state, make_step
from nst_jax.optimize.solver import solver_spec
from tests.reference import inversion

IMAGE, CONTENT = np.random.default_rng(0).uniform(0, 1, (2, 1, 20, 17, 3)).astype(np.float32)
WEIGHTS = PriorWeights(2.16e8, 5.0)  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def vgg():
    return load("vgg19", convolution="xla", taps=("relu2_1",))


@pytest.mark.parametrize("beta", [1.0, 2.0, 2.5])
@pytest.mark.parametrize("side", [227, 20])
def test_the_priors_agree_with_the_papers_formula(beta: float, side: int):
    image = np.random.default_rng(1).uniform(0, 1, (side, side, 3)).astype(np.float32)
    mean = np.array([0.4, 0.5, 0.6], np.float32)
    (r_alpha, d_alpha), (r_tv, d_tv) = inversion.priors(image.astype(np.float64), mean.astype(np.float64), 6.0, beta)
    found = jax.jit(jax.value_and_grad(lambda x: alpha_norm(x, jnp.asarray(mean), 6.0)))(image[None])
    smooth = jax.jit(jax.value_and_grad(lambda x: total_variation_power(x, beta)))(image[None])
    for (value, gradient), (expected, slope) in ((found, (r_alpha, d_alpha)), (smooth, (r_tv, d_tv))):
        assert float(value) == pytest.approx(expected, rel=1e-5)
        assert np.linalg.norm(gradient[0] - slope) <= 1e-5 * np.linalg.norm(slope)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_total_variation_has_a_finite_gradient_on_flat_pictures(beta: float):
    gradient = jax.jit(jax.grad(lambda x: total_variation_power(x, beta)))
    np.testing.assert_array_equal(gradient(jnp.full((1, 5, 6, 3), 0.3)), 0)
    assert np.isfinite(gradient(jnp.full((1, 5, 6, 3), 0.3).at[0, 2, 2].add(1e-6))).all()


@pytest.mark.parametrize("neurons", [Neurons(), Neurons((1, 2, 5, 3)), Neurons((2, 2, 4, 4), tuple(range(64)))])
def test_loss_and_gradient_agree_with_the_float64_twin(vgg, neurons: Neurons):
    spec = InversionSpec("relu2_1", vgg.spec, neurons, beta=1.5)
    assert isinstance(spec, Objective)
    mask = np.zeros((10, 8, 128))
    top, left, height, width = neurons.patch or (0, 0, 10, 8)
    mask[top : top + height, left : left + width, neurons.channels or ...] = 1
    expected, slope = inversion.loss(vgg.params, IMAGE[0], CONTENT[0], WEIGHTS, spec, mask)
    with jax.default_matmul_precision("highest"):
        target = jax.jit(spec.targets)(vgg.params, CONTENT)
        evaluate = jax.jit(jax.value_and_grad(spec.loss, argnums=1, has_aux=True))
        (value, terms), gradient = evaluate(vgg.params, IMAGE, target, jax.tree.map(jnp.float32, WEIGHTS))
    assert float(value) == pytest.approx(expected, rel=1e-5)
    assert terms.keys() == set(spec.terms)
    assert float(sum(terms.values())) == pytest.approx(float(value), rel=1e-5)
    assert np.linalg.norm(gradient[0] - slope) <= 1e-5 * np.linalg.norm(slope)


def test_the_loss_of_the_content_itself_is_its_priors(vgg):
    spec = InversionSpec("relu2_1", vgg.spec)
    content, nothing = jnp.asarray(CONTENT), PriorWeights(jnp.zeros(()), jnp.zeros(()))
    value, terms = jax.jit(spec.loss)(vgg.params, content, jax.jit(spec.targets)(vgg.params, content), nothing)
    assert (float(value), float(terms["content"])) == (0.0, 0.0)


def test_groups_of_neurons():
    code = jnp.arange(6 * 7 * 4.0).reshape(1, 6, 7, 4)
    assert choose(code.shape, 3, None, "last_half") == Neurons((1, 2, 3, 3), (2, 3))
    assert choose(code.shape, None, [0, 0, 6, 7], [3, 0]) == Neurons((0, 0, 6, 7), (3, 0))
    np.testing.assert_array_equal(select(code, Neurons((1, 2, 3, 3), (2, 3))), code[:, 1:4, 2:5, 2:])
    halves = [select(code, choose(code.shape, None, None, half)) for half in ("first_half", "last_half")]
    np.testing.assert_array_equal(jnp.concatenate(halves, axis=-1), code)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((8, None, None), "neurons.center must be 1 to 6, the map is 6 x 7; got 8"),
        ((3, [0, 0, 1, 1], None), "neurons.center must not be set with neurons.patch"),
        ((None, [4, 0, 3, 1], None), "neurons.patch must be .* within the map of 6 x 7 positions, got .*; make it smaller"),
        ((None, [0, 0, 0, 1], None), "neurons.patch must be .*; for example"),
        ((None, None, "half"), "neurons.channels must be first_half, last_half or a list of numbers, got 'half'"),
        ((None, None, [4]), "neurons.channels must be different numbers from 0 to 3, got"),
        ((None, None, [1, 1]), "neurons.channels must be different numbers from 0 to 3, got"),
    ],
)
def test_groups_outside_of_the_map_are_refused(options, said: str):
    with pytest.raises(InputError, match=f"^{said}"):
        choose((1, 6, 7, 4), *options)


def test_momentum_follows_the_papers_schedule():
    solver = solver_spec("momentum", learning_rate=0.1, schedule=((1.0, 3), (0.1, 2)))
    goal = np.random.default_rng(2).uniform(size=(1, 2, 2, 3)).astype(np.float32)

    def value(x):
        loss = jnp.sum((x - goal) ** 2)
        return loss, {}

    step = jax.jit(make_step(value, solver))
    state = init_state(jnp.zeros(goal.shape), solver=solver, terms=())
    x, velocity = np.zeros(goal.shape), 0.0
    for i, rate in enumerate([0.1] * 3 + [0.01] * 4):
        velocity = (0.0 if i in (0, 3) else 0.9) * velocity - rate * 2 * (x - goal)  # a change of rate begins anew
        x = x + velocity
        state = step(state)
        np.testing.assert_allclose(state.trial, x, atol=1e-6)
