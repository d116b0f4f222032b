"""How far the colors of two pictures are apart, wherever in the pictures they are."""

import numpy as np
from jaxtyping import Float

# Björn Ottosson's OKLab: linear sRGB to cone responses, and their cube roots to lightness and two opponent axes.
_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
DIRECTIONS, LEVELS = 64, 512


def oklab(pixels: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """Colors from sRGB in [0, 1] to OKLab times 100: a difference of about 2 is just seen.

    Example:
        >>> np.round(oklab(np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])), 1).tolist()
        [[100.0, 0.0, 0.0], [62.8, 22.5, 12.6]]

    References:
        Ottosson, A perceptual color space for image processing, 2020, bottosson.github.io/posts/oklab.
    """
    x = np.clip(pixels.astype(np.float64), 0, 1)
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    return 100 * np.cbrt(linear @ _TO_CONES.T) @ _TO_LAB.T + 0.0


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
