"""The optimization loop, compiled: one call makes several steps, and the host is asked only between such calls."""

import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from nst_jax.objective.loss import Objective, Terms
from nst_jax.optimize.adam import resized, upsample_adam
from nst_jax.optimize.ema import Average, add, mean, no_average
from nst_jax.optimize.guard import choose
from nst_jax.optimize.solver import UNBOUNDED, SolverSpec
from nst_jax.partition import WHOLE, ExecutionPlan
from nst_jax.types import Image, Params, Scalar

# Image -> the loss and its terms.
Loss = Callable[[Image], tuple[Scalar, Terms]]
# "loss" and each of its terms, over the steps of a chunk; entries past the last step are unused.
Metrics = dict[str, Float[Array, " k"]]


class State(NamedTuple):
    """State of the optimization.

    Attributes:
        image: the last image that the solver accepted; its loss is finite. Before the first step, the initial image.
        loss: of that image; the largest float before the first step.
        terms: of the loss.
        first_loss: of the first image at this size.
        trial: the image that is evaluated next.
        average: of the images so far.
        solver: the transformation's state.
    """

    image: Image
    loss: Scalar
    terms: Terms
    first_loss: Scalar
    trial: Image
    average: Average
    solver: Any

    @property
    def recoveries(self) -> Int[Array, ""]:
        """How many times the solver has recovered from a failure."""
        return optax.tree_utils.tree_get(self.solver, "num_recoveries", jnp.zeros((), jnp.int32))

    @property
    def stalled(self) -> Bool[Array, ""]:
        """Whether no step lowers the loss any more: the solver says so, or all terms are 0."""
        return _stalled(optax.tree_utils.tree_get(self.solver, "stalled", jnp.zeros((), bool)), self.loss, self.terms)


@jax.jit
def _stalled(stalled: Bool[Array, ""], loss: Scalar, terms: Terms) -> Bool[Array, ""]:
    return stalled | jnp.all(jnp.stack([loss, *terms.values()]) == 0)


@jax.jit
def picture(state: State) -> Image:
    """The picture that a state stands for: the average of the images so far, within [0, 1]."""
    return jnp.clip(mean(state.average, state.image), 0, 1)


@functools.partial(jax.jit, static_argnames=("solver", "terms"))
def init_state(image: Image, *, solver: SolverSpec, terms: tuple[str, ...]) -> State:
    """The state before the first step; `terms` are the names of the loss's terms."""
    return _state(image, solver.make().init(image), terms)


def _state(image: Image, solver_state: Any, terms: tuple[str, ...]) -> State:
    largest = jnp.full((), jnp.finfo(image.dtype).max, image.dtype)
    zeros = {name: jnp.zeros((), image.dtype) for name in terms}
    return State(image, largest, zeros, largest, image, no_average(image), solver_state)


@functools.partial(jax.jit, static_argnames=("solver",))
def upsample_state(state: State, detail: Float[Array, "1 h2 w2 3"], *, solver: SolverSpec) -> State:
    """The state at the size of `detail`, before its first step there.

    It goes on from the picture of `state`, enlarged, plus `detail`: what a picture has at this size and not at the one before.
    """
    image = upsample(picture(state), detail)
    if solver.name == "adam":
        solver_state = upsample_adam(state.solver, image, dict(solver.options))
    else:  # what other solvers remember belongs to another function
        solver_state = solver.make().init(image)
    return _state(image, solver_state, tuple(state.terms))


def upsample(image: Image, detail: Float[Array, "1 h2 w2 3"]) -> Float[Array, "1 h2 w2 3"]:
    """The image at the size of `detail` by a Lanczos filter of three lobes, plus the detail; clipped to [0, 1].

    An enlarged image is blurred, and the network takes blur for content. With the detail of the content picture the loss
    begins lower and stays so.
    """
    return jnp.clip(resized(image, (detail.shape[1], detail.shape[2]), "lanczos3") + detail, 0, 1)


