"""Representations: functions from a picture to a code, the maps of a network's layer or a classical descriptor."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from nst_jax.invert import dsift, hog
from nst_jax.invert.neurons import Code
from nst_jax.networks.convnet import NetworkSpec, features, smallest_image
from nst_jax.types import Images, Params

# Descriptors of gray pictures, by name: the function and the smallest side of a picture in pixels. They are called layers
# like those of a network, and have no parameters.
DESCRIPTORS = {
    "hog": (hog.hog, hog.SMALLEST),
    "hogb": (lambda gray: hog.hog(gray, bilinear=True), hog.SMALLEST),
    "dsift": (dsift.dsift, dsift.SMALLEST),
}


def code(params: Params, image: Images, layer: str, *, network: NetworkSpec, remat: str = "none") -> Code:
    """Φ(x): the map of the layer, or the descriptors of the gray picture (the mean of the channels) in [0, 255].

    Args:
        params: the network's; {} for a descriptor.
        image: pictures in [0, 1].
        layer: of the network, or a key of `DESCRIPTORS`.
        network: which a descriptor has no use for.
        remat: see `nst_jax.networks.convnet.features`.
    """
    if layer in DESCRIPTORS:
        return DESCRIPTORS[layer][0](jnp.mean(image, axis=-1) * 255)
    return features(params, image, (layer,), spec=network, remat=remat)[layer]


def mean_color(params: Params) -> Float[Array, " 3"]:
    """The color whose x is 0: the network's mean, where its preprocessing gives 0; without a network, 128 of 255."""
    if "preprocess" not in params:
        return jnp.full(3, 128 / 255)
    preprocess = params["preprocess"]
    return jnp.linalg.solve(preprocess["matrix"].T, -preprocess["offset"])


def smallest(layer: str, architecture: str) -> int:
    """The smallest side in pixels of a picture that has a code.

    Example:
        >>> smallest("hog", ""), smallest("relu5_1", "vgg19")
        (16, 16)
    """
    return DESCRIPTORS[layer][1] if layer in DESCRIPTORS else smallest_image(architecture, (layer,))
