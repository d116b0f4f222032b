"""Adam and L-BFGS on one image, each guarded: the image kept is always one whose loss was finite.

Both are state machines with one evaluation of the loss a step, so that the loss is compiled once and a step costs one
gradient, whatever happens in it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from nst_jax.objective.objective import Terms
from nst_jax.types import Image

Scalar = Float[Array, ""]
# Image -> ((loss, terms), gradient).
Evaluate = Callable[[Image], tuple[tuple[Scalar, Terms], Image]]

# Armijo's constant: a step must bring at least this part of the decrease that the slope promises.
SUFFICIENT_DECREASE = 1e-4
# Root mean square change of the image in the first step along a bare gradient, in units of [0, 1].
FIRST_CHANGE = 0.02
# A direction is given up for the bare gradient after so many refusals in a row.
MAX_REFUSALS = 8


@dataclass(frozen=True)
class SolverSpec:
    """Which solver.

    Attributes:
        name: a key of `SOLVERS`.
        learning_rate: Adam's, in units of [0, 1] a step; L-BFGS has none.
        memory: how many pairs of changes L-BFGS keeps.
    """

    name: str = "lbfgs"
    learning_rate: float = 0.02
    memory: int = 10


class State(NamedTuple):
    """Where a solver stands.

    Attributes:
        image: the last image known to be good.
        loss: of that image (of the one before, for Adam), infinite before the first step.
        terms: of the same.
        recoveries: how often a step had to be undone with fresh memory.
        stalled: no step along the bare gradient brings a decrease any more.
        inner: the solver's own.
    """

    image: Image
    loss: Scalar
    terms: Terms
    recoveries: Int[Array, ""]
    stalled: Bool[Array, ""]
    inner: Any


class Solver(NamedTuple):
    """`init(image) -> state` and `step(evaluate, state) -> state`, one evaluation a step."""

    init: Callable[[Image], State]
    step: Callable[[Evaluate, State], State]


def _start(image: Image, inner: Any) -> State:
    zero = jnp.zeros(())
    infinite = jnp.full((), jnp.inf)
    return State(image, infinite, Terms(infinite, zero, zero), jnp.zeros((), jnp.int32), jnp.zeros((), bool), inner)


def _finite(loss: Scalar, gradient: Image) -> Bool[Array, ""]:
    return jnp.isfinite(loss) & jnp.isfinite(jnp.sum(gradient))


def _choose(condition: Bool[Array, ""], yes: Any, no: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


class _AdamState(NamedTuple):
    moments: optax.OptState
    good: Image
    rate: Scalar


def adam(spec: SolverSpec) -> Solver:
    """Adam (Kingma and Ba 2015) with β = (0.9, 0.99), the image kept within [0, 1].

    After a step to where the loss is not finite: back to the last good image, with half the rate and fresh moments.
    """
    scale = optax.scale_by_adam(b1=0.9, b2=0.99)

    def init(image: Image) -> State:
        return _start(image, _AdamState(scale.init(image), image, jnp.full((), spec.learning_rate)))

    def step(evaluate: Evaluate, state: State) -> State:
        inner: _AdamState = state.inner
        (loss, terms), gradient = evaluate(state.image)
        fine = _finite(loss, gradient)
        direction, moments = scale.update(gradient, inner.moments)
        moved = jnp.clip(state.image - inner.rate * direction, 0, 1)  # pyright: ignore[reportOperatorIssue]
        after = State(moved, loss, terms, state.recoveries, state.stalled, inner._replace(moments=moments, good=state.image))
        back = state._replace(
            image=inner.good,
            recoveries=state.recoveries + 1,
            inner=_AdamState(scale.init(inner.good), inner.good, inner.rate / 2),
        )
        return _choose(fine, after, back)

    return Solver(init, step)


class _LbfgsState(NamedTuple):
    gradient: Image
    direction: Image
    length: Scalar
    refusals: Int[Array, ""]
    memory: optax.OptState


def lbfgs(spec: SolverSpec) -> Solver:
    """L-BFGS (Liu and Nocedal 1989) whose line search takes one evaluation a step.

    A step evaluates the image one trial length along the direction. With enough decrease the trial is accepted and the next
    direction made; otherwise (too little decrease, infinite, not a number) the next step tries a shorter length from the same
    image. After `MAX_REFUSALS` of these the memory is dropped and the bare gradient followed; if that is refused as often, the
    search has stalled. The image kept never has a larger loss than the one before.
    """
    precondition = optax.scale_by_lbfgs(memory_size=spec.memory)

    def fresh(image: Image, gradient: Image) -> _LbfgsState:
        norm = jnp.sqrt(jnp.sum(gradient**2))
        length = FIRST_CHANGE * jnp.sqrt(1.0 * gradient.size) / jnp.maximum(norm, jnp.finfo(norm.dtype).tiny)
        _, memory = precondition.update(gradient, precondition.init(image), image)
        return _LbfgsState(gradient, -gradient, length, jnp.zeros((), jnp.int32), memory)

    def init(image: Image) -> State:
        zero = jnp.zeros_like(image)
        none = _LbfgsState(zero, zero, jnp.zeros(()), jnp.zeros((), jnp.int32), precondition.init(image))
        return _start(image, none)

    def accept(state: State, image: Image, loss: Scalar, terms: Terms, gradient: Image) -> State:
        inner: _LbfgsState = state.inner
        curvature = jnp.sum((image - state.image) * (gradient - inner.gradient))
        new, memory = precondition.update(gradient, inner.memory, image)
        direction = -jnp.asarray(new)
        usable = (curvature > 0) & (jnp.sum(gradient * direction) < 0) & jnp.isfinite(jnp.sum(direction))
        kept = _LbfgsState(gradient, direction, jnp.ones(()), jnp.zeros((), jnp.int32), memory)
        inner = _choose(usable, kept, fresh(image, gradient))
        return State(image, loss, terms, state.recoveries, state.stalled, inner)

    def refuse(state: State, loss: Scalar, slope: Scalar) -> State:
        inner: _LbfgsState = state.inner
        length = inner.length
        excess = loss - state.loss - length * slope
        parabola = -length * slope / (2 * jnp.maximum(excess, jnp.finfo(excess.dtype).tiny))
        factor = jnp.where(jnp.isfinite(loss), jnp.clip(parabola, 0.1, 0.5), 0.1)
        shorter = inner._replace(length=length * factor, refusals=inner.refusals + 1)
        bare = jnp.all(inner.direction == -inner.gradient)
        given_up = shorter.refusals >= MAX_REFUSALS
        return state._replace(
            recoveries=state.recoveries + given_up.astype(jnp.int32),
            stalled=state.stalled | (given_up & bare),
            inner=_choose(given_up, fresh(state.image, inner.gradient), shorter),
        )

    def step(evaluate: Evaluate, state: State) -> State:
        inner: _LbfgsState = state.inner
        trial = state.image + inner.length * inner.direction
        (loss, terms), gradient = evaluate(trial)
        slope = jnp.sum(inner.gradient * inner.direction)
        # Strictly less: a length too small to change the image in float32 is no step.
        enough = (loss < state.loss) & (loss <= state.loss + SUFFICIENT_DECREASE * inner.length * slope)
        accepted = accept(state, trial, loss, terms, gradient)
        return _choose(enough & _finite(loss, gradient), accepted, refuse(state, loss, slope))

    return Solver(init, step)


# Name in the config -> solver.
SOLVERS: dict[str, Callable[[SolverSpec], Solver]] = {"adam": adam, "lbfgs": lbfgs}
