"""HOG of Felzenszwalb et al. (UoCTTI), and HOGb, as functions of the picture that have a gradient."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nst_jax.partition.receptive_field import Field

Gray = Float[Array, "n h w"]
# Gradients shorter than this have no direction; their length counts as zero and so does its derivative.
SHORTEST = 1e-6
CELL = 8  # pixels
ORIENTATIONS = 9  # undirected, over half a turn
CLAMP = 0.2
EPSILON = 1e-10  # of the energy of a block, for intensities in [0, 255]
SMALLEST = 2 * CELL
# A cell sees the pixels that it and its neighbors share, and their neighbors.
FIELD = Field(-CELL - CELL // 2 - 1, 4 * CELL + 2, CELL)


def hog(gray: Gray, *, bilinear: bool = False) -> Float[Array, "n h2 w2 31"]:
    """Histograms of oriented gradients of cells of 8 x 8 pixels: 18 directed and 9 undirected orientations and 4 textures.

    Each pixel's gradient (central differences; none at the border) votes with its length for a direction, and is shared by
    the four nearest cells. A cell is divided by the energies √(Σ h²) of the undirected histograms of the four blocks of 2 x 2
    cells around it (blocks beyond the border repeat the border's cells), clamped to 0.2 and halved, and summed over the blocks;
    a texture is the sum over the directed bins for one block, over √18. A flat picture has zeros and a zero gradient.

    Args:
        gray: intensities in [0, 255].
        bilinear: HOGb: a pixel votes for its two nearest orientations, in proportion, and not for the nearest alone.

    References:
        Felzenszwalb et al., Object Detection with Discriminatively Trained Part-Based Models, 2010.
        Mahendran and Vedaldi 2015, arXiv:1412.0035, sec. 3, where HOGb is introduced.

    Example:
        >>> hog(jnp.zeros((1, 24, 32))).shape
        (1, 3, 4, 31)
    """
    dy = jnp.pad((gray[:, 2:, 1:-1] - gray[:, :-2, 1:-1]) / 2, ((0, 0), (1, 1), (1, 1)))
    dx = jnp.pad((gray[:, 1:-1, 2:] - gray[:, 1:-1, :-2]) / 2, ((0, 0), (1, 1), (1, 1)))
    votes = directed_lengths(dy, dx, 2 * ORIENTATIONS, bilinear=bilinear)
    rows, columns = (jnp.asarray(_shares(side), gray.dtype) for side in gray.shape[1:])
    directed = jnp.einsum("ih,nhwk,jw->nijk", rows, votes, columns, precision="highest")
    undirected = directed[..., :ORIENTATIONS] + directed[..., ORIENTATIONS:]
    histograms = jnp.concatenate([directed, undirected], axis=-1)
    clamped = jnp.minimum(histograms[:, None] / _block_energies(undirected)[..., None], CLAMP)
    textures = jnp.sum(clamped[..., : 2 * ORIENTATIONS], axis=-1) / np.sqrt(2 * ORIENTATIONS)
    return jnp.concatenate([jnp.sum(clamped, axis=1) / 2, jnp.moveaxis(textures, 1, -1)], axis=-1)


def _shares(side: int) -> Float[np.ndarray, "cells pixels"]:
    """The share of each pixel of a side that each cell has: 1 at the cell's center, 0 at its neighbors' centers."""
    centers = (np.arange(side) + 0.5) / CELL - 0.5
    cells = np.arange((side + CELL // 2) // CELL)
    return np.maximum(0, 1 - np.abs(centers[None] - cells[:, None]))


def _block_energies(undirected: Float[Array, "n h w 9"]) -> Float[Array, "n 4 h w"]:
    """√(Σ h² + ε) of the four blocks that a cell belongs to."""
    energy = jnp.pad(jnp.sum(undirected**2, axis=-1), ((0, 0), (1, 1), (1, 1)), mode="edge")
    blocks = energy[:, 1:, 1:] + energy[:, :-1, 1:] + energy[:, 1:, :-1] + energy[:, :-1, :-1]
    around = [blocks[:, :-1, :-1], blocks[:, :-1, 1:], blocks[:, 1:, :-1], blocks[:, 1:, 1:]]
    return jnp.sqrt(jnp.stack(around, axis=1) + EPSILON)


def directed_lengths(dy: Gray, dx: Gray, number: int, *, bilinear: bool) -> Float[Array, "n h w k"]:
    """The length of each pixel's gradient, in the bins of its direction.

    Bin k is centered at the angle 2πk/number, from x towards y. The whole length is given to the nearest bin or, if
    `bilinear`, shared by the two nearest ones in proportion to nearness.

    Example:
        >>> zero, one = jnp.zeros((1, 1, 1)), jnp.ones((1, 1, 1))
        >>> directed_lengths(one, zero, 4, bilinear=False).ravel().tolist()
        [0.0, 1.0, 0.0, 0.0]
    """
    flat = dx**2 + dy**2 < SHORTEST**2
    dx, dy = jnp.where(flat, 1, dx), jnp.where(flat, 0, dy)  # neither square root nor angle has a derivative at 0
    length = jnp.where(flat, 0, jnp.sqrt(dx**2 + dy**2))
    place = jnp.arctan2(dy, dx) * (number / (2 * jnp.pi))
    if not bilinear:
        nearest = jnp.round(place).astype(jnp.int32) % number
        return length[..., None] * jax.nn.one_hot(nearest, number, dtype=length.dtype)
    away = (place[..., None] - jnp.arange(number, dtype=length.dtype)[None, None, None]) % number
    away = jnp.minimum(away, number - away)
    return length[..., None] * jnp.maximum(1 - away, 0)
