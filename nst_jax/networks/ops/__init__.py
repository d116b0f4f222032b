"""Operations of convolutional networks; here the padding of feature maps, and in the modules everything else."""

import jax.numpy as jnp
from jaxtyping import Array, Float

PADDINGS = {"zero": "constant", "replicate": "edge", "reflect": "reflect"}


def pad(x: Float[Array, "n h w c"], amount: int, padding: str, axes: tuple[int, ...] = (1, 2)) -> Float[Array, "n h2 w2 c"]:
    """Pads height and width (or one of these axes) by `amount` on each side: with zeros, the border's values, or mirrored.

    A side too short to be mirrored (not longer than `amount`) is padded with its border's values instead.

    Example:
        >>> row = jnp.arange(1.0, 4.0).reshape(1, 1, 3, 1)
        >>> for padding in PADDINGS:
        ...     print(pad(row, 1, padding)[0, 1, :, 0])
        [0. 1. 2. 3. 0.]
        [1. 1. 2. 3. 3.]
        [2. 1. 2. 3. 2.]
    """
    for axis in axes:
        mode = "edge" if padding == "reflect" and amount >= x.shape[axis] else PADDINGS[padding]
        x = jnp.pad(x, [(amount, amount) if i == axis else (0, 0) for i in range(4)], mode=mode)
    return x
