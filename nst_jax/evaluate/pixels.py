"""Measures of the artifacts of optimized pictures: frames, checkerboards, grids, noise and haze; and of colors."""

import numpy as np
from jaxtyping import Float

from nst_jax.images.color import to_oklab
from nst_jax.types import Pixels

# The period of the grid of three poolings, in pixels.
PERIOD = 8


def total_variation(image: Pixels) -> float:
    """The mean absolute difference between horizontal and vertical neighbors.

    Example:
        >>> total_variation(np.array([[0.0, 1.0], [0.0, 1.0]])[None, :, :, None].repeat(3, 3))
        0.5
    """
    across, down = (np.abs(np.diff(image, axis=axis)).mean() for axis in (2, 1))
    return float(across + down) / 2


def checkerboard(image: Pixels) -> float:
    """Σ (x_ij − x_i,j+1 − x_i+1,j + x_i+1,j+1)² / Σ (Δ_across² + Δ_down²), means over positions and channels.

    Only detail that alternates in both directions contributes to the numerator: 0 for stripes and slopes, 2 for a checkerboard
    of single pixels, 1 for white noise. Photographs and paintings have 0.2 to 0.6.

    Example:
        >>> board = (np.indices((8, 8)).sum(0) % 2)[None, :, :, None].repeat(3, 3) * 1.0
        >>> checkerboard(board)
        2.0
    """
    x = image.astype(np.float64)
    across, down = (np.mean(np.diff(x, axis=axis) ** 2) for axis in (2, 1))
    both = np.mean(np.diff(np.diff(x, axis=1), axis=2) ** 2)
    return float(both / max(across + down, 1e-12))


def grid(image: Pixels) -> float:
    """The relative standard deviation of the mean absolute differences of neighbors, by column (row) modulo 8.

    The larger of the two directions. In natural pictures the differences do not depend on the position; gradients of pooling
    and JPEG blocks have a period of 2, 4 or 8 pixels. Without a grid, the value falls with the number of pixels.

    Example:
        >>> stripes = np.tile(np.repeat([0.0, 1.0], 8), 4)[None, None, :, None] * np.ones((1, 64, 1, 3))
        >>> round(grid(stripes), 1)  # all changes are at one column in 8
        2.6
    """
    return max(_unevenness(np.abs(np.diff(image.astype(np.float64), axis=axis)).mean((0, 3 - axis, 3))) for axis in (1, 2))


def _unevenness(changes: Float[np.ndarray, " n"]) -> float:
    """The relative standard deviation of mean changes along a line, by position modulo `PERIOD`."""
    whole = changes[: len(changes) // PERIOD * PERIOD].reshape(-1, PERIOD).mean(0)
    return float(whole.std() / max(whole.mean(), 1e-12))


def border(image: Pixels) -> float:
    """The contrast of the outermost pixels to the interior: the larger of the ratios of tone and of roughness.

    * tone: the root mean square, over sides and channels, of the difference between the outermost band and the next one,
      averaged along the side; over the same for all pairs of neighboring bands of the interior.
    * roughness: the mean absolute difference of neighbors along the outermost band, over the interior's.

    Averages along a side cancel strokes and edges but not a frame, so that even faint frames are found. Bands are 1/64 of the
    shorter side wide, at least 2 pixels. About 1 without a frame (0.5 to 1.7 in photographs and paintings), 2 and more with a
    visible one.
    """
    x = image[0].astype(np.float64)
    width = max(2, min(x.shape[:2]) // 64)
    tones, roughness = zip(
        *(_sides(turned, width) for turned in (x, x[::-1], x.swapaxes(0, 1), x.swapaxes(0, 1)[::-1])), strict=True
    )
    outer, inner = np.mean(tones, axis=0)
    rough_outer, rough_inner = np.mean(roughness, axis=0)
    return float(max(np.sqrt(outer / max(inner, 1e-12)), rough_outer / max(rough_inner, 1e-12)))


def _sides(x: Float[np.ndarray, "h w 3"], width: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """(Outermost, interior) values of the squared jump of tone, and of the roughness, at the upper side of `x`."""
    bands = x[: len(x) // width * width].reshape(-1, width, *x.shape[1:])
    tones = bands[:, :, 2 * width : -2 * width].mean((1, 2))
    jumps = np.mean(np.diff(tones, axis=0) ** 2, axis=1)
    rough = np.abs(np.diff(bands, axis=2)).mean((1, 2, 3))
    return (jumps[0], jumps[2:-2].mean()), (rough[0], rough[2:-2].mean())


DIRECTIONS, LEVELS = 64, 512


def oklab(pixels: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """Converts sRGB in [0, 1] to OKLab times 100; a difference of about 2 is just visible.

    Example:
        >>> np.round(oklab(np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])), 1).tolist()
        [[100.0, 0.0, 0.0], [62.8, 22.5, 12.6]]
    """
    return 100 * to_oklab(np.clip(pixels, 0, 1)) + 0.0


def color_distance(image: Float[np.ndarray, "1 h w 3"], other: Float[np.ndarray, "1 h2 w2 3"]) -> float:
    """The sliced Wasserstein-2 distance of the colors, (3/D Σ_d ∫ (F_d⁻¹(t) − F'_d⁻¹(t))² dt)^½, in OKLab · 100.

    F_d⁻¹ are the quantiles of the colors along direction d. With the factor 3, a shift of all colors by v has the distance |v|.

    References:
        Rabin, Peyré, Delon and Bernot, Wasserstein Barycenter and its Application to Texture Mixing, SSVM 2011.
    """
    levels = (np.arange(LEVELS) + 0.5) / LEVELS
    ours, theirs = (np.quantile(oklab(pixels.reshape(-1, 3)) @ _directions().T, levels, axis=0) for pixels in (image, other))
    return float(np.sqrt(3 * np.mean((ours - theirs) ** 2)))


def _directions() -> Float[np.ndarray, "d 3"]:
    """Unit vectors, evenly distributed over the half sphere by the golden angle."""
    i = np.arange(DIRECTIONS)
    z = (i + 0.5) / DIRECTIONS
    angle, radius = i * np.pi * (3 - 5**0.5), np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=-1)
