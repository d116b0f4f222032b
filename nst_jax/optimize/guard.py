"""Recovery from steps to where the loss is not finite, for any optax transformation."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Int

from nst_jax.types import Scalar


class GuardState(NamedTuple):
    """State of `guarded`.

    Attributes:
        inner: state of the guarded transformation.
        good: the last accepted parameters.
        value: the loss there; the largest float before the first step.
        factor: multiplies every move.
        num_steps: updates so far.
        num_recoveries: how many of them were undone.
        accepted: whether the last evaluated parameters were accepted.
    """

    inner: Any
    good: Any
    value: Scalar
    factor: Scalar
    num_steps: Int[Array, ""]
    num_recoveries: Int[Array, ""]
    accepted: Bool[Array, ""]


def guarded(
    inner: optax.GradientTransformation, divergence_factor: float | None = None
) -> optax.GradientTransformationExtraArgs:
    """Returns to the last good parameters where the loss or its gradient is not finite.

    It then initializes `inner` again and halves all further moves. `inner` is given the number of the update as `step`, which
    keeps counting.

    Args:
        inner: any transformation.
        divergence_factor: also undo a step that multiplies the loss by more than this.
    """
    inner = optax.with_extra_args_support(inner)

    def init(params: Any) -> GuardState:
        dtype, zero = dtype_of(params), jnp.zeros((), jnp.int32)
        value, factor = jnp.full((), jnp.finfo(dtype).max, dtype), jnp.ones((), dtype)
        return GuardState(inner.init(params), params, value, factor, zero, zero, jnp.zeros((), bool))

    def update(grads: Any, state: GuardState, params: Any, *, value: Scalar, **extra: Any) -> tuple[Any, GuardState]:
        accepted = is_finite(value, grads)
        if divergence_factor is not None:
            accepted &= value / divergence_factor <= state.value
        moves, inner_state = inner.update(grads, state.inner, params, value=value, step=state.num_steps, **extra)
        moves = jax.tree.map(lambda move, x: (state.factor * move).astype(x.dtype), moves, params)
        back = jax.tree.map(jnp.subtract, state.good, params)
        moves, inner_state, good, value, factor = choose(
            accepted,
            (moves, inner_state, params, value, state.factor),
            (back, inner.init(state.good), state.good, state.value, state.factor / 2),
        )
        recoveries = state.num_recoveries + (~accepted).astype(jnp.int32)
        return moves, GuardState(inner_state, good, value, factor, state.num_steps + 1, recoveries, accepted)

    # Optax's constructor has the type of the base class, whose `update` takes no more arguments.
    return optax.GradientTransformationExtraArgs(init, update)  # pyright: ignore[reportArgumentType]


def is_finite(value: Scalar, grads: Any) -> Bool[Array, ""]:
    """Whether the loss and all of its gradient are finite."""
    return jnp.isfinite(value) & jnp.isfinite(sum(jnp.sum(leaf) for leaf in jax.tree.leaves(grads)))


def choose(condition: Bool[Array, ""], yes: Any, no: Any) -> Any:
    """`yes` or `no`, trees of the same structure."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def dtype_of(params: Any) -> Any:
    """The type of the parameters' first array."""
    return jax.tree.leaves(params)[0].dtype
