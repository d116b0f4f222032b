"""Score of the image itself, whatever the content and the style."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from nst_jax.types import Images


def total_variation(image: Images) -> Float[Array, ""]:
    """The mean squared difference of neighbouring pixels: mean of dx² plus mean of dy², over all pixels and channels.

    A mean and not a sum, so that it weighs alike at any size. 0 for a flat picture and for a single pixel.

    References:
        Mahendran and Vedaldi, Understanding Deep Image Representations by Inverting Them, 2015, arXiv:1412.0035, sec. 2.2
        (there a sum, and with a power β, here 2).

    Example:
        >>> float(total_variation(jnp.arange(3.0).reshape(1, 1, 3, 1) * jnp.ones((1, 1, 1, 3))))  # (1 + 1) steps over 3 pixels
        0.6666666865348816
    """
    dy, dx = jnp.diff(image, axis=1), jnp.diff(image, axis=2)
    return (jnp.sum(dx**2) + jnp.sum(dy**2)) / image.size


# Differences of neighbors below this count by their squares in the L1 and isotropic forms, which have no derivative at 0.
SMOOTH = 1 / 255


def absolute_variation(image: Images) -> Float[Array, ""]:
    """The L1 form: the mean of |dx| plus the mean of |dy|, smoothed as √(d² + ε²) − ε with ε = `SMOOTH`.

    An edge costs its height, be it sharp or soft, so that edges stay where the squares of `total_variation` soften them.

    Example:
        >>> step = jnp.repeat(jnp.array([0.0, 1.0]), 2).reshape(1, 1, 4, 1) * jnp.ones((1, 1, 1, 3))
        >>> round(float(absolute_variation(step)), 3)  # one step of 1 over 4 pixels
        0.249
    """
    return jnp.asarray(sum(jnp.sum(_smooth(jnp.diff(image, axis=axis) ** 2)) for axis in (1, 2))) / image.size


def isotropic_variation(image: Images) -> Float[Array, ""]:
    """The isotropic form: the mean of √(dx² + dy²), smoothed likewise; slanted edges cost what straight ones do.

    References:
        Rudin, Osher and Fatemi, Nonlinear total variation based noise removal algorithms, 1992.

    Example:
        >>> step = jnp.repeat(jnp.array([0.0, 1.0]), 2).reshape(1, 1, 4, 1) * jnp.ones((1, 1, 1, 3))
        >>> round(float(isotropic_variation(step)), 3)
        0.249
    """
    dy = jnp.diff(image, axis=1, append=image[:, -1:])
    dx = jnp.diff(image, axis=2, append=image[:, :, -1:])
    return jnp.sum(_smooth(dx**2 + dy**2)) / image.size


def _smooth(square: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.sqrt(square + SMOOTH**2) - SMOOTH


# Name in the config -> form. All are means over the pixels, as the content and the style term are: a weight that balances them
# at one size balances them at each pixel of another. Times size^β they would weigh alike for one and the same picture enlarged,
# but take from a print all that is finer than a pixel of its preview.
TOTAL_VARIATIONS = {"l2": total_variation, "l1": absolute_variation, "isotropic": isotropic_variation}
