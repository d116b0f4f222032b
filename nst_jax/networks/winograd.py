"""3x3 convolutions of stride 1 by Winograd's minimal filtering F(4x4, 3x3), for processors.

A tile of 4x4 outputs needs 6x6 inputs. Transformed (Bᵀ d B for inputs, G g Gᵀ for kernels) the convolution is 36 products per
tile and channel pair instead of 144: 36 matrix products [tiles, in] x [in, out], then Aᵀ m A brings the outputs back. XLA:CPU
runs matrix products at full speed also inside loops, where its own convolutions are several times slower.

Float32 throughout; the relative error against float64 is about 3e-6 for a layer (the direct convolution has 3e-7).

References:
    Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016, arXiv:1509.09308.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nst_jax.networks.padding import pad

# Lavin and Gray's matrices for the points 0, 1, -1, 2, -2 and infinity.
INPUT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
KERNEL = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
OUTPUT = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])

# Bytes of transformed inputs and outputs that a band of tile rows may take: about the processor's second-level caches.
BAND_BYTES = 8e6


class Transformed(NamedTuple):
    """A kernel as the products use it: for the convolution, and for the gradient with respect to its input."""

    forward: Float[Array, "36 i o"]
    backward: Float[Array, "36 o i"]


def transform_kernel(kernel: Float[Array, "3 3 i o"]) -> Transformed:
    """G g Gᵀ of a kernel and of its adjoint (turned by 180 degrees, input and output exchanged)."""

    def transform(k: Float[Array, "3 3 a b"]) -> Float[Array, "36 a b"]:
        g = jnp.asarray(KERNEL, k.dtype)
        return jnp.einsum("pa,qb,abio->qpio", g, g, k, precision="highest").reshape(36, *k.shape[2:])

    return Transformed(transform(kernel), transform(jnp.flip(kernel, (0, 1)).swapaxes(2, 3)))


def conv3x3(x: Float[Array, "n h w i"], kernel: Transformed, *, padding: str = "zero") -> Float[Array, "n h w o"]:
    """The convolution of `x`, padded by one pixel, with a kernel of `transform_kernel`; differentiable in `x` only.

    Args:
        x: feature maps of any height and width.
        kernel: transformed once, when parameters are loaded.
        padding: "zero", "replicate" or "reflect".
    """
    if padding == "zero":
        return _same(x, kernel)
    return _valid(pad(x, 1, padding), kernel)


@jax.custom_vjp
def _same(x: Float[Array, "n h w i"], kernel: Transformed) -> Float[Array, "n h w o"]:
    return _convolve(x, kernel.forward, margin=1)


@jax.custom_vjp
def _valid(x: Float[Array, "n h w i"], kernel: Transformed) -> Float[Array, "n h2 w2 o"]:
    return _convolve(x, kernel.forward, margin=0)


_same.defvjp(
    lambda x, kernel: (_convolve(x, kernel.forward, margin=1), kernel),
    lambda kernel, dy: (_convolve(dy, kernel.backward, margin=1), None),
)
_valid.defvjp(
    lambda x, kernel: (_convolve(x, kernel.forward, margin=0), kernel),
    lambda kernel, dy: (_convolve(dy, kernel.backward, margin=2), None),
)


def _convolve(x: Float[Array, "n h w i"], u: Float[Array, "36 i o"], margin: int) -> Float[Array, "n h2 w2 o"]:
    """`x`, with `margin` zeros on each side, convolved band by band of tile rows."""
    n, h, w = x.shape[0], x.shape[1] + 2 * margin - 2, x.shape[2] + 2 * margin - 2
    rows, columns = -(-h // 4), -(-w // 4)
    bands = _num_bands(n * columns, rows, u.shape[1] + u.shape[2])
    per_band = -(-rows // bands)
    bottom, right = 4 * per_band * bands + 2 - x.shape[1] - margin, 4 * columns + 2 - x.shape[2] - margin
    padded = jnp.pad(x, ((0, 0), (margin, bottom), (margin, right), (0, 0)))
    if bands == 1:
        y = _convolve_band(padded, u, rows, columns)
    else:
        height = 4 * per_band + 2

        def band(i: Array) -> Float[Array, "n h w o"]:
            part = jax.lax.dynamic_slice_in_dim(padded, 4 * per_band * i, height, axis=1)
            return _convolve_band(part, u, per_band, columns)

        y = jnp.moveaxis(jax.lax.map(band, jnp.arange(bands)), 0, 1).reshape(n, -1, 4 * columns, u.shape[2])
    return y[:, :h, :w]


def _num_bands(tiles_per_row: int, rows: int, channels: int) -> int:
    """How many bands keep the transformed inputs and outputs of one within `BAND_BYTES`; one where all fit threefold."""
    total = 36 * 4 * tiles_per_row * rows * channels
    if total <= 3 * BAND_BYTES:
        return 1
    return min(rows, int(np.ceil(total / BAND_BYTES)))


def _convolve_band(x: Float[Array, "n h w i"], u: Float[Array, "36 i o"], rows: int, columns: int) -> Float[Array, "n h2 w2 o"]:
    """`x` of 4 rows + 2 by 4 columns + 2 pixels, to 4 rows by 4 columns. The barriers keep XLA from fusing the row transform
    into the column transform, where it would be computed six times.
    """
    barrier = jax.lax.optimization_barrier
    n = x.shape[0]
    d = barrier(_combine(INPUT, [x[:, i : i + 4 * rows - 3 : 4] for i in range(6)]))
    v = barrier(_combine(INPUT, [d[:, :, :, j : j + 4 * columns - 3 : 4] for j in range(6)]))  # [q, p, n, rows, columns, i]
    m = jax.lax.dot_general(v.reshape(36, n * rows * columns, -1), u, (((2,), (1,)), ((0,), (0,))))
    m = m.reshape(6, 6, n, rows, columns, -1)
    q = barrier(_combine(OUTPUT, list(m)))  # over q: [4 columns' positions, p, n, rows, columns, o]
    y = _combine(OUTPUT, [q[:, p] for p in range(6)])  # [4 rows' positions, 4 columns' positions, n, rows, columns, o]
    return y.transpose(2, 3, 0, 4, 1, 5).reshape(n, 4 * rows, 4 * columns, -1)


def _combine(matrix: np.ndarray, parts: list[Array]) -> Array:
    """The rows of a small constant matrix times a list of arrays, stacked; products with 0 and 1 are left out."""
    sums = []
    for row in matrix:
        terms = [
            part if c == 1 else -part if c == -1 else part * jnp.asarray(c, part.dtype) for c, part in zip(row, parts) if c
        ]
        sums.append(sum(terms[1:], terms[0]))
    return jnp.stack(sums)
