"""Memory of L-BFGS: the last changes of the parameters and of the gradient, and the direction that follows from them.

Pairs are written in place, one at a time, and cleared by their curvatures alone: a step reads each pair twice and moves no
other memory, a tenth of what copies of all pairs would move at 512 pixels.

References:
    Nocedal, Updating Quasi-Newton Matrices with Limited Storage, 1980 (the two-loop recursion).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from nst_jax.optimize.dct import dct, idct
from nst_jax.optimize.guard import dtype_of

# Of the inverse Laplacian: its fourth root stretches the waves of the first guess, which is its square root.
POWER = 0.25


class LbfgsMemory(NamedTuple):
    """The last m pairs.

    Attributes:
        s: changes of the parameters, stacked [m, ...].
        y: changes of the gradient, likewise.
        rho: 1 / sᵀy, 0 for an empty slot.
        newest: index of the last pair.
    """

    s: Any
    y: Any
    rho: Float[Array, " m"]
    newest: Int[Array, ""]


def dot(a: Any, b: Any) -> Float[Array, ""]:
    """The inner product of two trees of arrays."""
    return sum((jnp.sum(x * y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)), 0)  # pyright: ignore


def empty_memory(params: Any, number: int) -> LbfgsMemory:
    """Room for `number` pairs of changes of `params`."""
    empty = jax.tree.map(lambda x: jnp.zeros((number, *x.shape), x.dtype), params)
    return LbfgsMemory(empty, empty, jnp.zeros(number, dtype_of(params)), jnp.zeros((), jnp.int32))


def push(memory: LbfgsMemory, s: Any, y: Any, when: Bool[Array, ""]) -> LbfgsMemory:
    """Replaces the oldest pair by a new one if `when`, which requires sᵀy > 0."""
    slot = (memory.newest + 1) % len(memory.rho)
    rho = 1 / jnp.where(when, dot(s, y), 1)

    def put(old: Array, new: Array) -> Array:
        return old.at[slot].set(jnp.where(when, new, old[slot]))

    return LbfgsMemory(
        jax.tree.map(put, memory.s, s),
        jax.tree.map(put, memory.y, y),
        put(memory.rho, rho),
        jnp.where(when, slot, memory.newest),
    )


def clear(memory: LbfgsMemory, when: Bool[Array, ""]) -> LbfgsMemory:
    """Drops all pairs if `when`."""
    return memory._replace(rho=jnp.where(when, 0, memory.rho))


def direction_of(memory: LbfgsMemory, gradient: Any, dct_floor: float = 0.0) -> Any:
    """−H ∇, where H approximates the inverse Hessian; −∇ if the memory is empty and `dct_floor` 0.

    Args:
        memory: the pairs.
        gradient: ∇, of the shape of the pairs.
        dct_floor: the first guess that the pairs correct is γ (L + dct_floor)^(−1/2), where L is the Laplacian of images and γ
            fits the last pair; with 0 it is γ alone.

    Example:
        >>> flat = jnp.ones((1, 1, 1, 3))
        >>> bowl = push(empty_memory(flat, 4), flat, 2 * flat, jnp.array(True))  # the gradient of Σ x² is 2 x
        >>> direction_of(bowl, 2 * flat).ravel().tolist()  # from 1 straight to 0
        [-1.0, -1.0, -1.0]
    """
    number = len(memory.rho)

    def pair(slot: Array) -> tuple[Any, Any, Array]:
        return jax.tree.map(lambda x: x[slot], memory.s), jax.tree.map(lambda x: x[slot], memory.y), memory.rho[slot]

    def backward(i: Array, carry: tuple[Any, Array]) -> tuple[Any, Array]:
        q, alphas = carry
        slot = (memory.newest - i) % number
        s, y, rho = pair(slot)
        alpha = rho * dot(s, q)
        return jax.tree.map(lambda q, y: q - alpha * y, q, y), alphas.at[slot].set(alpha)

    def forward(i: Array, r: Any) -> Any:
        slot = (memory.newest + 1 + i) % number
        s, y, rho = pair(slot)
        share = alphas[slot] - rho * dot(y, r)
        return jax.tree.map(lambda r, s: r + share * s, r, s)

    q, alphas = jax.lax.fori_loop(0, number, backward, (gradient, jnp.zeros_like(memory.rho)))
    _, y, rho = pair(memory.newest)
    if dct_floor:
        q, y = jax.tree.map(lambda x: dct(x, dct_floor, POWER), (q, y))
    curvature = rho * dot(y, y)  # of the last pair, in these coordinates: yᵀy / sᵀy
    r = jax.tree.map(lambda q: q / jnp.where(curvature > 0, curvature, 1), q)
    if dct_floor:
        r = jax.tree.map(lambda r: idct(r, dct_floor, POWER), r)
    return jax.tree.map(jnp.negative, jax.lax.fori_loop(0, number, forward, r))
