"""L-BFGS with one evaluation of the loss per step and recovery from failed line searches."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Int

from nst_jax.optimize.guard import choose, dtype_of, is_finite
from nst_jax.optimize.lbfgs_memory import LbfgsMemory, clear, direction_of, dot, empty_memory, push
from nst_jax.types import Scalar

# Armijo's constant: a step must bring at least this part of the decrease that the slope promises.
SUFFICIENT_DECREASE = 1e-4
# Root mean square change of the parameters in the first step along a bare gradient.
FIRST_CHANGE = 0.02
# After this number of rejections in a row, the direction becomes that of steepest descent.
MAX_REJECTIONS = 8


class LbfgsState(NamedTuple):
    """State of `lbfgs`.

    Attributes:
        base: the last accepted parameters, those of the smallest loss.
        value: the loss there times `scale`; the largest float before the first step.
        gradient: likewise.
        direction: of the line search.
        step_size: of the next trial, along the direction.
        num_rejected: trials rejected in a row.
        num_recoveries: how often the memory was cleared after a failed line search.
        stalled: no step along the bare gradient lowers the loss any more.
        accepted: whether the last trial was accepted.
        scale: a power of two that brings the first gradient near 1; 0 before the first finite one.
        memory: the last pairs of changes.
    """

    base: Any
    value: Scalar
    gradient: Any
    direction: Any
    step_size: Scalar
    num_rejected: Int[Array, ""]
    num_recoveries: Int[Array, ""]
    stalled: Bool[Array, ""]
    accepted: Bool[Array, ""]
    scale: Scalar
    memory: LbfgsMemory


def lbfgs(memory: int = 10, *, dct_floor: float = 0.0) -> optax.GradientTransformationExtraArgs:
    """L-BFGS (Liu and Nocedal 1989) whose line search takes one evaluation per step.

    `update` takes the loss and the gradient at a trial point and returns the move to the next one. A trial with enough decrease
    is accepted and the next direction computed; otherwise (too little decrease, infinite, NaN) the next trial is a shorter step
    from the same point. After `MAX_REJECTIONS` of these the memory is cleared and the steepest descent followed; if that is
    rejected as often, the search has stalled. The accepted loss never grows.

    In `optax.chain` it comes last: it relies on its moves being made as they are.

    Args:
        memory: number of pairs of changes that are kept.
        dct_floor: if above 0, the parameters are images, and the first guess of the inverse Hessian is not a multiple of the
            identity but of the Laplacian's inverse square root, see `direction_of`.
    """

    def init(params: Any) -> LbfgsState:
        dtype, zero, no = dtype_of(params), jnp.zeros((), jnp.int32), jnp.zeros((), bool)
        zeros, value = jax.tree.map(jnp.zeros_like, params), jnp.full((), jnp.finfo(dtype).max, dtype)
        nothing = jnp.zeros((), dtype)
        return LbfgsState(
            params, value, zeros, zeros, nothing, zero, zero, no, no, nothing, empty_memory(params, memory)
        )  # fmt: skip

    def update(grads: Any, state: LbfgsState, params: Any, *, value: Scalar, **extra: Any) -> tuple[Any, LbfgsState]:
        del extra
        scale = jnp.where(state.scale > 0, state.scale, _scale_of(grads))
        value, grads = jax.tree.map(lambda x: x * jnp.where(scale > 0, scale, 1), (value, grads))
        slope = dot(state.gradient, state.direction)
        # Strictly less: a length too small to change the parameters is no step.
        accepted = (value < state.value) & (value <= state.value + SUFFICIENT_DECREASE * state.step_size * slope)
        accepted &= is_finite(value, grads)
        after = _turn(state, _shorten(state, value, slope), grads, accepted, dct_floor)
        given_up = ~accepted & (state.num_rejected + 1 >= MAX_REJECTIONS)
        after = after._replace(
            base=choose(accepted, params, state.base),
            value=jnp.where(accepted, value, state.value),
            num_recoveries=state.num_recoveries + given_up.astype(jnp.int32),
            stalled=state.stalled | (given_up & _is_steepest(state)) | (after.step_size == 0),
            accepted=accepted,
            scale=scale,
        )

        def move(base: Array, trial: Array, direction: Array) -> Array:
            step = after.step_size * direction
            return jnp.where(accepted, step, (base + step) - trial)

        return jax.tree.map(move, state.base, params, after.direction), after

    return optax.GradientTransformationExtraArgs(init, update)  # pyright: ignore[reportArgumentType]


def _scale_of(grads: Any) -> Scalar:
    """The power of two that brings the largest entry into [1/2, 1); 0 if that is 0 or not finite.

    Squares of gradients neither overflow nor vanish then, and as a power of two it rounds nothing.
    """
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in jax.tree.leaves(grads)]))
    fine = jnp.isfinite(largest) & (largest > 0)
    _, exponent = jnp.frexp(jnp.where(fine, largest, 1))
    return jnp.where(fine, jnp.ldexp(jnp.ones((), largest.dtype), -exponent), 0)


def _is_steepest(state: LbfgsState) -> Bool[Array, ""]:
    """Whether the direction is the bare gradient's."""
    pairs = zip(jax.tree.leaves(state.direction), jax.tree.leaves(state.gradient), strict=True)
    return jnp.all(jnp.stack([jnp.all(direction == -gradient) for direction, gradient in pairs]))


