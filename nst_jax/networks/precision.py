"""Precision of a network's convolutions. Statistics, scores and the optimizer are in float32 whatever it is."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Precision(NamedTuple):
    """The type of kernels and maps, and how precisely their products are made where the device offers a choice."""

    dtype: jnp.dtype
    products: jax.lax.Precision


# Name in the config -> precision. tf32 rounds the factors to 10 bits on GPUs that can; on processors it is float32.
PRECISIONS = {
    "float32": Precision(jnp.dtype("float32"), jax.lax.Precision.HIGHEST),
    "tf32": Precision(jnp.dtype("float32"), jax.lax.Precision.HIGH),
    "bfloat16": Precision(jnp.dtype("bfloat16"), jax.lax.Precision.DEFAULT),
}
