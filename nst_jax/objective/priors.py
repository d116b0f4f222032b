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
