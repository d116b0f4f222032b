"""Local response normalization, as AlexNet has it."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# How many neighboring channels are summed over: Krizhevsky et al. 2012, sec. 3.3.
CHANNELS = 5


def local_response(x: Float[Array, "n h w c"], offset: float, alpha: float) -> Float[Array, "n h w c"]:
    """a_i / (k + α Σ_j a_j²)^β, the sum over the 5 channels from i − 2 to i + 2 that there are; β = 0.75.

    Args:
        x: responses a.
        offset: k, 2 in the paper and 1 in Caffe.
        alpha: 1e-4 in the paper, where it is a factor of the sum; Caffe's is one of the mean.

    References:
        Krizhevsky, Sutskever and Hinton 2012, sec. 3.3.

    Example:
        >>> local_response(jnp.ones((1, 1, 1, 3)), 1.0, 5.0).ravel().tolist()  # 16 ** -0.75 each
        [0.125, 0.125, 0.125]
    """
    channel = np.arange(x.shape[-1])
    near = jnp.asarray(abs(channel[:, None] - channel) <= CHANNELS // 2, x.dtype)
    root = jax.lax.rsqrt(offset + alpha * jnp.matmul(x**2, near, precision="highest"))
    return x * root * jnp.sqrt(root)  # the power of −3/4, a third of the time of `**`
