"""The optimization loop, compiled: some steps are one call, and the host is asked only between such calls."""

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from nst_jax.objective.loss import Objective
from nst_jax.optimize.ema import add
from nst_jax.optimize.solver import SOLVERS, SolverSpec, State, picture, upsample
from nst_jax.types import Image, Params

# "loss" and each of its terms, over the steps of a chunk; entries past the last step are unused.
Metrics = dict[str, Float[Array, " k"]]


@functools.partial(jax.jit, static_argnames=("solver", "terms"))
def init_state(image: Image, *, solver: SolverSpec, terms: tuple[str, ...]) -> State:
    """The solver's state before its first step; `terms` are the names of the loss's terms."""
    return SOLVERS[solver.name](solver).init(image)._replace(terms={name: jnp.zeros((), image.dtype) for name in terms})


@functools.partial(jax.jit, static_argnames=("solver",))
def upsample_state(state: State, detail: Float[Array, "1 h2 w2 3"], *, solver: SolverSpec) -> State:
    """The state at the size of `detail`, before its first step there.

    It goes on from the picture of `state`, enlarged, plus `detail`: what a picture has at this size and not at the one before.
    """
    return SOLVERS[solver.name](solver).carry(state, upsample(picture(state), detail))._replace(terms=state.terms)


@functools.partial(jax.jit, static_argnames=("spec", "solver", "capacity"), donate_argnames=("state",))
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
) -> tuple[State, Metrics, Int[Array, ""]]:
    """Up to `num_steps` steps (at most `capacity`) in one compiled loop; fewer if the solver stalls.

    `num_steps` and every weight are traced: neither compiles anew. `state` is donated.

    Returns:
        The new state, the metrics of the steps, and how many steps were made.
    """
    step_fn = SOLVERS[solver.name](solver).step
    evaluate = jax.value_and_grad(lambda x: spec.loss(params, x, targets, weights), has_aux=True)

    def body(carry: tuple[State, Metrics, Int[Array, ""]]) -> tuple[State, Metrics, Int[Array, ""]]:
        state, metrics, i = carry
        state = step_fn(evaluate, state)
        state = state._replace(average=add(state.average, state.image, solver.averaging))
        row = {"loss": state.loss} | state.terms
        return state, jax.tree.map(lambda column, value: column.at[i].set(value), metrics, row), i + 1

    def unfinished(carry: tuple[State, Metrics, Int[Array, ""]]) -> Array:
        return (carry[2] < num_steps) & ~carry[0].stalled

    empty = {name: jnp.zeros((capacity,), state.loss.dtype) for name in ("loss", *spec.terms)}
    with jax.default_matmul_precision("highest"):  # scores and the solver's inner products; convolutions say their own
        return jax.lax.while_loop(unfinished, body, (state, empty, jnp.zeros((), jnp.int32)))


@functools.partial(jax.jit, static_argnames=("spec", "solver", "capacity"), donate_argnames=("states",))
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
) -> tuple[tuple[State, Metrics, Int[Array, ""]], ...]:
    """`run_chunk` for several images of one size at once; they share the parameters, and nothing else.

    The loop goes on until the last image has made its steps; one that has made them, or has stalled, stays as it is.

    Returns:
        What `run_chunk` returns, for each image.
    """
    several = jax.tree.map(lambda *leaves: jnp.stack(leaves), *zip(states, targets, weights, num_steps, strict=True))
    one = functools.partial(run_chunk, spec=spec, solver=solver, capacity=capacity)
    results = jax.vmap(one, in_axes=(None, 0, 0, 0, 0))(params, *several)
    return tuple(jax.tree.map(operator.itemgetter(i), results) for i in range(len(states)))
