"""Rematerialization: the gradient computes a part of the network anew, from its input, instead of keeping its maps.

`jax.checkpoint` does nothing for memory on processors: XLA:CPU drops the barrier that keeps the second computation apart
from the first, and merges the two. Here the input of the second depends on the gradient that arrives, so that it can neither
be merged with the first nor begin before the gradient is there.

References:
    Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016, arXiv:1604.06174.
"""

import functools
from collections.abc import Callable

import jax
from jaxtyping import Array, Float

from nst_jax.types import Features, Params

Run = Callable[[Params, Array], Features]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def remat(run: Run, params: Params, x: Float[Array, "n h w c"]) -> Features:
    """`run(params, x)`, of which nothing but `x` is kept for the gradient; differentiable in `x` only.

    Args:
        run: a part of a network; the last of its maps is the input of the next part.
        params: of the network, frozen.
        x: the input of the part.

    Example:
        >>> import jax.numpy as jnp
        >>> square = lambda params, x: {"relu1": params["a"] * x**2}
        >>> float(jax.grad(lambda x: remat(square, {"a": 3.0}, x)["relu1"].sum())(jnp.ones((1, 1, 1, 1))).sum())
        6.0
    """
    return run(params, x)


def _forward(run: Run, params: Params, x: Array) -> tuple[Features, tuple[Params, Array]]:
    return run(params, x), (params, x)


def _backward(run: Run, saved: tuple[Params, Array], gradients: Features) -> tuple[None, Array]:
    params, x = saved
    arrived = sum(gradient[0, 0, 0, 0] for gradient in gradients.values())
    _, pull = jax.vjp(functools.partial(run, params), x + 0 * arrived)  # x itself, as XLA cannot know: 0 * inf is not 0
    return None, pull(gradients)[0]


remat.defvjp(_forward, _backward)
