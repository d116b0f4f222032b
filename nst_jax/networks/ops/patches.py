"""Convolution of any kernel and stride as a matrix product over patches, for kernels that Winograd's filtering does not fit.

XLA:CPU's own convolutions are several times slower inside a loop than outside; matrix products are not. The patches of a
large map are made band by band of rows, to stay in the processor's cache: conv1_1 at 512 pixels takes half the time so.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Bytes of patches a band may take: a share of the processor's second-level cache.
BAND_BYTES = 2**19


def conv_by_patches(x: Float[Array, "n h w i"], kernel: Float[Array, "a b i o"], stride: int = 1) -> Float[Array, "n h2 w2 o"]:
    """The convolution of `x`, already padded, with a kernel, at every `stride`-th position where the kernel fits.

    A stride s is turned into 1 by making channels of the s x s pixels of a cell, of the map and of the kernel: AlexNet's 11x11
    kernel of 3 channels at stride 4 is a 3x3 kernel of 48. Patches have few parts then, and so has the gradient.

    Args:
        x: feature maps.
        kernel: a side may have any length.
        stride: step of the output positions, in pixels.

    Example:
        >>> row = jnp.arange(4.0).reshape(1, 1, 4, 1)
        >>> conv_by_patches(row, jnp.ones((1, 2, 1, 1)))[0, 0, :, 0].tolist()
        [1.0, 3.0, 5.0]
    """
    height, width = ((side - size) // stride + 1 for side, size in zip(x.shape[1:3], kernel.shape[:2], strict=True))
    if stride > 1:
        kernel = _cells_to_channels(kernel[None], stride)[0]
        x = _cells_to_channels(x[..., None], stride)[..., 0]
    return _correlate(x[:, : height + kernel.shape[0] - 1, : width + kernel.shape[1] - 1], kernel)


@jax.custom_jvp
def _correlate(x: Float[Array, "n h w i"], kernel: Float[Array, "a b i o"]) -> Float[Array, "n h2 w2 o"]:
    """The convolution at stride 1, in bands of rows."""
    height, width = (side - size + 1 for side, size in zip(x.shape[1:3], kernel.shape[:2], strict=True))
    bands = _num_bands(height, 4 * x.shape[0] * width * kernel[..., 0].size)
    if bands == 1:
        return _product(x, kernel)
    length = height // bands

    def band(i: Array) -> Float[Array, "n h2 w2 o"]:
        return _product(jax.lax.dynamic_slice_in_dim(x, length * i, length + kernel.shape[0] - 1, axis=1), kernel)

    y = jax.lax.map(band, jnp.arange(bands))
    return jnp.moveaxis(y, 0, 1).reshape(x.shape[0], height, width, -1)


# The tangents without bands: so are their transposes, which are faster that way.
_correlate.defjvps(lambda dx, _, x, kernel: _product(dx, kernel), lambda dkernel, _, x, kernel: _product(x, dkernel))


def _num_bands(height: int, bytes_per_row: int) -> int:
    """The fewest bands of equal height whose patches fit in `BAND_BYTES`; single rows may exceed it."""
    fits = (bands for bands in range(1, height + 1) if height % bands == 0 and height // bands * bytes_per_row <= BAND_BYTES)
    return next(fits, height)


def _product(x: Float[Array, "n h w i"], kernel: Float[Array, "a b i o"]) -> Float[Array, "n h2 w2 o"]:
    rows, columns = kernel.shape[:2]
    height, width = x.shape[1] - rows + 1, x.shape[2] - columns + 1
    patches = [x[:, a : a + height, b : b + width] for a in range(rows) for b in range(columns)]
    return jnp.matmul(jnp.concatenate(patches, axis=-1), kernel.reshape(-1, kernel.shape[3]), precision="highest")


def _cells_to_channels(x: Float[Array, "n h w c o"], size: int) -> Float[Array, "n h2 w2 c2 o"]:
    """Each cell of size x size pixels becomes one pixel, its pixels' channels side by side; zeros fill the last cells."""
    n, h, w, c, o = x.shape
    x = jnp.pad(x, ((0, 0), (0, -h % size), (0, -w % size), (0, 0), (0, 0)))
    cells = x.reshape(n, -(-h // size), size, -(-w // size), size, c, o)
    return cells.transpose(0, 1, 3, 2, 4, 5, 6).reshape(n, -(-h // size), -(-w // size), size * size * c, o)
