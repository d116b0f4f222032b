"""Gradient descent with momentum and a stepwise schedule, with recovery."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from nst_jax.optimize.guard import dtype_of, guarded

# A step that multiplies the loss by more than this is undone.
DIVERGENCE_FACTOR = 10.0


def momentum(
    learning_rate: float = 0.02, *, decay: float = 0.9, schedule: Sequence[tuple[float, int]] = ()
) -> optax.GradientTransformationExtraArgs:
    """Momentum: v ← decay · v − rate · ∇, x ← x + v (Mahendran and Vedaldi 2015, sec. 2.2), guarded.

    It recovers from losses that are not finite, and from those that leap by `DIVERGENCE_FACTOR`.

    Args:
        learning_rate: multiplies the gradient.
        decay: of the velocity v.
        schedule: factors on the rate, each with a number of steps; the last one lasts. v is reset to 0 at each change. Empty:
            a constant rate.
    """
    factors, counts = zip(*(schedule or ((1.0, 1),)), strict=True)
    starts = (0, *itertools.accumulate(counts[:-1]))

    def update(grads: Any, velocity: Any, params: Any = None, *, step: Int[Array, ""], **extra: Any) -> tuple[Any, Any]:
        del params, extra
        dtype = dtype_of(grads)
        stage = jnp.sum(step >= jnp.asarray(starts, step.dtype)) - 1
        rate = learning_rate * jnp.asarray(factors, dtype)[stage]
        keep = jnp.where(step == jnp.asarray(starts, step.dtype)[stage], jnp.zeros((), dtype), jnp.full((), decay, dtype))
        velocity = jax.tree.map(lambda v, g: keep * v - rate * g, velocity, grads)
        return velocity, velocity

    def init(params: Any) -> Any:
        return jax.tree.map(jnp.zeros_like, params)

    descent = optax.GradientTransformationExtraArgs(init, update)  # pyright: ignore[reportArgumentType]
    return guarded(descent, DIVERGENCE_FACTOR)