def make_step(loss: Loss, solver: SolverSpec) -> Callable[[State], State]:
    """One step of the solver on a loss: it evaluates the trial image, and moves to the next one."""
    transformation = solver.make()

    def evaluate(image: Image) -> tuple[Scalar, Terms]:
        return jax.tree.map(lambda value: value.astype(image.dtype), loss(image))

    def step(state: State) -> State:
        (value, terms), gradient = jax.value_and_grad(evaluate, has_aux=True)(state.trial)
        known = {"value": value, "grad": gradient, "value_fn": lambda image, step=None: evaluate(image)[0]}
        with jax.numpy_dtype_promotion("standard"):  # optax raises floats to the power of integers
            moves, solver_state = transformation.update(gradient, state.solver, state.trial, **known)
            trial = jnp.asarray(optax.apply_updates(state.trial, moves))
        trial = trial if solver.name in UNBOUNDED else jnp.clip(trial, 0, 1)
        accepted = optax.tree_utils.tree_get(solver_state, "accepted")
        largest = jnp.finfo(value.dtype).max
        first_loss = jnp.where(state.first_loss == largest, jnp.where(accepted, value, largest), state.first_loss)
        evaluated, kept = (state.trial, value, terms), (state.image, state.loss, state.terms)
        image, value, terms = choose(accepted, evaluated, kept)
        average = add(state.average, image, solver.averaging)
        return State(image, value, terms, first_loss, trial, average, solver_state)

    return step


@functools.partial(jax.jit, static_argnames=("spec", "solver", "capacity", "plan"), donate_argnames=("state",))
def run_chunk(
    params: Params,
    state: State,
    targets: Any,
    weights: Any,
    num_steps: Int[Array, ""],
    *,
    spec: Objective,
    solver: SolverSpec,
    capacity: int,
    plan: ExecutionPlan = WHOLE,
) -> tuple[State, Metrics, Int[Array, ""]]:
    """Makes up to `num_steps` steps (at most `capacity`) in one compiled loop; fewer if the solver stalls.

    `num_steps` and every weight are traced: changing them does not trigger recompilation. `state` is donated.

    Returns:
        The new state, the metrics of the steps, and how many steps were made.
    """
    step = make_step(lambda image: spec.loss(params, image, targets, weights, plan), solver)

    def body(carry: tuple[State, Metrics, Int[Array, ""]]) -> tuple[State, Metrics, Int[Array, ""]]:
        state, metrics, i = carry
        state = step(state)
        row = {"loss": state.loss} | state.terms
        return state, jax.tree.map(lambda column, value: column.at[i].set(value), metrics, row), i + 1

    def unfinished(carry: tuple[State, Metrics, Int[Array, ""]]) -> Array:
        return (carry[2] < num_steps) & ~carry[0].stalled

    empty = {name: jnp.zeros((capacity,), state.loss.dtype) for name in ("loss", *spec.terms)}
    with jax.default_matmul_precision("highest"):  # scores and the solver's inner products; convolutions set their own
        return jax.lax.while_loop(unfinished, body, (state, empty, jnp.zeros((), jnp.int32)))


@functools.partial(jax.jit, static_argnames=("spec", "solver", "capacity", "plan"), donate_argnames=("states",))
def run_chunks(
    params: Params,
    states: tuple[State, ...],
    targets: tuple[Any, ...],
    weights: tuple[Any, ...],
    num_steps: tuple[Int[Array, ""], ...],
    *,
    spec: Objective,
    solver: SolverSpec,
    capacity: int,
    plan: ExecutionPlan = WHOLE,
) -> tuple[tuple[State, Metrics, Int[Array, ""]], ...]:
    """`run_chunk` for several images of one size at once; they share the parameters, and nothing else.

    The loop goes on until the last image has made its steps; one that has made them, or has stalled, stays as it is.

    Returns:
        The result of `run_chunk` for each image.
    """
    several = jax.tree.map(lambda *leaves: jnp.stack(leaves), *zip(states, targets, weights, num_steps, strict=True))
    one = functools.partial(run_chunk, spec=spec, solver=solver, capacity=capacity, plan=plan)
    results = jax.vmap(one, in_axes=(None, 0, 0, 0, 0))(params, *several)
    return tuple(jax.tree.map(operator.itemgetter(i), results) for i in range(len(states)))
