"""From one scale to the next: what the solver has found out goes along, at another size."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nst_jax.types import Image


def enlarge(image: Image, detail: Float[Array, "1 h2 w2 3"]) -> Float[Array, "1 h2 w2 3"]:
    """The image at the size of `detail` by a Lanczos filter of three lobes, plus the detail; clipped to [0, 1].

    An enlarged image is blurred, and the network takes blur for content. With the detail of the content picture the loss
    begins lower and stays so.
    """
    return jnp.clip(resized(image, (detail.shape[1], detail.shape[2]), "lanczos3") + detail, 0, 1)


def resized(maps: Float[Array, "1 h w c"], height_width: tuple[int, int], method: str) -> Float[Array, "1 h2 w2 c"]:
    """Maps at another size; `method` is one of `jax.image.ResizeMethod`: "lanczos3", "cubic", "linear"."""
    return jax.image.resize(maps, (1, *height_width, maps.shape[-1]), method)
