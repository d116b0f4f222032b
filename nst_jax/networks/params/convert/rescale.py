"""Rescaling of a network so that each filter's mean activation is 1, as Gatys et al. (2016, section 2) did with VGG-19.

Dividing a filter's parameters by s > 0 and multiplying by s the parameters of the next layer that read it leaves every later
map unchanged, since rectification and pooling commute with the scale. One pass through the network measures all means.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from nst_jax.networks.convnet import NetworkSpec, features
from nst_jax.networks.params.layout import StoredParams

# A filter whose mean is below this part of its layer's mean is silent on these images, and is not rescaled.
SILENT = 1e-5


def mean_activations(params: StoredParams, network: str, images: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Measures each filter's mean after rectification, over images and positions, in float64; zero padding, max pooling.

    Args:
        params: as stored.
        network: "vgg19", "vgg16" or "alexnet".
        images: sRGB in [0, 1], [1, height, width, 3] each.
    """
    names = [name for name in params if name != "preprocess"]
    taps = tuple(name.replace("conv", "relu") for name in names)
    sums = {name: np.zeros(params[name]["bias"].shape) for name in names}
    counts = dict.fromkeys(names, 0)
    device = jax.device_put(params)
    for image in images:
        maps = features(device, jnp.asarray(image), taps, spec=NetworkSpec(network))
        for name, tap in zip(names, taps, strict=True):
            found = np.asarray(maps[tap], np.float64)
            sums[name] += found.sum(axis=(0, 1, 2))
            counts[name] += found.shape[1] * found.shape[2]
    return {name: sums[name] / counts[name] for name in names}


def normalize(params: StoredParams, means: dict[str, np.ndarray]) -> StoredParams:
    """Rescales parameters so that each filter's mean activation becomes 1 where it was `means`; silent filters stay.

    Kernel[..., i, o] becomes kernel · s_in[i] / s_out[o] and bias[o] becomes bias / s_out[o], with s the means.

    Args:
        params: as stored.
        means: of each layer's filters, >= 0, from `mean_activations` of the same parameters.

    Example:
        >>> layer = {"kernel": np.ones((1, 1, 3, 1), np.float32), "bias": np.ones(1, np.float32)}
        >>> normalize({"conv1": layer}, {"conv1": np.array([4.0])})["conv1"]["bias"].tolist()
        [0.25]
    """
    rescaled = dict(params)
    before = np.ones(3)
    for name, mean in means.items():
        scale = np.where(mean > SILENT * mean.mean(), mean, 1.0)
        kernel = params[name]["kernel"] * before[:, None] / scale
        bias = params[name]["bias"] / scale
        rescaled[name] = {"kernel": kernel.astype(np.float32), "bias": bias.astype(np.float32)}
        before = scale
    return rescaled
