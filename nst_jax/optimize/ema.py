"""The average of the images along the way: what the noise of single steps adds to each of them cancels in it."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from nst_jax.types import Image


class Average(NamedTuple):
    """An exponential average that has begun: the sum of the weighed images, and the sum of their weights, below 1 at first."""

    total: Image
    weight: Float[Array, ""]


def no_average(image: Image) -> Average:
    """The average of no image yet, for images like `image`."""
    return Average(jnp.zeros_like(image), jnp.zeros((), image.dtype))


def add(average: Average, image: Image, decay: float) -> Average:
    """The average with one image more: decay · average + (1 − decay) · image.

    Args:
        average: of the images so far.
        image: the newest.
        decay: in [0, 1): an image counts for `decay` to the power of how many came after it; 0 keeps the newest alone.
    """
    return Average(decay * average.total + (1 - decay) * image, decay * average.weight + (1 - decay))


def mean(average: Average, otherwise: Image) -> Image:
    """The weighed mean of the images so far, total / weight; `otherwise` before the first.

    Dividing by the weight, 1 − decay^t after t images, is Adam's correction of the bias towards the zeros it began with
    (Kingma and Ba 2015, sec. 3).

    Example:
        >>> black, white = jnp.zeros((1, 1, 1, 3)), jnp.ones((1, 1, 1, 3))
        >>> both = add(add(no_average(black), black, 0.5), white, 0.5)  # (0.25 · 0 + 0.5 · 1) / 0.75
        >>> round(float(mean(both, black)[0, 0, 0, 0]), 4)
        0.6667

    References:
        Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992.
    """
    begun = average.weight > 0
    return jnp.where(begun, average.total / jnp.where(begun, average.weight, 1), otherwise)
