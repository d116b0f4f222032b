"""Find a network in named arrays: by the order and the shapes of its convolutions, whatever they are called."""

import re
from collections.abc import Callable

import numpy as np

from nst_jax.errors import InputError
from nst_jax.networks.params.convert.containers import State
from nst_jax.networks.params.layout import (
    StoredParams,
    assemble,
    caffe_preprocess,
    imagenet_preprocess,
    kernel_shapes,
)
from nst_jax.networks.params.store import load_params

# Oxford's Caffe parameters under torchvision's keys (github.com/jcjohnson/pytorch-vgg).
CAFFE_FILES = {
    "dd893d447ece014ad32d71b8d32b1e0b5c09b912a2866990c286fdeebd368d74",  # vgg19-d01eb7cb.pth
    "2007cdad2519a9bbecdf5cd3c54145237502349a194e0d0a41a826e5a277c187",  # vgg16-00b39a1b.pth
}
# torchvision's vgg16-397923af.pth.
TORCHVISION_VGG16 = "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"
# Root mean square of the first kernel below which the network must be made for inputs of ±128, not ±2: torchvision's have 0.25.
SMALL = 0.05
PREPROCESSINGS: dict[str, Callable[[], dict[str, np.ndarray]]] = {
    "torchvision": imagenet_preprocess,
    "caffe": caffe_preprocess,
}
_AXES = {"OIHW": (2, 3, 1, 0), "HWIO": (0, 1, 2, 3)}
Layers = list[tuple[np.ndarray, np.ndarray]]


def read_network(state: State, library: str, network: str, sha256: str, source: str) -> tuple[StoredParams, str]:
    """The parameters of a network in a state, and the form they have: a key of `dispatch.FORMS`.

    Args:
        state: arrays of 4 axes and of 1, by name.
        library: that wrote the file.
        network: a key of `ARCHITECTURES`.
        sha256: of the file.
        source: its name, for messages.

    Raises:
        InputError: the network is not in it, or has batch normalization.
    """
    if any(re.search(r"(running|moving)_mean|gamma", key) for key in state):
        raise InputError(f"{source} must be a network without batch normalization, got one with it; give the plain one")
    shapes = list(kernel_shapes(network).values())
    for keys in (sorted(state, key=_natural), list(state)):
        kernels = [key for key in keys if state[key].ndim == 4]
        for first in range(len(kernels) - len(shapes) + 1):
            for axes in _AXES.values():
                layers = [state[key].transpose(axes) for key in kernels[first : first + len(shapes)]]
                if [kernel.shape for kernel in layers] == shapes:
                    found = kernels[first : first + len(shapes)]
                    pairs = [(kernel, _bias(key, keys, state)) for kernel, key in zip(layers, found, strict=True)]
                    preprocess, form = _preprocess(state, kernels[:first], found, pairs, library, network, sha256)
                    return assemble(network, pairs, preprocess, source), form
    kernels = [key for key in sorted(state, key=_natural) if state[key].ndim == 4]
    if not kernels:
        raise InputError(f"{source} must have convolutions, got {', '.join(list(state)[:3]) or 'none'}; is it {network}?")
    axes = _AXES["HWIO" if library == "keras" else "OIHW"]
    pairs = [(state[key].transpose(axes), _bias(key, [*state], state)) for key in kernels]
    return assemble(network, pairs, {}, source), ""  # raises, and says what does not fit


def read_layers(state: State) -> Layers:
    """All convolutions of PyTorch's layout in a state, in order."""
    keys = sorted(state, key=_natural)
    return [(state[key].transpose(_AXES["OIHW"]), _bias(key, keys, state)) for key in keys if state[key].ndim == 4]


def _natural(key: str) -> list[tuple[int, str]]:
    """The parts of a name; sorted by them, numbers are sorted by their value."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", key)]


def _bias(kernel: str, keys: list[str], state: State) -> np.ndarray:
    """The vector whose name has more in common with the kernel's than any other kernel's has; empty if there is none.

    Of arrays that differ by their numbers alone ("arr_0", "arr_1") it is the one after the kernel.
    """
    rival = max((_common(key, kernel) for key in keys if state[key].ndim == 4 and key != kernel), default=(0, 0))
    own = [key for key in keys if state[key].ndim == 1 and _common(key, kernel) > rival]
    after = keys[keys.index(kernel) + 1 :][:1]
    own = own or [key for key in after if state[key].ndim == 1 and re.sub(r"\d", "", key) == re.sub(r"\d", "", kernel)]
    return state[max(own, key=lambda key: _common(key, kernel))] if own else np.empty(0)


def _common(one: str, other: str) -> tuple[int, int]:
    """Number of parts that two names begin with, and of letters that the next parts begin with."""
    pairs = list(zip(_natural(one), _natural(other), strict=False))
    parts = next((number for number, (a, b) in enumerate(pairs) if a != b), len(pairs))
    letters = zip(*(part[1] for part in pairs[parts]), strict=False) if parts < len(pairs) else ()
    return parts, next((number for number, (a, b) in enumerate(letters) if a != b), 0)


def _preprocess(
    state: State, before: list[str], found: list[str], layers: Layers, library: str, network: str, sha256: str
) -> tuple[dict[str, np.ndarray], str]:
    """Finds the preprocessing: by a first convolution of 1x1, by names, by Oxford's filters, or by scale."""
    if before and state[before[-1]].shape == (3, 3, 1, 1):  # AdaIN's
        matrix = np.ascontiguousarray(state[before[-1]][:, :, 0, 0].T)
        return {"matrix": matrix, "offset": _bias(before[-1], [*state], state)}, "adain"
    if library == "keras":
        return caffe_preprocess(), "keras"
    if re.search(r"(^|\W)conv1_1\b", found[0]):
        return caffe_preprocess(), "gatys"
    kernel = layers[0][0]
    if sha256 in CAFFE_FILES or _rms(kernel) < SMALL or _is_oxfords(kernel, network):
        return caffe_preprocess(), "torchvision's names, Caffe's scale"
    return imagenet_preprocess(), "torchvision"


def _rms(kernel: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(kernel, dtype=np.float64))))


def _is_oxfords(kernel: np.ndarray, network: str) -> bool:
    """Whether the first filters are those of Oxford's VGG-19, however each is scaled."""
    if network != "vgg19":
        return False
    known = load_params("vgg19-normalized")["conv1_1"]["kernel"]
    if known.shape != kernel.shape:
        return False
    a, b = (np.asarray(k, np.float64).reshape(-1, k.shape[3]) for k in (kernel, known))
    norms = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
    return bool(np.median((a * b).sum(0) / np.maximum(norms, 1e-12)) > 0.99)
