"""Precision of a network's convolutions. Statistics, scores and the optimizer are in float32 whatever it is."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Precision(NamedTuple):
    """The type of kernels and maps (None: the picture's), and how precisely products are made where there is a choice."""

    dtype: jnp.dtype | None
    products: jax.lax.Precision


# Name in the config -> precision. tf32 rounds the factors to 10 bits on GPUs that can; on processors it is float32.
PRECISIONS = {
    "float32": Precision(None, jax.lax.Precision.HIGHEST),
    "tf32": Precision(None, jax.lax.Precision.HIGH),
    "bfloat16": Precision(jnp.dtype("bfloat16"), jax.lax.Precision.DEFAULT),
}
