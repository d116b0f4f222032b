"""Dense SIFT as a function of the picture that has a gradient."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nst_jax.invert.hog import Gray, directed_lengths
from nst_jax.partition.receptive_field import Field

BIN = 5  # pixels
BINS = 4  # on each side of a descriptor
ORIENTATIONS = 8
STEP = 3 * BIN  # pixels from one descriptor to the next: the last row of bins of one is the first of the next
WINDOW = 1.5  # standard deviation of the Gaussian, in bins
CLAMP = 0.2
EPSILON = 2.0**-23
SMALLEST = BIN * (BINS - 1) + 1
# A descriptor sees the pixels that its bins share, and their neighbors.
FIELD = Field(-BIN, BIN * (BINS + 1) + 1, STEP)


def dsift(gray: Gray, *, step: int = STEP, window: float = WINDOW) -> Float[Array, "n h2 w2 128"]:
    """SIFT descriptors at every `step`-th pixel where the centers of 4 x 4 bins of 5 x 5 pixels fit.

    Each pixel's gradient (central differences, one-sided at the border) votes with its length for its two nearest directions
    and bins, weighed by a Gaussian around the descriptor's center. A descriptor is normalized, clamped to 0.2 and normalized
    again; its entries go over rows of bins, then columns, then directions. Bins at the border see its pixels repeated. A flat
    picture has zeros and a zero gradient.

    Args:
        gray: intensities in [0, 255].
        step: pixels.
        window: standard deviation of the Gaussian, in bins.

    References:
        Lowe, Distinctive Image Features from Scale-Invariant Keypoints, 2004.
        Vedaldi and Fulkerson, VLFeat, 2008, whose dense SIFT this is.

    Example:
        >>> dsift(jnp.zeros((1, 46, 31))).shape
        (1, 3, 2, 128)
    """
    dy, dx = _difference(gray, 1), _difference(gray, 2)
    votes = directed_lengths(dy, dx, ORIENTATIONS, bilinear=True)
    rows, columns = (jnp.asarray(_shares(side, step, window), gray.dtype) for side in gray.shape[1:])
    bins = jnp.einsum("iah,nhwk,jbw->nijabk", rows, votes, columns, precision="highest")
    descriptors = bins.reshape(*bins.shape[:3], -1)
    return _normalized(jnp.minimum(_normalized(descriptors), CLAMP))


def _difference(gray: Gray, axis: int) -> Gray:
    inner = jnp.moveaxis(gray, axis, 0)
    ends = inner[1:2] - inner[:1], inner[-1:] - inner[-2:-1]
    return jnp.moveaxis(jnp.concatenate([ends[0], (inner[2:] - inner[:-2]) / 2, ends[1]]), 0, axis)


def _shares(side: int, step: int, window: float) -> Float[np.ndarray, "descriptors bins pixels"]:
    """The share of each pixel of a side that each bin of each descriptor has: a triangle, times the Gaussian."""
    first = np.arange(0, side - BIN * (BINS - 1), step)
    centers = first[:, None] + BIN * np.arange(BINS)[None]
    pixels = np.arange(-BIN, side + BIN)[None, None]
    triangle = np.maximum(0, 1 - np.abs(pixels - centers[..., None]) / BIN)
    middle = first[:, None, None] + BIN * (BINS - 1) / 2
    shares = triangle * np.exp(-0.5 * ((pixels - middle) / (BIN * window)) ** 2)
    inside = np.clip(pixels.ravel(), 0, side - 1)[:, None] == np.arange(side)  # pixels beyond the border are the border's
    return shares @ inside


def _normalized(descriptors: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    square = jnp.sum(descriptors**2, axis=-1, keepdims=True)
    flat = square == 0  # the square root has no derivative there
    return descriptors / (jnp.sqrt(jnp.where(flat, 1, square)) + EPSILON)
