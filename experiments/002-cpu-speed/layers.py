"""Milliseconds of the 3x3 layers of VGG-19 at 512 px, with maps in float32 and in bfloat16; `fused.cpp` has the same shapes."""

import sys
import time
from statistics import median

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nst_jax.networks.ops.winograd import conv3x3, transform_kernel

LAYERS = ((512, 64, 64), (256, 64, 128), (256, 128, 128), (128, 128, 256), (128, 256, 256), (64, 512, 512))


@jax.jit
def layer(x: Float[Array, "n h w i"], kernel: Float[Array, "36 i o"], bias: Float[Array, " o"]) -> Float[Array, "n h w o"]:
    """A convolution in float32 and its rectification; the result is stored as `x` is."""
    return jax.nn.relu(conv3x3(x.astype(jnp.float32), kernel) + bias).astype(x.dtype)


def main(rounds: int) -> None:
    """Prints medians, the two kinds of maps in turns."""
    rng = np.random.default_rng(0)
    for side, num_in, num_out in LAYERS:
        kernel = jax.device_put(transform_kernel(rng.standard_normal((3, 3, num_in, num_out)).astype(np.float32) / num_in))
        bias = jax.device_put(np.full(num_out, 0.01, np.float32))
        maps = jax.device_put(rng.random((1, side, side, num_in), np.float32))
        stored = {dtype.__name__: maps.astype(dtype) for dtype in (jnp.float32, jnp.bfloat16)}
        times: dict[str, list[float]] = {name: [] for name in stored}
        for _ in range(rounds + 1):  # the first round compiles
            for name, x in stored.items():
                began = time.perf_counter()
                layer(x, kernel, bias).block_until_ready()
                times[name].append(1e3 * (time.perf_counter() - began))
        said = ", ".join(f"{name} {median(found[1:]):.1f} ms" for name, found in times.items())
        print(f"{side} px, {num_in} to {num_out} channels: {said}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
