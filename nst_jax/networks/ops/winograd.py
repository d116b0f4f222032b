"""3x3 convolutions of stride 1 by Winograd's minimal filtering F(4x4, 3x3), for processors.

A tile of 4x4 outputs needs 6x6 inputs d. Transformed (Bᵀ d B for inputs, G g Gᵀ for kernels) the convolution is 36 products per
tile and channel pair instead of 144: 36 matrix products [tiles, in] x [in, out]; Aᵀ m A brings the outputs back. XLA:CPU
runs matrix products at full speed also inside loops, where its own convolutions are several times slower.

The gradient with respect to the input is a convolution with the kernel turned by 180 degrees, input and output channels
exchanged. Turning the kernel is the same as reversing every tile before and after, so the gradient uses the very same
transformed kernel, with the taps of Bᵀ and Aᵀ in reverse order.

The points are 0, ±5/8, ±3/2 and infinity: all of Bᵀ and Aᵀ is exact in binary, and the error of a layer relative to float64,
6e-7 (64 channels) to 2e-6 (512), is half of that with the usual 0, ±1, ±2 (the direct convolution has 2e-7).

Large maps are convolved in bands of tile rows: a band's transformed tiles should stay in the processor's second-level cache,
but a band needs about as many tiles as there are channels, else reading the transformed kernel again for each one costs more.

References:
    Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016, arXiv:1509.09308.
    Barabasz et al., Error Analysis and Improving the Accuracy of Winograd Convolution, 2020, arXiv:1803.10986 (the points).
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from nst_jax.networks.ops import pad
from nst_jax.networks.ops.linear import linear_call

# Bᵀ, G and Aᵀ of Toom and Cook for the points 0, P, -P, Q, -Q and infinity: a row (a column of Aᵀ) each.
P, Q = 5 / 8, 3 / 2
INPUT = np.array(
    [
        [P**2 * Q**2, 0, -(P**2) - Q**2, 0, 1, 0],
        [0, -P * Q**2, -(Q**2), P, 1, 0],
        [0, P * Q**2, -(Q**2), -P, 1, 0],
        [0, -Q * P**2, -(P**2), Q, 1, 0],
        [0, Q * P**2, -(P**2), -Q, 1, 0],
        [0, P**2 * Q**2, 0, -(P**2) - Q**2, 0, 1],
    ]
)
SCALE = np.array([P**2 * Q**2, *2 * [2 * P**2 * (P**2 - Q**2)], *2 * [2 * Q**2 * (Q**2 - P**2)], 1])
KERNEL = np.array([[1, 0, 0], [1, P, P**2], [1, -P, P**2], [1, Q, Q**2], [1, -Q, Q**2], [0, 0, 1]]) / SCALE[:, None]
OUTPUT = np.array(
    [[1, 1, 1, 1, 1, 0], [0, P, -P, Q, -Q, 0], [0, P**2, P**2, Q**2, Q**2, 0], [0, P**3, -(P**3), Q**3, -(Q**3), 1]]
)

# The fewest tiles worth a band of their own.
BAND_TILES = 128


def transform_kernel(kernel: Float[Array | np.ndarray, "3 3 i o"]) -> Any:
    """G g Gᵀ, the kernel as `conv3x3` takes it, [36, i, o]: computed once, used for the convolution and for its gradient."""
    both = np.einsum("pa,qb->qpab", KERNEL, KERNEL).reshape(36, 9).astype(kernel.dtype)
    return (both @ kernel.reshape(9, -1)).reshape(36, *kernel.shape[2:])


def conv3x3(
    x: Float[Array, "n h w i"], transformed: Float[Array, "36 i o"], *, padding: str | None = "zero"
) -> Float[Array, "n h w o"]:
    """The convolution (cross-correlation) of `x`, padded by one pixel, with a kernel.

    Args:
        x: feature maps of any height and width.
        transformed: the kernel, from `transform_kernel`.
        padding: a key of `PADDINGS`; None: it is padded already.

    Example:
        >>> identity = jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1.0)
        >>> conv3x3(jnp.arange(3.0).reshape(1, 1, 3, 1), transform_kernel(identity)).ravel().round(3) + 0.0
        Array([0., 1., 2.], dtype=float32)
    """
    if padding == "zero":
        return _correlate(x, transformed, 1)
    return _correlate(x if padding is None else pad(x, 1, padding), transformed, 0)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _correlate(
    x: Float[Array, "n h w a"], u: Float[Array, "36 i o"], margin: int, adjoint: bool = False
) -> Float[Array, "n h2 w2 b"]:
    return _convolve(x, u, margin, adjoint)


@functools.partial(_correlate.defjvp, symbolic_zeros=True)
def _correlate_jvp(margin: int, adjoint: bool, primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    (x, u), (dx, du) = primals, tangents
    y, parts = _correlate(x, u, margin, adjoint), []
    if not isinstance(dx, SymbolicZero):

        def of_map(u: Array, x: Array) -> Array:
            return _correlate(x, u, margin, adjoint)

        def to_map(u: Array, y: Array) -> Array:
            return _correlate(y, u, 2 - margin, not adjoint)

        parts.append(linear_call(of_map, to_map, u, dx, like=y))
    if not isinstance(du, SymbolicZero):

        def of_kernel(x: Array, u: Array) -> Array:
            return _correlate(x, u, margin, adjoint)

        def to_kernel(x: Array, y: Array) -> Array:
            return jax.linear_transpose(lambda u: _convolve_bands(x, u, margin, adjoint, bands=1), shape)(y)[0]

        shape = jax.ShapeDtypeStruct(u.shape, u.dtype)

        parts.append(linear_call(of_kernel, to_kernel, x, du, like=y))
    return y, sum(parts[1:], parts[0])


def _convolve(x: Float[Array, "n h w a"], u: Float[Array, "36 i o"], margin: int, adjoint: bool) -> Float[Array, "n h2 w2 b"]:
    """`x`, with `margin` zeros on each side, convolved; of several jobs (`jax.vmap`) as one batch, which is cut into bands."""

    @jax.custom_batching.custom_vmap
    def convolve(x: Float[Array, "n h w a"], u: Float[Array, "36 i o"]) -> Float[Array, "n h2 w2 b"]:
        return _convolve_bands(x, u, margin, adjoint)

    @convolve.def_vmap
    def _together(size: int, batched: list[bool], x: Array, u: Array) -> tuple[Array, bool]:
        if batched != [True, False]:
            axes = [0 if several else None for several in batched]
            return jax.vmap(functools.partial(_convolve_bands, margin=margin, adjoint=adjoint), axes)(x, u), True
        y = convolve(x.reshape(-1, *x.shape[2:]), u)
        return y.reshape(size, -1, *y.shape[1:]), True

    return convolve(x, u)


def _convolve_bands(
    x: Float[Array, "n h w a"], u: Float[Array, "36 i o"], margin: int, adjoint: bool, bands: int = 0
) -> Float[Array, "n h2 w2 b"]:
    """Convolves in bands of tile rows; 0 bands are as many as are fast."""
    n, height, width = x.shape[0], x.shape[1] + 2 * margin - 2, x.shape[2] + 2 * margin - 2
    rows, columns = -(-height // 4), -(-width // 4)
    bands = bands or _num_bands(rows, n * columns, u.shape[1], u.shape[2])
    per_band = -(-rows // bands)
    bands = -(-rows // per_band)  # as few as hold all rows: 128 rows in bands of 2 are 64 bands, whatever was asked for
    bottom, right = 4 * per_band * bands - height, 4 * columns - width
    padded = jnp.pad(x, ((0, 0), (margin, margin + bottom), (margin, margin + right), (0, 0)))

    if bands == 1:
        return _convolve_band(padded, u, per_band, columns, adjoint)[:, :height, :width]
    num_out = u.shape[1 if adjoint else 2]
    in_place = num_out == x.shape[3]  # a band lies above all that later bands read: its place in the input may be overwritten
    result = padded if in_place else jnp.zeros((n, 4 * per_band * bands, 4 * columns, num_out), x.dtype)

    def band(i: Array, y: Array) -> Array:
        part = jax.lax.dynamic_slice_in_dim(y if in_place else padded, 4 * per_band * i, 4 * per_band + 2, axis=1)
        return jax.lax.dynamic_update_slice(y, _convolve_band(part, u, per_band, columns, adjoint), (0, 4 * per_band * i, 0, 0))

    return jax.lax.fori_loop(0, bands, band, result)[:, :height, :width]


def _num_bands(rows: int, tiles_per_row: int, num_in: int, num_out: int) -> int:
    """The number of bands for `rows` tile rows."""
    tiles = max(BAND_TILES, 2 * num_in * num_out // (num_in + num_out))
    return max(1, min(rows, rows * tiles_per_row // tiles))


@functools.partial(jax.jit, static_argnums=(2, 3, 4))  # traced once for all layers of a shape
def _convolve_band(
    x: Float[Array, "n h w a"], u: Float[Array, "36 i o"], rows: int, columns: int, adjoint: bool
) -> Float[Array, "n h2 w2 b"]:
    """`x` of 4 rows + 2 by 4 columns + 2 pixels, to 4 rows by 4 columns."""
    barrier = jax.lax.optimization_barrier  # keeps XLA from recomputing the row transform for each column
    every = jax.lax.slice_in_dim
    take, give = (INPUT[:, ::-1], OUTPUT[::-1]) if adjoint else (INPUT, OUTPUT)
    d = barrier(_combine(take, [every(x, i, i + 4 * rows - 3, 4, axis=1) for i in range(6)]))
    v = barrier(_combine(take, [every(d, j, j + 4 * columns - 3, 4, axis=3) for j in range(6)]))  # [q, p, n, rows, columns, a]
    m = _products(v.reshape(36, -1, x.shape[3]), u, adjoint).reshape(6, 6, x.shape[0], rows, columns, -1)
    q = barrier(_combine(give, list(m)))  # [column in the tile, p, n, rows, columns, b]
    y = _combine(give, [q[:, p] for p in range(6)])  # [row in the tile, column in the tile, n, rows, columns, b]
    return y.transpose(2, 3, 0, 4, 1, 5).reshape(x.shape[0], 4 * rows, 4 * columns, -1)


def _products(v: Float[Array, "36 t a"], u: Float[Array, "36 i o"], adjoint: bool) -> Float[Array, "36 t b"]:
    """The 36 products of transformed tiles and kernels; of kernels and tiles where that is faster.

    XLA:CPU takes up to ten times as long for few rows [t, o] times a transposed matrix [i, o] as for [i, o] times [t, o]
    transposed, and exchanges them itself unless the result is fixed.
    """
    if adjoint and v.shape[1] < BAND_TILES:
        m = jax.lax.dot_general(u, v, (((2,), (2,)), ((0,), (0,))), precision="highest")
        return jax.lax.optimization_barrier(m).transpose(0, 2, 1)
    return jax.lax.dot_general(v, u, (((2,), (2 if adjoint else 1,)), ((0,), (0,))), precision="highest")


def _combine(matrix: np.ndarray, parts: list[Array]) -> Array:
    """The rows of a small constant matrix times a list of arrays, stacked; products with 0 and 1 are left out."""
    sums = []
    for row in matrix:
        terms = [part if c == 1 else -part if c == -1 else part * float(c) for c, part in zip(row, parts, strict=True) if c]
        sums.append(sum(terms[1:], terms[0]))
    return jnp.stack(sums)
