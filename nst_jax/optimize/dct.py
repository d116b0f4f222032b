"""The image as cosine waves, the slow ones stretched: coordinates in which colors of large areas are found as soon as edges.

The Hessian of the total variation (β = 2) is a Laplacian with free borders, and the cosine waves are its eigenvectors. Each is
stretched by a power of its inverse eigenvalue: the root, so that the curvature of the total variation no longer grows with the
frequency, or less, for a loss that is only partly like it.

References:
    Strang, The Discrete Cosine Transform, 1999 (type 2 and its Laplacian).
    Olah, Mordvintsev and Schubert, Feature Visualization, Distill 2017 (gradient descent on stretched Fourier coefficients).
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from nst_jax.types import Image

# A change of the image, or a gradient, as coefficients: the number of half waves down and across.
Waves = Float[Array, "1 h w 3"]


def dct(gradient: Image, floor: float, power: float = 0.5) -> Waves:
    """The gradient with regard to the coefficients, from that with regard to the pixels.

    It is the transpose of `idct`.

    Args:
        gradient: of a loss, by the pixels.
        floor: > 0, is added to each eigenvalue of the Laplacian, which are 0 to 8: waves longer than about 2π/√floor pixels
            are all stretched alike. With 0 the coefficients are the pixels.
        power: of the inverse eigenvalue, by which a wave is stretched.
    """
    if not floor:
        return gradient
    _, height, width, _ = gradient.shape
    down, across = _cosines(height, gradient.dtype), _cosines(width, gradient.dtype)
    return _stretch(height, width, floor, power, gradient.dtype) * jnp.einsum("kh,nhwc,lw->nklc", down, gradient, across)


def idct(waves: Waves, floor: float, power: float = 0.5) -> Image:
    """The change of the pixels that a change of the coefficients is.

    Example:
        >>> slow, fast = (jnp.zeros((1, 9, 9, 3)).at[0, k, 0].set(1) for k in (1, 8))
        >>> [round(float(jnp.abs(idct(wave, 0.01)).max()), 2) for wave in (slow, fast)]  # the slow one moves more
        [0.43, 0.08]
    """
    if not floor:
        return waves
    _, height, width, _ = waves.shape
    down, across = _cosines(height, waves.dtype), _cosines(width, waves.dtype)
    stretched = _stretch(height, width, floor, power, waves.dtype) * waves
    return jnp.einsum("kh,nklc,lw->nhwc", down, stretched, across)


def _cosines(n: int, dtype: Any) -> Float[Array, "n n"]:
    """The orthonormal cosine transform (type 2), a row for each wave. As a matrix: sizes such as 227 have no fast one."""
    wave, place = jnp.arange(n, dtype=dtype)[:, None], jnp.arange(n, dtype=dtype)[None]
    rows = jnp.sqrt(jnp.asarray(2 / n, dtype)) * jnp.cos(jnp.pi / n * wave * (place + 0.5))
    return rows.at[0].divide(jnp.sqrt(jnp.asarray(2.0, dtype)))


def _stretch(height: int, width: int, floor: float, power: float, dtype: Any) -> Float[Array, "1 h w 1"]:
    """1 for a Laplacian eigenvalue of 1, ((1 + floor) / floor)^power for the flat wave."""
    down, across = (2 - 2 * jnp.cos(jnp.pi / n * jnp.arange(n, dtype=dtype)) for n in (height, width))
    return ((1 + floor) / (floor + down[None, :, None, None] + across[None, None, :, None])) ** power
