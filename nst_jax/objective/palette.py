"""The color term: the distribution of an image's colors against that of the styles' colors.

The networks' first layers see color through edges and patches, so that a distance of their features leaves the palette free to
drift. This term compares colors alone, wherever they are.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nst_jax.networks.ops.pooling import average_pool
from nst_jax.objective.sliced import Projections, blend_projections, projections, sliced_distance
from nst_jax.types import Image, Scalar

# Directions of color space that the distributions are compared along.
DIRECTIONS = 8
# Colors are means of square cells, so many along the longer side of the image, of 2 pixels at least: sorting them takes little.
CELLS = 128


class Palette(NamedTuple):
    """What the colors of an image are compared with, for each region.

    Attributes:
        guides: how much each cell belongs to the region; None: all of them do.
        colors: of the styles, along the directions.
    """

    guides: tuple[Float[Array, "1 h w"] | None, ...]
    colors: tuple[Projections, ...]


def make_palette(
    pictures: "Sequence[Float[Array, '1 _h _w 3']]",
    masks: "Sequence[Float[Array, '1 _h _w 1'] | None]",
    shares: Sequence[Sequence[Any]],
    regions: Float[Array, "r h w 1"] | None,
    height_width: tuple[int, int],
) -> Palette:
    """The palette of styles.

    Args:
        pictures: the styles, [1, h, w, 3] in [0, 1].
        masks: of each style, which part of it counts; None: all of it.
        shares: for each region, the share of each style.
        regions: of the image, each in [0, 1]; None: one that covers everything.
        height_width: of the image, in pixels.
    """
    cell, directions = _cell(*height_width), jnp.asarray(_directions(), pictures[0].dtype)

    def describe(style: Image, mask: "Float[Array, '1 h w 1'] | None") -> Projections:
        side = min(cell, *style.shape[1:3])
        guide = None if mask is None else average_pool(mask, side, side)[..., 0]
        return projections(average_pool(style, side, side), guide, directions)

    found = [describe(*pair) for pair in zip(pictures, masks, strict=True)]
    guides = [None] * len(shares) if regions is None else list(average_pool(regions, cell, cell)[:, None, :, :, 0])
    return Palette(tuple(guides), tuple(blend_projections(found, region) for region in shares))


def color_term(image: Image, palette: Palette, weights: Sequence[Scalar | float]) -> Scalar:
    """The squared sliced Wasserstein-2 distance of the colors, over the regions as their cells and `weights` count.

    A shift of all colors by v costs about |v|² / 3. Colors are sRGB, and means of cells in the image and in the styles.

    Example:
        >>> image = jnp.arange(48.0).reshape(1, 4, 4, 3) / 48
        >>> palette = make_palette([image], [None], [[1.0]], None, (4, 4))
        >>> round(float(color_term(image, palette, (1.0,))), 6), round(float(color_term(image + 0.3, palette, (1.0,))), 2)
        (0.0, 0.09)

    References:
        Rabin, Peyré, Delon and Bernot, Wasserstein Barycenter and its Application to Texture Mixing, SSVM 2011.
        Risser, Wilmot and Barnes, Stable and Controllable Neural Texture Synthesis and Style Transfer Using Histogram Losses,
        2017, arXiv:1701.08893 (there on feature maps, channel by channel).
    """
    cell = _cell(*image.shape[1:3])
    cells = average_pool(image, cell, cell)
    found = [projections(cells, guide, to.directions) for guide, to in zip(palette.guides, palette.colors, strict=True)]
    parts = zip(weights, found, palette.colors, strict=True)
    total = sum(weight * region.positions * sliced_distance(region, to) for weight, region, to in parts)
    return jnp.asarray(total) / sum(region.positions for region in found)


def _cell(height: int, width: int) -> int:
    """The side of a cell of an image in pixels."""
    return min(max(2, max(height, width) // CELLS), height, width)


def _directions() -> Float[np.ndarray, "3 d"]:
    """Unit vectors as columns, evenly distributed over the half sphere around gray."""
    axes = np.array([[1, -1, 0], [1, 1, -2], [1, 1, 1]]) / np.sqrt([[2], [6], [3]])
    return axes.T @ half_sphere(DIRECTIONS).T


def half_sphere(count: int) -> Float[np.ndarray, "d 3"]:
    """Unit vectors of color space, evenly distributed over the half sphere of positive third coordinate by the golden angle.

    Example:
        >>> half_sphere(1).round(3).tolist()
        [[0.866, 0.0, 0.5]]
    """
    i = np.arange(count)
    z = (i + 0.5) / count
    angle, radius = i * np.pi * (3 - 5**0.5), np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=-1)
