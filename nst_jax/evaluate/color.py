"""How far the colors of two pictures are apart, wherever in the pictures they are."""

import numpy as np
from jaxtyping import Float

from nst_jax.images.color import to_oklab

DIRECTIONS, LEVELS = 64, 512


def oklab(pixels: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """Colors from sRGB in [0, 1] to OKLab times 100: a difference of about 2 is just seen.

    Example:
        >>> np.round(oklab(np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])), 1).tolist()
        [[100.0, 0.0, 0.0], [62.8, 22.5, 12.6]]
    """
    return 100 * to_oklab(np.clip(pixels, 0, 1)) + 0.0


def color_distance(image: Float[np.ndarray, "1 h w 3"], other: Float[np.ndarray, "1 h2 w2 3"]) -> float:
    """The sliced Wasserstein-2 distance of the colors, (3/D Σ_d ∫ (F_d⁻¹(t) − F'_d⁻¹(t))² dt)^½, in OKLab · 100.

    F_d⁻¹ are the quantiles of the colors along direction d. The factor 3 makes a shift of all colors by v count as |v|;
    otherwise it is at most the distance by optimal transport.

    References:
        Rabin, Peyré, Delon and Bernot, Wasserstein Barycenter and its Application to Texture Mixing, SSVM 2011.
    """
    levels = (np.arange(LEVELS) + 0.5) / LEVELS
    ours, theirs = (np.quantile(oklab(pixels.reshape(-1, 3)) @ _directions().T, levels, axis=0) for pixels in (image, other))
    return float(np.sqrt(3 * np.mean((ours - theirs) ** 2)))


def _directions() -> Float[np.ndarray, "d 3"]:
    """Unit vectors spread evenly over the half sphere, by the golden angle."""
    i = np.arange(DIRECTIONS)
    z = (i + 0.5) / DIRECTIONS
    angle, radius = i * np.pi * (3 - 5**0.5), np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=-1)
