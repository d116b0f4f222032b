"""Scores of how unlike a natural picture an image is: the α-norm keeps its range, TV^β its smoothness.

Both are of x/σ, with x the image less the mean color, in [0, 255] units, and σ the Euclidean norm of a typical x, as in
Mahendran and Vedaldi 2015 (arXiv:1412.0035, eqs. 2 to 4). σ² is `RMS`² for each entry. Their multipliers are meant for pictures
of 227 x 227; at another size the sums here are rescaled so that the same multiplier acts alike on each pixel.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from nst_jax.types import Images

# Root mean square of an entry of a natural picture less the mean color, of 255: σ = 27098 for 227 x 227 x 3 entries.
RMS = 68.9
# Entries of the pictures that the multipliers are meant for.
ENTRIES = 227 * 227 * 3
# Differences of neighbors below this, of 255, have no derivative: for β < 2 it would be infinite at 0.
FLOOR = 1e-5


def alpha_norm(image: Images, mean: Float[Array, " 3"], alpha: float) -> Float[Array, ""]:
    """R_α(x/σ) = Σ |x/σ|^α; times (entries / `ENTRIES`)^(α/2 − 1), which is 1 for 227 x 227.

    Args:
        image: in [0, 1].
        mean: the color that is 0, in [0, 1].
        alpha: > 1; 6 in the paper.

    Example:
        >>> one_rms = jnp.full((1, 227, 227, 3), RMS / 255)
        >>> round(float(alpha_norm(one_rms, jnp.zeros(3), 2.0)), 4)
        1.0
    """
    x = (image - mean[None, None, None]) * (255 / RMS)
    return jnp.mean(jnp.abs(x) ** alpha) * ENTRIES ** (1 - alpha / 2)


def total_variation_power(image: Images, beta: float) -> Float[Array, ""]:
    """R_Vβ(x/σ) = Σ ((dx/σ)² + (dy/σ)²)^(β/2) over pixels and channels; times (entries / `ENTRIES`)^(β/2 − 1).

    Differences are to the next row and column, 0 at the last ones. For β = 1 edges cost what slopes of the same height do;
    for larger β they cost more, and isolated spikes too.

    Args:
        image: in [0, 1].
        beta: > 0.

    Example:
        >>> ramp = jnp.arange(227.0)[None, None, :, None] * jnp.ones((1, 227, 1, 3)) * (RMS / 255)
        >>> round(float(total_variation_power(ramp, 2.0)) * 227 / 226, 4)
        1.0
    """
    dy = jnp.diff(image, axis=1, append=image[:, -1:]) * (255 / RMS)
    dx = jnp.diff(image, axis=2, append=image[:, :, -1:]) * (255 / RMS)
    square = jnp.maximum(dy**2 + dx**2, (FLOOR / RMS) ** 2)
    return jnp.mean(square ** (beta / 2)) * ENTRIES ** (1 - beta / 2)
