"""Consistency over time: pictures warped along the optical flow, where that can be relied on, and the term that keeps to them.

A flow [h, w, 2] holds for each pixel of a frame the way (dx, dy), in pixels, to where it is in another frame.

References:
    Ruder, Dosovitskiy and Brox, Artistic Style Transfer for Videos, 2016, arXiv:1604.08610, secs. 4.2 to 4.4.
    Sundaram, Brox and Keutzer, Dense Point Trajectories by GPU-Accelerated Large Displacement Optical Flow, 2010, eqs. 5 and 6.
"""

from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nst_jax.types import Image, Scalar

Flow = Float[Array, "h w 2"]

STILL_FLOW, STILL_COLOR = 0.1, 1.5 / 255  # pixels, and range of sRGB, within which a pixel is still
_BLUR = 0.8  # σ of the Gaussian over the reliability, in pixels


class Reference(NamedTuple):
    """A picture that an image is kept near.

    Attributes:
        pixels: the picture.
        weight: how much each of its pixels counts, at least 0.
    """

    pixels: Float[Array, "1 h w 3"]
    weight: Float[Array, "1 h w 1"]


def temporal_term(image: Image, reference: Reference) -> Scalar:
    """The mean over pixels and channels of c (x − ω)² (Ruder et al., eq. 7); pixels in [0, 1], where theirs are in [0, 255].

    Example:
        >>> reference = Reference(jnp.zeros((1, 1, 2, 3)), jnp.array([1.0, 0.0]).reshape(1, 1, 2, 1))
        >>> float(temporal_term(jnp.full((1, 1, 2, 3), 0.5), reference))  # one of two pixels counts
        0.125
    """
    return jnp.sum(reference.weight * (image - reference.pixels) ** 2) / image.size


@jax.jit
def warp(picture: Float[Array, "1 h w c"], flow: Flow) -> Float[Array, "1 h w c"]:
    """The picture as a frame sees it, from which `flow` leads to the picture: by Catmull-Rom, which keeps what lies on pixels.

    Bilinear interpolation would soften the strokes from frame to frame. What overshoots is clipped to the range of the picture;
    beyond the border the outermost pixels count.

    Example:
        >>> ramp = jnp.arange(5.0).reshape(1, 1, 5, 1)
        >>> warp(ramp, jnp.full((1, 5, 2), jnp.array([1.0, 0.0]))).ravel().tolist()
        [1.0, 2.0, 3.0, 4.0, 4.0]
    """
    height, width = flow.shape[:2]
    y, x = jnp.meshgrid(jnp.arange(height, dtype=flow.dtype), jnp.arange(width, dtype=flow.dtype), indexing="ij")
    rows, row_weights = _taps(y + flow[..., 1], height)
    columns, column_weights = _taps(x + flow[..., 0], width)
    total = jnp.zeros_like(picture[0])
    for row, row_weight in zip(rows, row_weights, strict=True):
        for column, column_weight in zip(columns, column_weights, strict=True):
            total += (row_weight * column_weight)[..., None] * picture[0, row, column]
    return jnp.clip(total, picture.min(), picture.max())[None]


def _taps(place: Float[Array, "h w"], length: int) -> tuple[list[Array], list[Array]]:
    """The four positions around each place, within [0, length), and their weights by Catmull-Rom."""
    place = jnp.clip(place, 0, length - 1)
    first = jnp.floor(place)
    t = place - first
    weights = [
        0.5 * (-(t**3) + 2 * t**2 - t),
        0.5 * (3 * t**3 - 5 * t**2 + 2),
        0.5 * (-3 * t**3 + 4 * t**2 + t),
        0.5 * (t**3 - t**2),
    ]
    return [jnp.clip(first.astype(jnp.int32) + i, 0, length - 1) for i in (-1, 0, 1, 2)], weights


