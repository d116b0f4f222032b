"""Optax transformations for images, and the compiled loop that they run in.

`lbfgs`, `adam` and `momentum` are `optax.GradientTransformationExtraArgs`; their `update` takes the loss as `value`.

Example:
    >>> import jax, jax.numpy as jnp, optax
    >>> solver, x = lbfgs(), jnp.array([3.0, -2.0])
    >>> state = solver.init(x)
    >>> for _ in range(20):
    ...     value, gradient = jax.value_and_grad(lambda x: jnp.sum(jnp.array([1.0, 10.0]) * x**2))(x)
    ...     moves, state = solver.update(gradient, state, x, value=value)
    ...     x = optax.apply_updates(x, moves)
    >>> float(jnp.abs(x).max()) < 1e-3
    True
"""

from nst_jax.optimize.adam import adam
from nst_jax.optimize.guard import guarded
from nst_jax.optimize.lbfgs import lbfgs
from nst_jax.optimize.momentum import momentum

__all__ = ["adam", "guarded", "lbfgs", "momentum"]
