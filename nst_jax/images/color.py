"""Color control: a result in the style's colors, in the content's, in the style's where the content has its own, or matched.

Gatys et al. describe two ways to preserve the content's colors: match the style's colors to the content's before the transfer,
or transfer luminance only and take the colors from the content. Luminance here is the lightness of Oklab (Ottosson 2020), which
unlike the YIQ of the paper can be changed without a perceived change of hue. Arrays are sRGB in [0, 1]; sums are float64.

References:
    Gatys, Bethge, Hertzmann and Shechtman, Preserving Color in Neural Artistic Style Transfer, 2016, arXiv:1606.05897.
    Gatys et al., Controlling Perceptual Factors in Neural Style Transfer, 2017, arXiv:1611.07865.
    Pitié and Kokaram, The Linear Monge-Kantorovitch Linear Colour Mapping for Example-Based Colour Transfer, 2007.
    Ottosson, A perceptual color space for image processing, 2020, https://bottosson.github.io/posts/oklab/.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from nst_jax.images import strips
from nst_jax.types import Pixels

Matrix = Float[np.ndarray, "3 3"]

# Linear sRGB to cone responses, and their cube roots to (L, a, b); rows are outputs.
TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
# Added to the variance in every direction of color space, which is 0 for a gray style.
EPSILON = 1e-5


def to_oklab(pixels: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """Converts sRGB to Oklab: lightness L in [0, 1], a (green to red) and b (blue to yellow), in float64.

    Example:
        >>> (to_oklab(np.array([[1.0, 1.0, 1.0]])).round(3) + 0.0).tolist()
        [[1.0, 0.0, 0.0]]
    """
    encoded = np.asarray(pixels, np.float64)
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((np.maximum(encoded, 0) + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ TO_CONES.T) @ TO_LAB.T


def from_oklab(lab: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """Converts Oklab to sRGB in [0, 1]; colors out of gamut are clipped."""
    linear = np.clip((lab @ np.linalg.inv(TO_LAB).T) ** 3 @ np.linalg.inv(TO_CONES).T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055).astype(np.float32)


def luminance(pixels: Pixels) -> Pixels:
    """Converts a picture to gray of the same lightness."""
    return _by_strips(lambda strip: _gray(_lightness(strip)), pixels)


def _lightness(pixels: Pixels) -> Float[np.ndarray, "1 _h _w"]:
    return to_oklab(pixels)[..., 0].copy()  # a view would keep the axes of color


def _gray(lightness: Float[np.ndarray, "1 _h _w"]) -> Pixels:
    return from_oklab(np.stack([lightness, np.zeros_like(lightness), np.zeros_like(lightness)], -1))


def _by_strips(make: Callable[..., Pixels], *pictures: Float[np.ndarray, "1 h w *c"]) -> Pixels:
    """Maps pictures of one size pixel by pixel, in strips: float64 arrays of large pictures would fill the memory."""
    height, width = pictures[0].shape[1:3]
    made = np.empty((1, height, width, 3), np.float32)
    for rows in strips(height, width):
        made[:, rows] = make(*(picture[:, rows] for picture in pictures))
    return made


def match_luminance(style: Pixels, content: Pixels) -> Pixels:
    """Converts the style to gray, with the mean and standard deviation of the content's lightness."""
    light, goal = (
        np.concatenate([_lightness(pixels[:, rows]) for rows in strips(pixels.shape[1], pixels.shape[2])], axis=1)
        for pixels in (style, content)
    )
    mean, stretch, shift = light.mean(), goal.std() / max(light.std(), EPSILON), goal.mean()
    return _by_strips(lambda strip: _gray(np.clip((strip - mean) * stretch + shift, 0, 1)), light)


def with_colors(painted: Pixels, content: Pixels) -> Pixels:
    """Combines the lightness of `painted` with the colors (a and b) of `content`, which has the same size."""

    def strip(painted: Pixels, content: Pixels) -> Pixels:
        lab = to_oklab(content)
        lab[..., 0] = _lightness(painted)
        return from_oklab(lab)

    return _by_strips(strip, painted, content)


def match_covariance(style: Pixels, content: Pixels, root: Callable[[Matrix, Matrix], Matrix]) -> Pixels:
    """Maps the style's colors x to A (x − μs) + μc with A Σs Aᵀ = Σc, so that mean and covariance are the content's.

    Args:
        style: the picture to recolor.
        content: the picture whose mean and covariance it gets; of any size.
        root: computes A from Σs and Σc; A is not unique, see `MAPS`.
    """
    x, goal = style.reshape(-1, 3).astype(np.float64), content.reshape(-1, 3).astype(np.float64)
    a = root(*(np.cov(colors, rowvar=False, bias=True) + EPSILON * np.eye(3) for colors in (x, goal)))
    moved = (x - x.mean(0)) @ a.T + goal.mean(0)
    return np.clip(moved, 0, 1).astype(np.float32).reshape(style.shape)


def _power(matrix: Matrix, power: float) -> Matrix:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * values**power) @ vectors.T


def transport(source: Matrix, goal: Matrix) -> Matrix:
    """The symmetric A = Σs^-½ (Σs^½ Σc Σs^½)^½ Σs^-½, which moves colors the least (optimal transport).

    Example:
        >>> transport(np.diag([1.0, 4.0, 9.0]), np.diag([4.0, 4.0, 1.0])).diagonal().round(3).tolist()
        [2.0, 1.0, 0.333]
    """
    root, inverse = _power(source, 0.5), _power(source, -0.5)
    return inverse @ _power(root @ goal @ root, 0.5) @ inverse


def cholesky(source: Matrix, goal: Matrix) -> Matrix:
    """A = Lc Ls⁻¹ of the Cholesky factors; it depends on the order of the channels."""
    return np.linalg.cholesky(goal) @ np.linalg.inv(np.linalg.cholesky(source))


def pca(source: Matrix, goal: Matrix) -> Matrix:
    """A = Σc^½ Σs^-½ of the symmetric roots, as for image analogies."""
    return _power(goal, 0.5) @ _power(source, -0.5)


def match_histogram(style: Pixels, content: Pixels) -> Pixels:
    """Gives each channel of the style the content's histogram: a value becomes the content's value of the same rank.

    Equal values of the style get the mean of their ranks.
    """
    moved = [_match_ranks(style[..., i].ravel(), content[..., i].ravel()) for i in range(3)]
    return np.stack(moved, -1).reshape(style.shape).astype(np.float32)


def _match_ranks(values: Float[np.ndarray, " m"], goal: Float[np.ndarray, " k"]) -> Float[np.ndarray, " m"]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2) / values.size
    return np.interp(ranks, (np.arange(goal.size) + 0.5) / goal.size, np.sort(goal))[inverse]


MAPS = {"match": transport, "match_cholesky": cholesky, "match_pca": pca}
# Names in the config: "style" leaves the style's colors; "luminance" keeps the content's; "locked" has the style's, laid out as
# the content has its own; the others recolor the style.
COLORS = ("style", "luminance", "locked", *MAPS, "match_histogram")


def recolor(content: Pixels, style: Pixels, color: str) -> tuple[Pixels, Pixels]:
    """Content and style with the colors that the transfer uses, for a name in `COLORS`."""
    if color == "luminance":
        return luminance(content), match_luminance(style, content)
    if color == "match_histogram":
        return content, match_histogram(style, content)
    return content, match_covariance(style, content, MAPS[color]) if color in MAPS else style
