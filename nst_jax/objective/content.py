"""Score of content: the distance between the feature maps of an image and those of the content picture."""

from jaxtyping import Array, Float

from nst_jax.objective.statistics import SquaredError


def content_distance(e: SquaredError) -> Float[Array, ""]:
    """The content loss of one layer, ½ Σ_ij (F_ij − P_ij)² (Gatys et al. 2016, eq. 1). It grows with the picture.

    Example:
        >>> import jax.numpy as jnp
        >>> float(content_distance(SquaredError(jnp.array(8.0), jnp.array(6.0))))
        3.0
    """
    return e.sum / 2
