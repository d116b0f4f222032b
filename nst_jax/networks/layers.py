"""The layers of a frozen convolutional network, as Linen modules: convolution and pooling, each with a choice of algorithm."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nst_jax.types import Images

PADDINGS = {"zero": "constant", "replicate": "edge", "reflect": "reflect"}


def pad(x: Float[Array, "n h w c"], amount: int, padding: str) -> Float[Array, "n h2 w2 c"]:
    """Pads height and width by `amount` on each side: with zeros, the border's values, or the picture mirrored at its border.

    A map too small to be mirrored (`amount` >= its side) is padded with its border's values instead.

    Example:
        >>> row = jnp.arange(1.0, 4.0).reshape(1, 1, 3, 1)
        >>> [pad(row, 1, p)[0, 1, :, 0].tolist() for p in ("zero", "replicate")]
        [[0.0, 1.0, 2.0, 3.0, 0.0], [1.0, 1.0, 2.0, 3.0, 3.0]]
    """
    if padding == "reflect" and amount >= min(x.shape[1:3]):
        padding = "replicate"
    return jnp.pad(x, ((0, 0), (amount, amount), (amount, amount), (0, 0)), mode=PADDINGS[padding])


class Preprocessing(nn.Module):
    """Pictures in [0, 1] to what the network was trained on: `image @ matrix + offset` (channel order, scale, mean)."""

    @nn.compact
    def __call__(self, image: Images) -> Images:
        """The network's own view of the pictures."""
        matrix = self.param("matrix", lambda _: jnp.eye(3))
        offset = self.param("offset", nn.initializers.zeros, (3,))
        return image @ matrix + offset[None, None, None]


class Convolution(nn.Module):
    """A convolution (cross-correlation, as networks have it) of a square kernel, with bias.

    Attributes:
        features: number of output channels.
        size: height and width of the kernel, in pixels.
        stride: step of the output positions, in pixels.
        margin: how far the map is padded on each side, in pixels.
        padding: what it is padded with, a key of `PADDINGS`.
    """

    features: int
    size: int = 3
    stride: int = 1
    margin: int = 1
    padding: str = "zero"

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 k"]:
        """The response of every filter at every position."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, shape[-1:])
        padded = pad(x, self.margin, self.padding)
        strides = (self.stride, self.stride)
        y = jax.lax.conv_general_dilated(padded, kernel, strides, "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return y + bias[None, None, None]


def pool(x: Float[Array, "n h w c"], window: int, stride: int, kind: str, scale: float) -> Float[Array, "n h2 w2 c"]:
    """Max or average pooling over whole windows only (a remainder of rows or columns is dropped), times `scale`.

    Example:
        >>> square = jnp.array([[1.0, 2.0], [3.0, 6.0]]).reshape(1, 2, 2, 1)
        >>> [float(pool(square, 2, 2, kind, 1.0)[0, 0, 0, 0]) for kind in ("max", "average")]
        [6.0, 3.0]
    """
    if kind == "max":
        return nn.max_pool(x, (window, window), (stride, stride)) * scale
    return nn.avg_pool(x, (window, window), (stride, stride)) * scale
