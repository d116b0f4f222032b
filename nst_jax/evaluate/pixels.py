"""Measures of the artifacts of optimized pictures: frames, checkerboards, grids, noise, rims and haze; and of colors."""

import numpy as np
from jaxtyping import Bool, Float, Int, Real
from scipy.ndimage import gaussian_filter

from nst_jax.images.color import to_oklab
from nst_jax.objective.palette import half_sphere
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
    ours, theirs = (
        np.quantile(oklab(pixels.reshape(-1, 3)) @ half_sphere(DIRECTIONS).T, levels, axis=0) for pixels in (image, other)
    )
    return float(np.sqrt(3 * np.mean((ours - theirs) ** 2)))


# Of the positions of a picture, the share that counts as flat; the difference that is not seen, in OKLab · 100.
FLAT, UNSEEN = 0.25, 0.5


def noise(image: Pixels, content: Pixels, style: Float[np.ndarray, "1 h2 w2 3"]) -> float:
    """The fine detail in flat regions of the content, (d(image) + ½) / (d(style) + ½).

    d is the median, over flat positions, of the distance of the color to its mean within a Gaussian of 1 pixel, in OKLab · 100:
    grain and crackle are everywhere there, edges and large strokes at few positions. A quarter of the positions is flat, those
    where the colors within a Gaussian window of 1/64 of the longer side deviate least: of the content, for the image; of the
    style blurred by 2 pixels, so that its own fine detail does not decide.

    1 is as calm as the style in its own plain regions; 0.7 to 1.1 for painted pictures, 2 and more with visible grain.

    Args:
        image: the picture.
        content: of the same size.
        style: of any size.
    """
    found, plain = (oklab(pixels[0]) for pixels in (image, style))
    ours = _detail(found)[_is_flat(oklab(content[0]))]
    theirs = _detail(plain)[_is_flat(_blurred(plain, 2.0))]
    return float((np.median(ours) + UNSEEN) / (np.median(theirs) + UNSEEN))


def _detail(lab: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    return np.linalg.norm(lab - _blurred(lab, 1.0), axis=-1)


def _is_flat(lab: Float[np.ndarray, "h w 3"]) -> Bool[np.ndarray, "h w"]:
    sigma = max(lab.shape[:2]) / 64
    variance = np.sum(_blurred(lab**2, sigma) - _blurred(lab, sigma) ** 2, axis=-1)
    return variance <= np.quantile(variance, FLAT)


def _blurred(x: Float[np.ndarray, "h w c"], sigma: float) -> Float[np.ndarray, "h w c"]:
    """Convolves with a Gaussian; pixels at the border are repeated around it."""
    return gaussian_filter(x, (sigma, sigma, 0), mode="nearest")


# Pixels from an edge to bands along it: beside it, farther away on the plain side, and on the other side; half a band's length.
NEAR, FAR, ACROSS, ALONG = range(3, 6), range(8, 13), range(-5, -1), 6
# Of the content, in OKLab · 100: a strong edge's slope a pixel and difference of its sides, and what a plain side deviates.
SLOPE, CONTRAST, PLAIN = 4, 8, 2.5
CELL = 32


def rim(image: Pixels, content: Pixels) -> float:
    """A pale or dark halo along the strong edges of the content, on their plain sides: lightness · 100 of OKLab.

    The mean amount by which a band beside the edge is lighter or darker than both the plain ground farther away and the other
    side of the edge. Edges and plain sides are those of the content. Lightness is averaged over bands, and over those of one
    direction within a cell of 32 pixels, so that strokes cancel but not what goes along the edge.

    0 without a halo, or without a plain ground; up to 2 strokes; 4 and more a visible rim.

    Args:
        image: the picture.
        content: of the same size.
    """
    points, normals = _plain_sides(oklab(content[0]))
    if not len(points):
        return 0.0
    lightness = oklab(image[0])[..., 0]
    quadrant = np.floor(np.arctan2(normals[:, 0], normals[:, 1]) / (np.pi / 2)).astype(int)
    _, group, count = np.unique(np.column_stack([points // CELL, quadrant]), axis=0, return_inverse=True, return_counts=True)
    near, far, across = (
        np.bincount(group.ravel(), _bands(lightness, points, normals, at).mean((1, 2))) / count for at in (NEAR, FAR, ACROSS)
    )
    beyond = np.maximum(near - np.maximum(far, across), 0) + np.maximum(np.minimum(far, across) - near, 0)
    return float(np.average(beyond, weights=count))


def _plain_sides(lab: Float[np.ndarray, "h w 3"]) -> tuple[Int[np.ndarray, "n 2"], Float[np.ndarray, "n 2"]]:
    """The points of strong edges and the unit vectors, (y, x), from there to a plain side within the picture."""
    down, across = np.gradient(_blurred(lab, 1.0), axis=(0, 1))
    products = np.stack([np.sum(a * b, axis=-1) for a, b in ((down, down), (down, across), (across, across))], axis=-1)
    yy, yx, xx = np.moveaxis(_blurred(products, 1.0), -1, 0)
    angle = np.arctan2(2 * yx, xx - yy) / 2  # of the direction in which colors change most
    normal = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    slope = np.sqrt(products[..., 0] + products[..., 2])
    here = np.moveaxis(np.indices(slope.shape), 0, -1)
    is_crest = (slope >= _at(slope, here + normal)) & (slope >= _at(slope, here - normal))
    is_edge = is_crest & (slope > SLOPE)
    points, normals = np.tile(here[is_edge], (2, 1)), np.concatenate([normal[is_edge], -normal[is_edge]])
    ground = _bands(lab, points, normals, range(NEAR.start, FAR.stop))
    is_plain = np.sum(ground.var((1, 2)), axis=-1) < PLAIN**2
    other = _bands(lab, points, normals, ACROSS).mean((1, 2))
    differs = np.linalg.norm(other - ground.mean((1, 2)), axis=-1) > CONTRAST
    end = points + FAR.stop * normals
    is_inside = np.all((end >= 0) & (end <= here[-1, -1]), axis=1)
    found = is_plain & differs & is_inside
    return points[found], normals[found]


def _bands(
    x: Float[np.ndarray, "h w *c"], points: Int[np.ndarray, "n 2"], normals: Float[np.ndarray, "n 2"], at: range
) -> Float[np.ndarray, "n d t *c"]:
    """The pixels at each distance `at` along the normal, and within `ALONG` to both sides of there."""
    tangents = normals[:, ::-1] * np.array([-1, 1])
    across, along = np.array(at)[:, None, None], np.arange(-ALONG, ALONG + 1)[:, None]
    return _at(x, points[:, None, None] + across * normals[:, None, None] + along * tangents[:, None, None])


def _at(x: Float[np.ndarray, "h w *c"], where: Real[np.ndarray, "*n 2"]) -> Float[np.ndarray, "..."]:
    """The pixels nearest to positions (y, x), or those at the border."""
    rows, columns = np.moveaxis(np.clip(np.rint(where).astype(int), 0, np.array(x.shape[:2]) - 1), -1, 0)
    return x[rows, columns]
