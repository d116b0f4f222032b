"""The memory of L-BFGS: the last pairs of changes, of the image and of its gradient, and the direction that follows from them.

It is written in place, one pair at a time, and forgotten by its curvatures alone: a step reads each pair twice and moves no
other memory, which at 512 pixels is a tenth of what a step with copies of all pairs would move.

References:
    Nocedal, Updating Quasi-Newton Matrices with Limited Storage, 1980 (the two loops).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from nst_jax.types import Image


class LbfgsMemory(NamedTuple):
    """The last m pairs.

    Attributes:
        moves: s, by how much the image changed.
        turns: y, by how much the gradient changed.
        inverse: 1 / sᵀy, and 0 where there is no pair.
        newest: the place of the last one.
    """

    moves: Float[Array, "m n h w c"]
    turns: Float[Array, "m n h w c"]
    inverse: Float[Array, " m"]
    newest: Int[Array, ""]


def empty_memory(image: Image, number: int) -> LbfgsMemory:
    """Room for so many pairs."""
    empty = jnp.zeros((number, *image.shape), image.dtype)
    return LbfgsMemory(empty, empty, jnp.zeros(number, image.dtype), jnp.zeros((), jnp.int32))


def push(pairs: LbfgsMemory, move: Image, turn: Image, when: Bool[Array, ""]) -> LbfgsMemory:
    """With one more pair, in place of the oldest, if `when`; its curvature sᵀy is positive then."""
    place = (pairs.newest + 1) % len(pairs.inverse)
    inverse = 1 / jnp.where(when, jnp.sum(move * turn), 1)

    def put(old: Array, new: Array) -> Array:
        return old.at[place].set(jnp.where(when, new, old[place]))

    return LbfgsMemory(
        put(pairs.moves, move), put(pairs.turns, turn), put(pairs.inverse, inverse), jnp.where(when, place, pairs.newest)
    )


def clear(pairs: LbfgsMemory, when: Bool[Array, ""]) -> LbfgsMemory:
    """Without any pairs, if `when`."""
    return pairs._replace(inverse=jnp.where(when, 0, pairs.inverse))


def direction_of(pairs: LbfgsMemory, gradient: Image) -> Image:
    """−H ∇, where H approximates the inverse of the Hessian; the bare −∇ without pairs.

    Example:
        >>> flat = jnp.ones((1, 1, 1, 3))
        >>> bowl = push(empty_memory(flat, 4), flat, 2 * flat, jnp.array(True))  # the gradient of Σ x² is 2 x
        >>> direction_of(bowl, 2 * flat).ravel().tolist()  # from 1 straight to 0
        [-1.0, -1.0, -1.0]
    """
    number = len(pairs.inverse)

    def backwards(i: Array, carry: tuple[Image, Array]) -> tuple[Image, Array]:
        q, shares = carry
        place = (pairs.newest - i) % number
        share = pairs.inverse[place] * jnp.sum(pairs.moves[place] * q)
        return q - share * pairs.turns[place], shares.at[place].set(share)

    def forwards(i: Array, r: Image) -> Image:
        place = (pairs.newest + 1 + i) % number
        share = shares[place] - pairs.inverse[place] * jnp.sum(pairs.turns[place] * r)
        return r + share * pairs.moves[place]

    q, shares = jax.lax.fori_loop(0, number, backwards, (gradient, jnp.zeros_like(pairs.inverse)))
    curvature = pairs.inverse[pairs.newest] * jnp.sum(pairs.turns[pairs.newest] ** 2)  # yᵀy / sᵀy
    return -jax.lax.fori_loop(0, number, forwards, q / jnp.where(curvature > 0, curvature, 1))
