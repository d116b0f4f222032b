"""What HOG and dense SIFT begin with: the gradient of a gray picture, its length spread over directions."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Gray = Float[Array, "n h w"]
# Gradients shorter than this have no direction; their length counts as zero and so does its derivative.
SHORTEST = 1e-6


def directed_lengths(dy: Gray, dx: Gray, number: int, *, bilinear: bool) -> Float[Array, "n h w k"]:
    """The length of each pixel's gradient, in the bins of its direction.

    Bin k is centered at the angle 2πk/number, from x towards y. The whole length is given to the nearest bin or, if
    `bilinear`, shared by the two nearest ones in proportion to nearness.

    Example:
        >>> zero, one = jnp.zeros((1, 1, 1)), jnp.ones((1, 1, 1))
        >>> directed_lengths(one, zero, 4, bilinear=False).ravel().tolist()
        [0.0, 1.0, 0.0, 0.0]
    """
    flat = dx**2 + dy**2 < SHORTEST**2
    dx, dy = jnp.where(flat, 1, dx), jnp.where(flat, 0, dy)  # neither square root nor angle has a derivative at 0
    length = jnp.where(flat, 0, jnp.sqrt(dx**2 + dy**2))
    place = jnp.arctan2(dy, dx) * (number / (2 * jnp.pi))
    if not bilinear:
        nearest = jnp.round(place).astype(jnp.int32) % number
        return length[..., None] * jax.nn.one_hot(nearest, number, dtype=length.dtype)
    away = (place[..., None] - jnp.arange(number, dtype=length.dtype)[None, None, None]) % number
    away = jnp.minimum(away, number - away)
    return length[..., None] * jnp.maximum(1 - away, 0)
