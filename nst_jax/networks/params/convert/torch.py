"""Read parameter files of PyTorch (`.pth`): torchvision's, Gatys' `vgg_conv.pth` and AdaIN's `vgg_normalised.pth`.

They are read by `torch.load(weights_only=True)`, which runs nothing that the file names.
"""

import io
import pickle
import re
from pathlib import Path

import numpy as np

from nst_jax.errors import InputError
from nst_jax.networks.adain import DECODER
from nst_jax.networks.params.layout import (
    StoredParams,
    assemble,
    caffe_preprocess,
    imagenet_preprocess,
    library,
)

# Oxford's Caffe parameters under torchvision's keys (github.com/jcjohnson/pytorch-vgg): only the sha256 tells.
CAFFE_FILES = {
    "dd893d447ece014ad32d71b8d32b1e0b5c09b912a2866990c286fdeebd368d74",  # vgg19-d01eb7cb.pth
    "2007cdad2519a9bbecdf5cd3c54145237502349a194e0d0a41a826e5a277c187",  # vgg16-00b39a1b.pth
}
_BROKEN = (pickle.UnpicklingError, RuntimeError, EOFError, AttributeError, LookupError, TypeError, ValueError)


def read_state(file: Path | io.BytesIO, source: str) -> dict[str, np.ndarray]:
    """The named arrays of a PyTorch file.

    Raises:
        InputError: torch is not installed, or the file holds anything but named tensors.
    """
    torch = library("torch", "PyTorch files")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        return {key: tensor.detach().numpy() for key, tensor in state.items()}
    except _BROKEN as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{source} must be a dict of tensors saved by PyTorch, got another thing ({reason})") from error


def recognize(state: dict[str, np.ndarray], sha256: str, source: str) -> str:
    """Which form the keys are of: "torchvision", "jcjohnson", "gatys" or "adain".

    Raises:
        InputError: none of them, or a variant with batch normalization.
    """
    if any(key.endswith("running_mean") for key in state):
        raise InputError(f"{source} must be a network without batch normalization, got one with it; give the plain one")
    if "features.0.weight" in state:
        return "jcjohnson" if sha256 in CAFFE_FILES else "torchvision"
    if "conv1_1.weight" in state:
        return "gatys"
    if state.get("0.weight", np.empty(0)).shape == (3, 3, 1, 1):
        return "adain"
    keys = ", ".join(list(state)[:3])
    raise InputError(f"{source} must have keys such as features.0.weight, conv1_1.weight or 0.weight, got {keys}, ...")


def read_torch(state: dict[str, np.ndarray], form: str, network: str, source: str) -> StoredParams:
    """The convolutions of a PyTorch file of a known form; a classifier is dropped."""
    if form in ("torchvision", "jcjohnson"):
        preprocess = imagenet_preprocess() if form == "torchvision" else caffe_preprocess()
        return assemble(network, _layers(state, r"features\.(\d+)\.weight"), preprocess, source)
    if form == "gatys":
        return assemble(network, _layers(state, r"conv(\d+_\d+)\.weight"), caffe_preprocess(), source)
    # AdaIN's first layer, a 1x1 convolution, is the preprocessing.
    preprocess = {"matrix": np.ascontiguousarray(state["0.weight"][:, :, 0, 0].T), "offset": state["0.bias"]}
    return assemble(network, _layers(state, r"([1-9]\d*)\.weight"), preprocess, source)


def read_decoder(state: dict[str, np.ndarray], source: str) -> StoredParams:
    """The convolutions of pytorch-AdaIN's decoder.

    Raises:
        InputError: their number, or the shape of one, is not the decoder's.
    """
    layers = dict(zip(DECODER, _layers(state, r"(\d+)\.weight"), strict=False))
    shapes = {name: kernel.shape for name, (kernel, _) in layers.items()}
    if shapes != {name: (3, 3, *channels) for name, channels in DECODER.items()}:
        raise InputError(f"{source} must be the decoder of pytorch-AdaIN, got the kernels {list(shapes.values())}")
    return {name: {"kernel": np.ascontiguousarray(kernel), "bias": bias} for name, (kernel, bias) in layers.items()}


def _layers(state: dict[str, np.ndarray], pattern: str) -> list[tuple[np.ndarray, np.ndarray]]:
    found = {}
    for key, array in state.items():
        if (match := re.fullmatch(pattern, key)) and array.ndim == 4:
            order = tuple(int(number) for number in match[1].split("_"))
            bias = state.get(key.removesuffix("weight") + "bias", np.empty(0))
            found[order] = (array.transpose(2, 3, 1, 0), bias)
    return [found[order] for order in sorted(found)]
