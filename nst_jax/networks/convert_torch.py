"""Read parameter files of PyTorch (`.pth`): torchvision's, Gatys' `vgg_conv.pth` and AdaIN's `vgg_normalised.pth`.

They are read by `torch.load(weights_only=True)`, which runs nothing that the file names.
"""

import io
import pickle
import re

import numpy as np

from nst_jax.errors import InputError
from nst_jax.networks.convert_common import Params, assemble, imagenet_preprocess, linear_preprocess

CAFFE_MEAN = (103.939, 116.779, 123.68)  # blue, green, red, of 255


def read_state(data: bytes, source: str) -> dict[str, np.ndarray]:
    """The named arrays of a PyTorch file.

    Raises:
        InputError: torch is not installed, or the file holds anything but named tensors.
    """
    try:
        import torch
    except ImportError as error:
        raise InputError('PyTorch files need the package torch, got none; pip install "nst_jax[convert]"') from error
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        return {key: tensor.numpy() for key, tensor in state.items()}
    except (pickle.UnpicklingError, RuntimeError, EOFError, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{source} must be a dict of tensors saved by PyTorch, got another thing ({reason})") from error


def recognise(state: dict[str, np.ndarray]) -> str | None:
    """Which of the known forms the keys are of: "torchvision", "gatys", "adain", or None."""
    if "features.0.weight" in state:
        return "torchvision"
    if "conv1_1.weight" in state:
        return "gatys"
    if "0.weight" in state and state["0.weight"].shape == (3, 3, 1, 1):
        return "adain"
    return None


def read_torchvision(state: dict[str, np.ndarray], network: str, source: str) -> Params:
    """The VGG or AlexNet of torchvision: `features.N.weight`; RGB, `(image - mean) / std`; no classifier."""
    layers = _layers(state, r"features\.(\d+)\.weight")
    return assemble(network, layers, imagenet_preprocess(), source)


def read_gatys(state: dict[str, np.ndarray], network: str, source: str) -> Params:
    """Gatys' `vgg_conv.pth`: `conv1_1.weight`; BGR in [0, 255] less the mean."""
    layers = _layers(state, r"conv(\d+_\d+)\.weight")
    offset = [-mean for mean in CAFFE_MEAN]
    return assemble(network, layers, linear_preprocess((255, 255, 255), offset, bgr=True), source)


def read_adain(state: dict[str, np.ndarray], network: str, source: str) -> Params:
    """AdaIN's `vgg_normalised.pth`: a numbered list whose first, 1x1, convolution is the preprocessing."""
    preprocess = {"matrix": np.ascontiguousarray(state["0.weight"][:, :, 0, 0].T), "offset": state["0.bias"]}
    return assemble(network, _layers(state, r"([1-9]\d*)\.weight"), preprocess, source)


def _layers(state: dict[str, np.ndarray], pattern: str) -> list[tuple[np.ndarray, np.ndarray]]:
    found = {}
    for key, array in state.items():
        if (match := re.fullmatch(pattern, key)) and array.ndim == 4:
            order = tuple(int(number) for number in match[1].split("_"))
            found[order] = (array.transpose(2, 3, 1, 0), state[key.removesuffix("weight") + "bias"])
    return [found[order] for order in sorted(found)]
