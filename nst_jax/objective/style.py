"""Score of style: the distance between the feature statistics of an image and those of the style."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from nst_jax.objective.statistics import Moments


def gram_matrix(m: Moments) -> Float[Array, "c c"]:
    """The Gram matrix of a feature map, divided by the number of positions M.

    Ĝ_ij = 1/M Σ_k F_ik F_jk. Gatys et al. (2016, eq. 3) do not divide by M; dividing lets images of different size be
    compared, and their loss is unchanged (see `gram_distance`). Symmetric and positive semi-definite.
    """
    return m.product / m.positions


def gram_distance(m: Moments, target: Moments) -> Float[Array, ""]:
    """The style loss of one layer, E_l = 1/(4 N² M²) Σ_ij (G_ij − A_ij)² (Gatys et al. 2016, eq. 4).

    N is the number of channels and M that of positions, which belongs to the Gram matrices here: ¼ of the mean squared
    difference of Ĝ and Â, so that image and style may differ in size.

    Example:
        >>> one = Moments(jnp.array(2.0), jnp.array([4.0]), jnp.array([[10.0]]))
        >>> two = Moments(jnp.array(1.0), jnp.array([1.0]), jnp.array([[1.0]]))
        >>> float(gram_distance(one, two))  # (10/2 - 1/1)² / 4
        4.0
    """
    return jnp.mean((gram_matrix(m) - gram_matrix(target)) ** 2) / 4


# Name in the config -> distance of two Moments.
STYLE_DISTANCES = {"gram": gram_distance}