def _shorten(state: LbfgsState, value: Scalar, slope: Scalar) -> LbfgsState:
    """A shorter step, by the parabola through what is known of the loss along the direction."""
    excess = value - state.value - state.step_size * slope
    parabola = -state.step_size * slope / (2 * jnp.maximum(excess, jnp.finfo(excess.dtype).tiny))
    factor = jnp.where(jnp.isfinite(value), jnp.clip(parabola, 0.1, 0.5), 0.1)
    return state._replace(step_size=state.step_size * factor, num_rejected=state.num_rejected + 1)


def _turn(state: LbfgsState, shorter: LbfgsState, gradient: Any, accepted: Bool[Array, ""], dct_floor: float) -> LbfgsState:
    """The next direction if the trial was accepted, else a shorter step or, after too many, steepest descent."""
    s = jax.tree.map(lambda direction: state.step_size * direction, state.direction)
    y = jax.tree.map(jnp.subtract, gradient, state.gradient)
    curved = accepted & (dot(s, y) > 0)
    memory = push(state.memory, s, y, curved)
    direction = direction_of(memory, gradient, dct_floor)
    usable = curved & (dot(gradient, direction) < 0) & is_finite(jnp.zeros(()), direction)
    following = gradient, direction, jnp.ones_like(state.step_size), jnp.zeros_like(state.num_rejected)
    kept = state.gradient, state.direction, shorter.step_size, shorter.num_rejected
    after = choose(usable, following, kept)
    restart = jnp.where(accepted, ~usable, shorter.num_rejected >= MAX_REJECTIONS)
    begun = _steepest(choose(accepted, gradient, state.gradient))
    gradient, direction, step_size, num_rejected = choose(restart, begun, after)
    return state._replace(
        gradient=gradient,
        direction=direction,
        step_size=step_size,
        num_rejected=num_rejected,
        memory=clear(memory, restart),
    )


def _steepest(gradient: Any) -> tuple[Any, Any, Scalar, Int[Array, ""]]:
    """Gradient, direction, step size and number of rejections of a search along the bare gradient; size 0 if that is 0."""
    norm = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))
    size = sum(leaf.size for leaf in jax.tree.leaves(gradient))
    step_size = FIRST_CHANGE * jnp.sqrt(jnp.asarray(1.0 * size, norm.dtype)) / jnp.where(norm > 0, norm, 1)
    return gradient, jax.tree.map(jnp.negative, gradient), jnp.where(norm > 0, step_size, 0), jnp.zeros((), jnp.int32)