@jax.jit
def reliability(flow: Flow, back: Flow) -> Float[Array, "1 h w 1"]:
    """How far each pixel of a frame can be taken from another one, in [0, 1] (Ruder et al., sec. 4.3).

    0 where the flow leaves the picture, where it does not lead back (the pixel was covered), and at the borders of motion. The
    disoccluded count as -1 in the smoothing that follows, so that what is next to them is not trusted either.

    Args:
        flow: from the frame to the other one.
        back: from the other one to the frame.
    """
    height, width = flow.shape[:2]
    y, x = jnp.meshgrid(jnp.arange(height, dtype=flow.dtype), jnp.arange(width, dtype=flow.dtype), indexing="ij")
    goal_x, goal_y = x + flow[..., 0], y + flow[..., 1]
    outside = (goal_x < 0) | (goal_x > width - 1) | (goal_y < 0) | (goal_y > height - 1)
    returned = jnp.stack(
        [jax.scipy.ndimage.map_coordinates(back[..., i], [goal_y, goal_x], order=1, mode="nearest") for i in range(2)], -1
    )
    disoccluded = _square(flow + returned) >= 0.01 * (_square(flow) + _square(returned)) + 0.5
    dy, dx = jnp.gradient(flow, axis=(0, 1))
    moving_border = _square(dx) + _square(dy) > 0.01 * _square(flow) + 0.002
    raw = jnp.where(disoccluded, -1.0, jnp.where(outside | moving_border, 0.0, 1.0))
    return jnp.clip(_smoothed(raw), 0, 1)[None, :, :, None]


@jax.jit
def stillness(flow: Flow, frame: Float[Array, "1 h w 3"], other: Float[Array, "1 h w 3"]) -> Float[Array, "1 h w 1"]:
    """Where nothing moves nor changes, 1, elsewhere 0: there a painted frame needs no interpolation, and has to stay as it is.

    Args:
        flow: from the frame to the other one.
        frame: sRGB in [0, 1].
        other: likewise.
    """
    same = jnp.max(jnp.abs(frame[0] - other[0]), axis=-1) <= STILL_COLOR
    return jnp.where(same & (_square(flow) <= STILL_FLOW**2), 1.0, 0.0)[None, :, :, None].astype(frame.dtype)


def _square(vectors: Float[Array, "h w 2"]) -> Float[Array, "h w"]:
    return jnp.sum(vectors**2, axis=-1)


def _smoothed(plane: Float[Array, "h w"]) -> Float[Array, "h w"]:
    taps = np.exp(-0.5 * (np.arange(-2, 3) / _BLUR) ** 2)
    taps = jnp.asarray(taps / taps.sum(), plane.dtype)
    padded = jnp.pad(plane, 2, mode="edge")
    rows = sum(taps[i] * padded[i : i + plane.shape[0]] for i in range(5))
    return jnp.asarray(sum(taps[i] * jnp.asarray(rows)[:, i : i + plane.shape[1]] for i in range(5)))


def combine(references: Iterable[Reference]) -> Reference:
    """One reference that keeps an image as several do, the nearest in time first (Ruder et al., sec. 4.2, eq. 10).

    Each counts only where those before it leave something: c_j becomes max(c_j − Σ c_k, 0) over the nearer k. The sum of
    c_j (x − ω_j)² differs from c (x − ω)² with c = Σ c_j and ω = Σ c_j ω_j / c by what does not depend on x.

    Raises:
        ValueError: there is none.
    """
    given = [(np.asarray(pixels), np.asarray(weight)) for pixels, weight in references]
    if not given:
        raise ValueError("at least one reference")
    nearer, weight, total = (np.zeros_like(given[0][i]) for i in (1, 1, 0))
    for pixels, own in given:
        kept = np.maximum(own - nearer, 0)
        nearer, weight, total = nearer + own, weight + kept, total + kept * pixels
    return Reference(total / np.maximum(weight, np.finfo(np.float32).tiny), weight)  # pyright: ignore[reportArgumentType]
