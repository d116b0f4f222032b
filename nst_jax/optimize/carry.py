"""From one scale to the next: what the solver has found out goes along, at another size."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nst_jax.types import Image


def enlarge(image: Image, height_width: tuple[int, int]) -> Float[Array, "1 h2 w2 3"]:
    """The image at another size by a Lanczos filter of three lobes; what overshoots [0, 1] is clipped."""
    return jnp.clip(resized(image, height_width, "lanczos3"), 0, 1)


def resized(maps: Float[Array, "1 h w c"], height_width: tuple[int, int], method: str) -> Float[Array, "1 h2 w2 c"]:
    """Maps at another size; `method` is one of `jax.image.ResizeMethod`: "lanczos3", "cubic", "linear"."""
    return jax.image.resize(maps, (1, *height_width, maps.shape[-1]), method)
