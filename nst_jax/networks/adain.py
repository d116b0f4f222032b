"""A picture in one pass: content features given the style's mean and deviation, and decoded (Huang and Belongie 2017).

The encoder is the normalized VGG-19 up to relu4_1 with reflection padding; the decoder, trained for it, mirrors it.

References:
    Huang and Belongie, Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization, 2017, arXiv:1703.06868.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nst_jax.networks.convnet import NetworkSpec, features
from nst_jax.networks.layers import Convolution, rectify
from nst_jax.types import Image, Params

LAYER = "relu4_1"
# Side in pixels of the picture's part that one position of `LAYER` stands for.
CELL = 8
# The convolutions of the decoder, named after those of VGG-19 that they mirror: input and output channels.
DECODER = {
    "conv4_1": (512, 256),
    "conv3_4": (256, 256),
    "conv3_3": (256, 256),
    "conv3_2": (256, 256),
    "conv3_1": (256, 128),
    "conv2_2": (128, 128),
    "conv2_1": (128, 64),
    "conv1_2": (64, 64),
    "conv1_1": (64, 3),
}
# After these the map is doubled in size, as VGG-19 halves it before their mirror images.
DOUBLED = ("conv4_1", "conv3_1", "conv2_1")
# Added to the variance of every channel, as in training.
EPSILON = 1e-5


class Decoder(nn.Module):
    """From maps like those of `LAYER` to pictures eight times as large; `convolution` is a method of `Convolution`."""

    convolution: str = "xla"

    @nn.compact
    def __call__(self, x: Float[Array, "n h w 512"]) -> Float[Array, "n h2 w2 3"]:
        """The pictures, in about [0, 1]."""
        for name, (_, channels) in DECODER.items():
            x = Convolution(channels, padding="reflect", method=self.convolution, name=name)(x)
            x = x if channels == 3 else rectify(x)
            x = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2) if name in DOUBLED else x
        return x


def normalize_to(content: Float[Array, "1 h w c"], style: Float[Array, "1 h2 w2 c"]) -> Float[Array, "1 h w c"]:
    """AdaIN: σ(s) (c − μ(c)) / σ(c) + μ(s), each channel over its positions (2017, eq. 8).

    Example:
        >>> content, style = jnp.array([1.0, 3.0]).reshape(1, 1, 2, 1), jnp.array([0.0, 8.0]).reshape(1, 1, 2, 1)
        >>> normalize_to(content, style).ravel().round(3).tolist()
        [0.0, 8.0]
    """
    (mean, deviation), (goal, spread) = _mean_and_deviation(content), _mean_and_deviation(style)
    return (content - mean) / deviation * spread + goal


def _mean_and_deviation(maps: Float[Array, "1 h w c"]) -> tuple[Float[Array, "1 1 1 c"], Float[Array, "1 1 1 c"]]:
    return maps.mean((1, 2), keepdims=True), jnp.sqrt(maps.var((1, 2), keepdims=True) + EPSILON)


@functools.partial(jax.jit, static_argnames=("convolution",))
def paint(
    params: Params, decoder: Params, content: Image, style: Float[Array, "1 h2 w2 3"], *, convolution: str
) -> Float[Array, "1 h w 3"]:
    """The content picture painted in the style of another, within [0, 1].

    Args:
        params: of the normalized VGG-19.
        decoder: of `Decoder`.
        content: a picture of any size.
        style: likewise.
        convolution: "winograd", for parameters that are prepared for it, or "xla".
    """
    height, width = content.shape[1:3]
    whole = jnp.pad(content, ((0, 0), (0, -height % CELL), (0, -width % CELL), (0, 0)), mode="edge")
    spec = NetworkSpec("vgg19", padding="reflect", convolution=convolution)
    maps = [features(params, picture, (LAYER,), spec=spec)[LAYER] for picture in (whole, style)]
    painted: Any = Decoder(convolution).apply({"params": decoder}, normalize_to(*maps))
    return jnp.clip(painted[:, :height, :width], 0, 1)
