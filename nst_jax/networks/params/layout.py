"""The common last step of converters: arrays are checked against the architecture, and preprocessing becomes a matrix."""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from nst_jax.errors import InputError
from nst_jax.networks.architectures import ARCHITECTURES, Conv, names_of

StoredParams = dict[str, dict[str, np.ndarray]]


CAFFE_MEAN = np.array((103.939, 116.779, 123.68))  # blue, green, red, of 255


def library(module: str, what: str) -> Any:
    """The module that reads a foreign format; it comes with the extra `convert`.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0].replace("google", "protobuf")
        message = f'{what} must be read by {package}, got no {package}; pip install "nst_jax[convert]"'
        raise InputError(message.strip()) from error


def kernel_shapes(network: str) -> dict[str, tuple[int, int, int, int]]:
    """The kernel shape (height, width, in, out) of each convolution of a network, in order.

    Example:
        >>> list(kernel_shapes("alexnet").items())[:2]
        [('conv1', (11, 11, 3, 64)), ('conv2', (5, 5, 64, 192))]
    """
    shapes, channels = {}, 3
    for layer in ARCHITECTURES[network]:
        if isinstance(layer, Conv):
            shapes[names_of(layer)[0]] = (layer.size, layer.size, channels // layer.groups, layer.features)
            channels = layer.features
    return shapes


def assemble(
    network: str, layers: Sequence[tuple[np.ndarray, np.ndarray]], preprocess: dict[str, np.ndarray], source: str
) -> StoredParams:
    """Parameters by layer name, from the convolutions of a file in the network's order.

    Args:
        network: "vgg19", "vgg16" or "alexnet".
        layers: kernel [height, width, in, out] and bias of each convolution.
        preprocess: "matrix" and "offset".
        source: what the arrays came from, for the message.

    Raises:
        InputError: the number of convolutions, or the shape of one, is not the network's.
    """
    shapes = kernel_shapes(network)
    if len(layers) != len(shapes):
        raise InputError(
            f"{source} must have {network}'s {len(shapes)} convolutions, got {len(layers)}; give the right --network"
        )
    params: StoredParams = {}
    for (name, shape), (kernel, bias) in zip(shapes.items(), layers, strict=True):
        if kernel.shape != shape or bias.shape != shape[3:]:
            asked, got = f"{shape} and {shape[3:]}", f"{kernel.shape} and {bias.shape}"
            raise InputError(f"{name} of {source} must have the shapes {asked}, got {got}; is it {network}?")
        params[name] = {"kernel": np.ascontiguousarray(kernel, np.float32), "bias": np.asarray(bias, np.float32)}
    return {**params, "preprocess": preprocess}


def linear_preprocess(scale: np.ndarray, offset: np.ndarray, *, bgr: bool) -> dict[str, np.ndarray]:
    """`image @ matrix + offset`, for an image in RGB: `scale * channel + offset` in the network's channel order.

    Args:
        scale: factor of each of the network's channels.
        offset: what is then added to each.
        bgr: whether the network's channels are blue, green, red.

    Example:
        >>> red = linear_preprocess(np.full(3, 255), np.array([-104, -117, -124]), bgr=True)
        >>> (np.array([1, 0, 0], np.float32) @ red["matrix"] + red["offset"]).tolist()
        [-104.0, -117.0, 131.0]
    """
    matrix = np.eye(3)[:, ::-1] if bgr else np.eye(3)
    return {"matrix": (matrix * scale).astype(np.float32), "offset": offset.astype(np.float32)}


def caffe_preprocess() -> dict[str, np.ndarray]:
    """Oxford's own, in Caffe: BGR in [0, 255] less the mean."""
    return linear_preprocess(np.full(3, 255), -CAFFE_MEAN, bgr=True)


def imagenet_preprocess() -> dict[str, np.ndarray]:
    """The `(image - mean) / std` of torchvision, on RGB in [0, 1].

    That of LPIPS on [-1, 1], `(image - (-.030, -.088, -.188)) / (.458, .448, .450)`, is the same map.
    """
    mean, std = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
    return linear_preprocess(1 / std, -mean / std, bgr=False)
