"""Convolution of any kernel and stride as one matrix product over patches, for kernels that Winograd's filtering does not fit.

XLA:CPU's own convolutions are several times slower inside a loop than outside; matrix products are not.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def conv_by_patches(x: Float[Array, "n h w i"], kernel: Float[Array, "a b i o"], stride: int = 1) -> Float[Array, "n h2 w2 o"]:
    """The convolution of `x`, already padded, with a kernel, at every `stride`-th position where the kernel fits.

    Example:
        >>> row = jnp.arange(4.0).reshape(1, 1, 4, 1)
        >>> conv_by_patches(row, jnp.ones((1, 2, 1, 1)))[0, 0, :, 0].tolist()
        [1.0, 3.0, 5.0]
    """
    rows, columns = kernel.shape[:2]
    height, width = ((side - size) // stride + 1 for side, size in zip(x.shape[1:3], (rows, columns), strict=True))
    patches = [
        x[:, a : a + stride * (height - 1) + 1 : stride, b : b + stride * (width - 1) + 1 : stride]
        for a in range(rows)
        for b in range(columns)
    ]
    return jnp.concatenate(patches, axis=-1) @ kernel.reshape(-1, kernel.shape[3])
