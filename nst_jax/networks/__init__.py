"""Frozen networks: `load("vgg19")` gives parameters and the function from pictures to feature maps.

Example:
    >>> import jax.numpy as jnp
    >>> vgg = load("vgg19")
    >>> vgg.features(vgg.params, jnp.full((1, 32, 32, 3), 0.5), ("relu4_2",))["relu4_2"].shape
    (1, 4, 4, 512)
"""

import dataclasses
import logging
from dataclasses import dataclass

import jax

from nst_jax.errors import InputError, check_one_of
from nst_jax.networks import convnet, layers
from nst_jax.networks.architectures import Conv, Norm, Pool, register_architecture
from nst_jax.networks.convnet import NetworkSpec
from nst_jax.networks.layers import PRECISIONS
from nst_jax.types import Features, Images, Params

_log = logging.getLogger(__name__)

__all__ = ["Conv", "Network", "NetworkSpec", "Norm", "Pool", "load", "register_architecture"]


@dataclass(frozen=True)
class Network:
    """A network's description and its parameters."""

    spec: NetworkSpec
    params: Params

    def features(self, params: Params, image: Images, taps: tuple[str, ...]) -> Features:
        """The maps of the layers `taps`: see `nst_jax.networks.convnet.features`."""
        convnet.check_taps(self.spec.architecture, taps)
        return convnet.features(params, image, tuple(taps), spec=self.spec)


def choose_convolution(wanted: str, precision: str = "float32") -> str:
    """The algorithm that "auto" stands for here: "winograd" on processors, "xla" (cuDNN and its like) elsewhere.

    It is "xla" for bfloat16 whatever is wanted: the transforms of Winograd's algorithm lose too many of its 8 bits.
    """
    if precision == "bfloat16":
        if wanted == "winograd":
            _log.debug("network.convolution=winograd does not take bfloat16: using xla")
        return "xla"
    if wanted == "auto":
        return "winograd" if jax.default_backend() == "cpu" else "xla"
    return wanted


@jax.transfer_guard("allow")  # whatever JAX_TRANSFER_GUARD says: these are meant
def load(name: str = "vgg19", *, convolution: str = "auto", taps: tuple[str, ...] = (), **options: str | float) -> Network:
    """The network stored under `name`, with its parameters as float32.

    Args:
        name: a name that `python -m nst_jax.weights list` shows, such as "vgg19", "vgg16" or "alexnet".
        convolution: "winograd", for which kernels are transformed here, "xla", for which they are kept as they are, or
            "auto", the faster one.
        taps: only the parameters up to the last of these layers are kept: 113 MB less without conv5_2 to conv5_4.
        options: further fields of `NetworkSpec`: pooling, pooling_scale, padding, padding_at, precision.

    Raises:
        InputError: if there is no such network here, or its file is damaged.
    """
    from nst_jax.networks.params import store as weights  # reading files is not needed by those who bring their own parameters
    from nst_jax.networks.params.layout import kernel_shapes

    precision = check_one_of("network.precision", str(options.get("precision", "float32")), tuple(PRECISIONS))
    convolution = check_one_of("network.convolution", choose_convolution(convolution, precision), ("winograd", "xla"))
    spec = NetworkSpec(architecture=weights.architecture(name), convolution=convolution)
    stored = weights.read_params(name)
    if taps:
        convnet.check_taps(spec.architecture, taps)
    params = {}
    wanted = convnet.layers_with_params(spec.architecture, taps) if taps else list(stored)
    if missing := {*wanted, *(() if taps else kernel_shapes(spec.architecture))} - stored.keys():
        raise InputError(f"parameters {name!r} must have the layer {min(missing)}, got none; convert them again")
    for layer in wanted:
        leaves = weights.as_float32(stored.pop(layer))  # one by one: transformed kernels are four times as large
        params[layer] = jax.device_put(layers.prepare(leaves) if convolution == "winograd" else leaves)
    return Network(dataclasses.replace(spec, **options), params)  # pyright: ignore[reportArgumentType]
