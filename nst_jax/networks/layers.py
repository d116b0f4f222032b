"""The layers of a frozen convolutional network, as Linen modules: convolution and pooling, each with a choice of algorithm."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nst_jax.networks.ops import pad
from nst_jax.networks.ops.linear import linear_call
from nst_jax.networks.ops.patches import conv_by_patches
from nst_jax.networks.ops.pooling import average_pool, max_pool
from nst_jax.networks.ops.winograd import conv3x3, transform_kernel
from nst_jax.types import Images

# Below so many input channels Winograd's transforms cost more than they save.
LEAST_CHANNELS = 16


class Preprocessing(nn.Module):
    """Pictures in [0, 1] to what the network was trained on: `image @ matrix + offset` (channel order, scale, mean)."""

    @nn.compact
    def __call__(self, image: Images) -> Images:
        """The network's own view of the pictures."""
        matrix = self.param("matrix", lambda _: jnp.eye(3))
        offset = self.param("offset", nn.initializers.zeros, (3,))
        return jnp.matmul(image, matrix, precision="highest") + offset[None, None, None]


class Convolution(nn.Module):
    """A convolution (cross-correlation, as networks have it) of a square kernel, with bias.

    Attributes:
        features: number of output channels.
        size: height and width of the kernel, in pixels.
        stride: step of the output positions, in pixels.
        margin: how far the map is padded on each side, in pixels.
        padding: what it is padded with, a key of `PADDINGS`.
        axes: which axes are padded here: height and width, or width alone where the rows above and below are there already.
        method: "winograd", which takes kernels that `prepare` has transformed and convolves others by patches, or "xla".
        precision: of method "xla", a key of `PRECISIONS`; the others compute in the type they are given.
        groups: parts of the output channels, each of which sees its own part of the input channels only, in order.
        bias: where training starts.
        std: standard deviation of the kernel where training starts; 0 is He's.
    """

    features: int
    size: int = 3
    stride: int = 1
    margin: int = 1
    padding: str = "zero"
    axes: tuple[int, ...] = (1, 2)
    method: str = "xla"
    precision: str = "float32"
    groups: int = 1
    bias: float = 0.0
    std: float = 0.0

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 k"]:
        """The response of every filter at every position."""
        bias = self.param("bias", nn.initializers.constant(self.bias), (self.features,))[None, None, None]
        if self.has_variable("params", "transformed"):
            kernel, padding = self.get_variable("params", "transformed"), self.padding
            if self.axes != (1, 2):
                x, padding = pad(x, self.margin, self.padding, self.axes), None
            convolve = functools.partial(conv3x3, padding=padding)
        else:
            start = nn.initializers.normal(self.std) if self.std else nn.initializers.he_normal()
            kernel = self.param("kernel", start, (self.size, self.size, x.shape[-1] // self.groups, self.features))
            x, convolve = pad(x, self.margin, self.padding, self.axes), self._convolve
        kernel = kernel if self.method == "xla" else kernel.astype(x.dtype)
        # Each group by itself: XLA:CPU takes ten times as long for the kernel's gradient of a convolution in groups.
        parts = zip(jnp.split(x, self.groups, axis=-1), jnp.split(kernel, self.groups, axis=-1), strict=True)
        y = [convolve(*part) for part in parts]
        return (jnp.concatenate(y, axis=-1) if self.groups > 1 else y[0]) + bias.astype(y[0].dtype)

    def _convolve(self, x: Float[Array, "n h w i"], kernel: Float[Array, "a b i o"]) -> Float[Array, "n h2 w2 o"]:
        if self.method == "winograd":
            return conv_by_patches(x, kernel, self.stride)
        dtype, products = PRECISIONS[self.precision]
        dtype = dtype or x.dtype
        return jax.lax.conv_general_dilated(
            x.astype(dtype),
            kernel.astype(dtype),
            (self.stride, self.stride),
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=products,
        )


def prepare(leaves: dict[str, Any]) -> dict[str, Any]:
    """A layer's parameters for `method="winograd"`: a 3x3 kernel of many input channels is transformed, others are kept."""
    kernel = leaves.get("kernel")
    if kernel is None or kernel.shape[:2] != (3, 3) or kernel.shape[2] < LEAST_CHANNELS:
        return leaves
    return {"transformed": transform_kernel(kernel), "bias": leaves["bias"]}


@jax.custom_jvp
def rectify(x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """max(x, 0), with derivative 0 at 0. The gradient needs the result only, which the next layer keeps anyway.

    Example:
        >>> jax.grad(lambda x: rectify(x).sum())(jnp.array([-1.0, 0.0, 2.0]).reshape(1, 1, 3, 1)).ravel().tolist()
        [0.0, 0.0, 1.0]
    """
    return jnp.maximum(x, 0)


@rectify.defjvp
def _rectify_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    y = rectify(*primals)
    return y, linear_call(_where_positive, _where_positive, y, tangents[0], like=y)


def _where_positive(y: Array, x: Array) -> Array:
    return jnp.where(y > 0, x, 0)


# Name in the table of layers -> function. Tanh is what networks had before AlexNet.
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"relu": rectify, "tanh": jnp.tanh}


def pool(x: Float[Array, "n h w c"], window: int, stride: int, kind: str, scale: float) -> Float[Array, "n h2 w2 c"]:
    """Max or average pooling over whole windows only (a remainder of rows or columns is dropped), times `scale`.

    Example:
        >>> square = jnp.array([[1.0, 2.0], [3.0, 6.0]]).reshape(1, 2, 2, 1)
        >>> [float(pool(square, 2, 2, kind, 1.0)[0, 0, 0, 0]) for kind in ("max", "average")]
        [6.0, 3.0]
    """
    pooled: Any = max_pool(x, window, stride) if kind == "max" else average_pool(x, window, stride)
    return pooled if scale == 1 else pooled * scale


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
