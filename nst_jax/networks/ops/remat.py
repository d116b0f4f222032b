"""Rematerialization: the gradient recomputes a part of the network from its input instead of storing its maps.

`jax.checkpoint` saves no memory on CPUs: XLA:CPU drops the barrier that keeps the second computation apart from the first,
and merges the two. Here the input of the second depends on the incoming gradient, so it can neither be merged with the first
nor start before the gradient is there.

References:
    Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016, arXiv:1604.06174.
"""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Float

from nst_jax.networks.ops.linear import differentiable, of_leaves
from nst_jax.types import Features, Params


def recomputed(run: Callable[[Params, Array], Features], params: Params, x: Float[Array, "n h w c"]) -> Features:
    """Computes `run(params, x)`; the gradient recomputes it instead of keeping its intermediate results.

    Args:
        run: a part of a network; the last of its maps is the input of the next part.
        params: of the network.
        x: the input of the part.

    Example:
        >>> import jax.numpy as jnp
        >>> square = lambda params, x: {"relu1": params["a"] * x**2}
        >>> float(jax.grad(lambda x: recomputed(square, {"a": 3.0}, x)["relu1"].sum())(jnp.ones((1, 1, 1, 1))).sum())
        6.0
    """

    def pull(live: list[int], arguments: tuple[Params, Array], gradients: Features) -> list[Any]:
        arrived = sum(gradient[0, 0, 0, 0] for gradient in gradients.values())
        params, x = arguments
        # Still x, which XLA cannot know: 0 * inf is not 0.
        call, active = of_leaves(run, (params, x + 0 * arrived), live)
        return list(jax.vjp(call, *active)[1](gradients))

    return differentiable(run, pull)(params, x)
