"""The solvers on functions with a known minimum, and on functions that break ordinary ones."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nst_jax.errors import InputError
from nst_jax.optimize import adam, lbfgs, momentum
from nst_jax.optimize.ema import add, mean, no_average
from nst_jax.optimize.lbfgs import MAX_REJECTIONS
from nst_jax.optimize.loop import init_state, make_step, picture, upsample_state
from nst_jax.optimize.solver import SOLVERS, make_solver, solver_spec

SHAPE = (1, 4, 5, 3)
GOAL = jnp.asarray(np.random.default_rng(0).uniform(0.2, 0.8, SHAPE), jnp.float32)
SCALES = jnp.asarray(np.geomspace(1, 100, GOAL.size).reshape(SHAPE), jnp.float32)


@pytest.fixture(autouse=True)
def _promotion_that_optax_needs():
    with jax.numpy_dtype_promotion("standard"):  # Optax takes powers of floats to integer counts
        yield


def step_of(function, solver):
    return jax.jit(make_step(lambda x: (function(x), {}), solver))


def course(name, function, image, steps, **options):
    solver = solver_spec(name, **options)
    step, states = step_of(function, solver), [init_state(image, solver=solver, terms=())]
    for _ in range(steps):
        states.append(step(states[-1]))
    return states


def quadratic(x):
    return jnp.sum(SCALES * (x - GOAL) ** 2)


@pytest.mark.parametrize(("name", "steps"), [("lbfgs", 60), ("adam", 500)])
def test_a_badly_scaled_quadratic_is_minimized(name, steps):
    last = course(name, quadratic, jnp.full(SHAPE, 0.5), steps, **({"learning_rate": 0.01} if name == "adam" else {}))[-1]
    assert float(last.loss) < 1e-4 * float(quadratic(jnp.full(SHAPE, 0.5)))
    np.testing.assert_allclose(last.image, GOAL, atol=0.01)
    assert int(last.recoveries) == 0


def test_momentum_comes_back_from_a_leap_of_the_loss():
    def steep(x):
        return jnp.sum((4 * (x - GOAL)) ** 6)

    states = course("momentum", steep, jnp.full(SHAPE, 1.0), 200, learning_rate=0.02)
    assert float(steep(jnp.full(SHAPE, 1.0) - 0.02 * jax.grad(steep)(jnp.full(SHAPE, 1.0)))) > 1e6
    assert int(states[-1].recoveries) > 0
    assert float(states[-1].loss) < 1e-2 * float(states[1].loss)


def test_lbfgs_needs_far_fewer_evaluations_than_steepest_descent():
    slow = jnp.full(SHAPE, 0.5)
    for _ in range(40):
        slow = slow - jax.grad(quadratic)(slow) / 101  # the best constant rate for curvatures of 2 to 200
    fast = course("lbfgs", quadratic, jnp.full(SHAPE, 0.5), 40)[-1]
    assert float(fast.loss) < 1e-3 * float(quadratic(slow))


def test_lbfgs_that_expects_curvature_of_fine_detail_needs_fewer_evaluations_where_it_is():
    def rough(x):  # the Laplacian's curvature, and some of large areas
        return sum(jnp.sum(jnp.diff(x, axis=axis) ** 2) for axis in (1, 2)) + 0.02 * jnp.sum((x - 0.5) ** 2)

    start = jnp.asarray(np.random.default_rng(1).random((1, 24, 20, 3)), jnp.float32)
    plain, guessed = (course("lbfgs", rough, start, 15, dct_floor=floor)[-1] for floor in (0.0, 0.05))
    assert float(guessed.loss) < 0.5 * float(plain.loss)


@pytest.mark.parametrize("scale", [1e-20, 1e-9, 1e9, 1e20])
def test_lbfgs_does_not_mind_the_scale_of_the_loss(scale):
    plain = course("lbfgs", quadratic, jnp.full(SHAPE, 0.5), 30)[-1]
    scaled = course("lbfgs", lambda x: scale * quadratic(x), jnp.full(SHAPE, 0.5), 30)[-1]
    assert float(scaled.loss) / scale < 10 * float(plain.loss) + 1e-6


def test_lbfgs_never_keeps_a_worse_image():
    def rough(x):
        return jnp.sum(SCALES * (x - GOAL) ** 2) + 3 * jnp.sum(jnp.cos(40 * x))

    losses = [float(state.loss) for state in course("lbfgs", rough, jnp.full(SHAPE, 0.9), 80)]
    assert all(after <= before for before, after in itertools.pairwise(losses[1:]))
    assert losses[-1] < losses[1]


def walled(x):
    """Not a number wherever a pixel passes 0.81, beyond which the unguarded step along a long direction lands."""
    return jnp.where(jnp.any(x > 0.81), jnp.nan, quadratic(x))


@pytest.mark.parametrize("name", ["lbfgs", "adam", "momentum", "optax.adamw"])
def test_not_a_number_is_stepped_back_from(name):
    states = course(name, walled, jnp.full(SHAPE, 0.5), 400, **({} if name == "lbfgs" else {"learning_rate": 0.3}))
    last = states[-1]
    assert np.isfinite(np.asarray(last.image)).all()
    assert np.isfinite(float(last.loss))
    assert not bool(jnp.any(last.image > 0.81))
    assert float(last.loss) == pytest.approx(float(quadratic(last.image)), rel=1e-5)
    assert float(last.loss) < 0.1 * float(quadratic(jnp.full(SHAPE, 0.5)))


def test_adam_halves_its_rate_and_says_so_after_a_bad_step():
    states = course("adam", walled, jnp.full(SHAPE, 0.5), 50, learning_rate=0.4)
    assert int(states[-1].recoveries) >= 1
    assert float(states[-1].solver.factor) == 1 / 2 ** int(states[-1].recoveries)


def test_adam_stays_within_the_range_of_pictures():
    last = course("adam", lambda x: -jnp.sum(x), jnp.full(SHAPE, 0.5), 100, learning_rate=0.05)[-1]
    np.testing.assert_array_equal(last.image, 1.0)


def test_lbfgs_says_that_it_has_stalled_where_no_step_descends():
    def trap(x):  # the gradient points nowhere: the value jumps up on any change
        return jnp.where(jnp.all(x == 0.5), 0.0, 1.0) + 1e-3 * jnp.sum(x)

    states = course("lbfgs", trap, jnp.full(SHAPE, 0.5), 3 * MAX_REJECTIONS)
    last = states[-1]
    assert bool(last.stalled)
    np.testing.assert_array_equal(last.image, 0.5)


def test_lbfgs_drops_its_memory_for_the_bare_gradient():
    before = course("lbfgs", quadratic, jnp.full(SHAPE, 0.5), 10)[-1]
    assert np.asarray(before.solver.memory.rho).any()
    refuse = step_of(lambda x: jnp.inf * jnp.sum(x**2), solver_spec("lbfgs"))
    state = before
    for _ in range(MAX_REJECTIONS):
        assert int(state.recoveries) == 0
        state = refuse(state)
    assert int(state.recoveries) == 1
    assert not np.asarray(state.solver.memory.rho).any()
    np.testing.assert_array_equal(state.solver.direction, -before.solver.gradient)
    np.testing.assert_array_equal(state.image, before.image)


def test_a_start_that_is_not_a_number_is_kept_and_stalls():
    last = course("lbfgs", lambda x: jnp.nan * jnp.sum(x), jnp.full(SHAPE, 0.5), 3 * MAX_REJECTIONS)[-1]
    np.testing.assert_array_equal(last.image, 0.5)
    assert bool(last.stalled)


def test_the_average_is_that_of_the_images_so_far():
    images = [GOAL * part for part in (0.2, 0.5, 1.0)]
    average = no_average(GOAL)
    np.testing.assert_array_equal(mean(average, GOAL), GOAL)
    for image in images:
        average = add(average, image, 0.9)
    shares = np.array([0.9**2, 0.9, 1]) / (0.9**2 + 0.9 + 1)
    expected = sum(share * np.asarray(image) for share, image in zip(shares, images, strict=True))
    np.testing.assert_allclose(mean(average, GOAL), expected, rtol=1e-5)
    np.testing.assert_array_equal(mean(add(average, GOAL, 0.0), images[0]), GOAL)


def test_the_picture_of_a_state_is_its_average_within_range():
    state = init_state(GOAL, solver=solver_spec(), terms=())._replace(image=4 * GOAL)
    np.testing.assert_array_equal(picture(state), jnp.clip(4 * GOAL, 0, 1))
    np.testing.assert_allclose(picture(state._replace(average=add(state.average, GOAL, 0.9))), GOAL, rtol=1e-5)


def test_adam_goes_on_at_another_size_as_it_was():
    """Carried to the same size, nothing changes; to twice the size, moments are those of gradients of a quarter."""
    solver = solver_spec("adam")
    state = course("adam", lambda x: jnp.mean(SCALES * (x - GOAL) ** 2), GOAL + 0.1, 5)[-1]
    moments, (_, height, width, _) = state.solver.inner, SHAPE
    same = upsample_state(state, jnp.zeros(SHAPE), solver=solver).solver
    for kept, before in zip(jax.tree.leaves(same.inner), jax.tree.leaves(moments), strict=True):
        np.testing.assert_allclose(kept, before, rtol=1e-5, atol=1e-9)
    larger = upsample_state(state, jnp.zeros((1, 2 * height, 2 * width, 3)), solver=solver)
    assert larger.image.shape == larger.solver.inner.mu.shape == (1, 2 * height, 2 * width, 3)
    assert float(larger.solver.inner.nu.min()) >= 0
    assert int(larger.solver.inner.count) == 5
    np.testing.assert_allclose(jnp.mean(larger.solver.inner.mu), jnp.mean(moments.mu) / 4, rtol=0.05)
    np.testing.assert_allclose(jnp.mean(larger.solver.inner.nu), jnp.mean(moments.nu) / 16, rtol=0.05)


@pytest.mark.parametrize("name", SOLVERS)
def test_an_enlarged_flat_image_stays_flat(name):
    state = init_state(jnp.full(SHAPE, 0.25), solver=solver_spec(name), terms=())
    carried = upsample_state(state, jnp.zeros((1, 9, 11, 3)), solver=solver_spec(name))
    np.testing.assert_allclose(carried.image, jnp.full((1, 9, 11, 3), 0.25), rtol=1e-6)
    assert float(carried.loss) == np.finfo(np.float32).max


@pytest.mark.parametrize(
    "solver", [lbfgs(), adam(0.05), momentum(0.002), optax.chain(optax.clip_by_global_norm(1e3), lbfgs(5))]
)
def test_the_solvers_work_in_a_loop_of_one_s_own_and_on_any_tree(solver):
    def value(x):
        return quadratic(x["a"]) + jnp.sum((x["b"] - 0.3) ** 2)

    @jax.jit
    def step(x, state):
        loss, gradient = jax.value_and_grad(value)(x)
        moves, state = solver.update(gradient, state, x, value=loss)
        return optax.apply_updates(x, moves), state

    x = {"a": jnp.full(SHAPE, 0.5), "b": jnp.zeros(2)}
    state, before = solver.init(x), float(value(x))
    for _ in range(100):
        x, state = step(x, state)
    assert float(value(x)) < 1e-2 * before


@pytest.mark.parametrize("name", ["optax.adamw", "optax.sgd", optax.lbfgs(), optax.chain(optax.clip(1.0), lbfgs())])
def test_the_loop_takes_any_transformation_of_optax(name):
    options = {"learning_rate": 0.005} if isinstance(name, str) else {}
    last = course(name, quadratic, jnp.full(SHAPE, 0.5), 60, **options)[-1]
    assert float(last.loss) < 0.1 * float(quadratic(jnp.full(SHAPE, 0.5)))


@pytest.mark.parametrize(
    ("name", "options"),
    [("nope", {}), ("optax.nope", {}), ("optax.global_norm", {}), ("optax.adam", {}), ("lbfgs", {"memmory": 3})],
)
def test_unknown_solvers_and_arguments_are_refused(name: str, options):
    with pytest.raises(InputError, match="optimizer"):
        make_solver(name, options)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_perfect_start_is_not_left(name):
    state = course(name, quadratic, GOAL, 1)[-1]
    assert bool(state.stalled)
    np.testing.assert_array_equal(state.image, GOAL)


@pytest.mark.parametrize("name", ["adam", "lbfgs", "momentum", "optax.adamw"])
def test_the_dtype_follows_the_image_where_x64_is_enabled(name):
    options = {} if name == "lbfgs" else {"learning_rate": 0.01}
    with jax.enable_x64(True):
        start, *_, last = course(name, quadratic, jnp.full(SHAPE, 0.5, jnp.float32), 3, **options)
    assert jax.tree.map(lambda leaf: leaf.dtype, last) == jax.tree.map(lambda leaf: leaf.dtype, start)
    assert last.trial.dtype == jnp.float32
